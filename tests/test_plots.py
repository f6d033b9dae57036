"""Figures of the lessons: what a picture says must be what the numbers say."""

import base64
import html
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tools import profiles

from dp_helpers import plots
from dp_helpers.colors import to_srgb
from dp_helpers.watch import Row


def test_figures(item, photo, mask, tmp_path):
    figures = [
        plots.references(item.photos, "Red box"),
        plots.before_after(photo, mask, photo),
        plots.object_masks(item.photos, item.own_masks),
        plots.demo(item.photos, photo, mask, {"result": photo}, "Red box"),
        plots.loss_curve([1.0, 0.5, 0.25]),
    ]
    for index, figure in enumerate(figures):
        path = plots.save(figure, tmp_path / f"{index}.png", dpi=50)
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(2**24)) > 10


def test_the_overlay_tints_and_outlines_the_mask_and_nothing_else(photo, mask):
    shown, before = np.asarray(plots.overlay(photo, mask)), np.asarray(photo)
    inside = np.asarray(mask) == 255
    assert (shown[~inside] == before[~inside]).all() and (shown[inside] != before[inside]).any(-1).mean() > 0.99
    for row, color in ((20, 0), (21, 255), (53, 255), (54, 0)):  # the first and the last two rows of the mask
        assert (shown[row, 31:59] == color).all()


def test_the_overlay_outlines_a_full_mask():
    shown = np.asarray(plots.overlay(Image.new("RGB", (60, 40), "white"), Image.new("L", (60, 40), 255)))
    assert (shown[0] == 0).all() and (shown[:, -1] == 0).all() and (shown[1, 1:-1] == 255).all()


@pytest.fixture
def wide(photo):
    """A photo in Display P3."""
    photo.info["icc_profile"] = profiles.display_p3()
    return photo


def test_the_overlay_of_a_large_photo_is_shrunk_and_keeps_thin_strokes():
    thin = Image.new("L", (2200, 1100), 0)
    thin.paste(255, (1100, 0, 1101, 1100))
    shown = np.asarray(plots.overlay(Image.new("RGB", thin.size, "white"), thin))
    assert shown.shape == (512, 1024, 3)
    assert (shown[:, 512] == 0).all() and (shown[:, :510] == 255).all() and (shown[:, 515:] == 255).all()


def test_photos_are_shown_in_their_own_colours(wide):
    """A figure shows sRGB, and transparent parts show its paper."""
    pixels, marked = np.asarray(to_srgb(wide)), Image.new("L", wide.size, 0)
    assert (np.asarray(plots.overlay(wide, marked)) == pixels).all()
    for image in (wide, Image.new("RGBA", wide.size, (0, 0, 0, 0))):
        drawn = plots.image_row([image], ["photo"]).get_axes()[0].images[0].get_array()
        assert (np.asarray(drawn) == np.asarray(to_srgb(image))).all()


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_difference_takes_photos_of_all_modes(mode, photo):
    other = Image.new("RGB", photo.size, (10, 20, 30))
    before, after = photo.convert(mode), other.convert(mode)
    wanted = plots.difference(to_srgb(before), to_srgb(after))
    assert (np.asarray(plots.difference(before, after)) == np.asarray(wanted)).all()


@pytest.mark.parametrize("color", ["white", "#7B2CBF", "#E69F00", "#F0E442", "#001060", "black"])
def test_the_overlay_shows_on_every_colour_and_the_photo_shows_through(color):
    """On violet the lines show. And two near shades, an arm and its seat, stay two shades."""
    photo, full = Image.new("RGB", (100, 100), color), Image.new("L", (100, 100), 255)
    darker = photo.point(lambda value: round(0.8 * value))
    one, two = (np.asarray(plots.overlay(image, full)).astype(int)[4:-4, 4:-4] for image in (photo, darker))
    before = np.asarray(photo).astype(int)[4:-4, 4:-4]
    assert np.percentile(np.abs(one - before).sum(axis=2), 90) > 100
    if color != "black":
        kept = np.abs(one - two).sum(axis=2) / np.abs(before[0, 0] - np.asarray(darker)[0, 0].astype(int)).sum()
        assert np.median(kept) > 0.5


@pytest.mark.parametrize(("count", "means"), [(1, 1), (2, 2), (24, 13), (49, 25), (60, 36)])
def test_the_mean_of_a_loss_curve_ends_at_the_last_step(count, means):
    losses = np.arange(count, dtype=float)
    each, mean = plots.loss_curve(losses).get_axes()[0].lines
    assert list(each.get_ydata()) == list(losses)
    assert len(mean.get_xdata()) == means and mean.get_xdata()[-1] == count
    assert mean.get_ydata()[-1] == pytest.approx(losses[-min(25, (count + 1) // 2) :].mean())


def test_a_short_loss_curve_has_whole_steps_only():
    axes = plots.loss_curve([0.5, 0.4, 0.3]).get_axes()[0]
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_each_bar_of_a_histogram_is_a_share_of_its_draws():
    figure = plots.coverage_histogram({"near": [0.05, 0.95, 0.95, 0.95], "anywhere": [0.05]}, bins=10)
    near, anywhere = figure.get_axes()[0].containers
    assert [bar.get_height() for bar in near] == [0.25, *[0] * 8, 0.75]
    assert [bar.get_height() for bar in anywhere] == [1, *[0] * 9]
    assert near[0].get_hatch() != anywhere[0].get_hatch()  # without colour, too


def test_each_channel_spans_black_to_white():
    values = np.stack([np.linspace(-3, 5, 16).reshape(4, 4), np.full((4, 4), 7.0)])
    one, flat = plots.channels(values, side=8)
    assert (one.mode, one.size, one.getextrema()) == ("L", (8, 8), (0, 255))
    assert flat.getextrema() == (0, 0)
    assert np.asarray(one)[0, 0] == np.asarray(one)[1, 1] == 0  # a value is a square of sharp pixels


def test_difference_shows_what_changed_and_nothing_else():
    before = Image.new("RGB", (20, 10), (10, 20, 30))
    after = before.copy()
    after.paste((10, 255, 30), (4, 4, 9, 9))
    shown = np.asarray(plots.difference(before, after)).astype(int)
    assert shown.shape == (10, 20, 3)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 2
    assert shown[5, 5].sum() > shown[0, 0].sum()
    unchanged = np.asarray(plots.difference(before, before))
    assert (unchanged == shown[0, 0]).all()


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (4, 1), (5, 2), (9, 3)])
def test_a_grid_has_a_place_for_every_picture(count, rows):
    figure = plots.image_grid([Image.new("L", (8, 8))] * count, [f"seed {at}" for at in range(count)], 4, "seeds")
    axes = figure.get_axes()
    assert len(axes) == rows * min(4, count)
    assert sum(len(axis.images) for axis in axes) == count
    assert axes[-1].axison is False


def test_curves_can_be_told_apart_without_colour():
    figure = plots.curves([0, 5, 10], {"training photos": [3, 2, 1], "held-out photos": [3, 2, 2]}, "step", "loss")
    lines = figure.get_axes()[0].lines
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 2
    assert [text.get_text() for text in figure.get_axes()[0].get_legend().get_texts()] == [
        "training photos",
        "held-out photos",
    ]


def test_every_series_is_drawn_and_none_looks_as_another():
    names = [f"series {number}" for number in range(9)]
    lines = plots.curves([0, 1], {name: [1, 2] for name in names}, "step", "loss").get_axes()[0].lines
    assert [line.get_label() for line in lines] == names
    assert len({(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}) == 9
    bars = plots.coverage_histogram({name: [0.5] for name in names}).get_axes()[0].containers
    assert len({(each[0].get_facecolor(), each[0].get_hatch()) for each in bars}) == 9


PICTURE, MASK = Image.new("RGB", (8, 8), "white"), Image.new("L", (8, 8), 255)
LOSSES = {"training photos": [0.5, 0.25], "held-out photos": [0.5, 0.375]}


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (plots.references([PICTURE] * 3), "3 photos of one product, side by side."),
        (plots.references([PICTURE] * 3, "A lamp"), "A lamp: 3 photos of one product, side by side."),
        (
            plots.before_after(PICTURE, MASK, PICTURE),
            "A photo; the same photo with its mask tinted violet; the result.",
        ),
        (
            plots.object_masks([PICTURE] * 2, [MASK] * 2, "A lamp", ["found", "corrected"]),
            "A lamp: 2 pictures side by side, each with its mask tinted violet: found; corrected.",
        ),
        (
            plots.demo([PICTURE] * 2, PICTURE, MASK, {"the result": PICTURE}),
            "Above: 2 photos of one product. Below: a photo; the same photo with its mask tinted violet; the result.",
        ),
        (
            plots.loss_curve([4.0, 2.0, 1.0], window=1),
            "Line chart of the loss (Eq. 2) in 3 training steps. The mean of 1 steps goes from 4 to 1.",
        ),
        (
            plots.coverage_histogram({"anywhere": [0.0, 0.5], "around": [1.0]}),
            "Bar chart of how often each share of the product is hidden. "
            "anywhere: 0.25 on average; around: 1.00 on average.",
        ),
        (plots.image_row([PICTURE], ["photo"]), "A picture: photo."),
        (plots.image_row([PICTURE] * 2, ["before", "after"]), "2 pictures side by side: before; after."),
        (plots.image_row([PICTURE] * 2, ["before", "after"], alt="The mug turns red."), "The mug turns red."),
        (plots.image_grid([PICTURE] * 3, list("abc"), 2, "t = 9"), "t = 9: 3 pictures in rows of 2: a; b; c."),
        (plots.image_grid([PICTURE] * 3, list("abc"), 2, alt="Three mugs."), "Three mugs."),
        (
            plots.curves([0, 10], LOSSES, "step", "loss"),
            "Line chart. Across: step, 0 to 10. Up: loss. "
            "training photos: from 0.5 to 0.25; held-out photos: from 0.5 to 0.375.",
        ),
    ],
)
def test_every_figure_describes_itself(figure, words):
    assert figure.get_label() == words


def test_a_figure_as_html_carries_its_description():
    page = plots.to_html(plots.image_row([PICTURE], ["a photo"], 'the "first" <one>'))
    alt, data = re.fullmatch(r'<img alt="([^"]+)" src="data:image/jpeg;base64,([^"]+)">', page).groups()
    assert html.unescape(alt) == 'the "first" <one>: a picture: a photo.' and "<" not in alt
    assert Image.open(io.BytesIO(base64.b64decode(data))).format == "JPEG"
    assert "alt=" not in plots.to_html(Figure())  # programs that look for missing descriptions must find this one


def test_nbconvert_shows_the_description():
    exporter = pytest.importorskip("nbconvert").HTMLExporter()
    v4 = pytest.importorskip("nbformat").v4
    page = plots.to_html(plots.references([PICTURE] * 2))
    cell = v4.new_code_cell(outputs=[v4.new_output("display_data", {"text/html": page})])
    body, _ = exporter.from_notebook_node(v4.new_notebook(cells=[cell]))
    assert 'alt="2 photos of one product, side by side."' in body and "No description has been provided" not in body


def test_the_first_and_the_latest_rows_of_a_watched_run_are_drawn():
    rows = [Row(step, [Image.new("RGB", (8, 8), (step, 0, 0))] * 2, step / 100) for step in (0, 10, 20, 30, 40, 50)]
    figure = plots.watched(rows)
    titles = [axis.get_title() for axis in figure.get_axes() if axis.get_title()]
    assert titles == [f"step {step}, CLIP score {step / 100:.3f}" for step in (0, 30, 40, 50)]
    assert [int(axis.images[0].get_array()[0, 0, 0]) for axis in figure.get_axes()] == [0, 0, 30, 30, 40, 40, 50, 50]
    assert len(plots.watched(rows[:1]).get_axes()) == 2 and "step 50" in plots.to_html(figure)


@pytest.mark.parametrize("title", ["$5 mug, was $10", "50 % $off", "a_b^c \\frac", "<script>alert(1)</script>"])
def test_a_title_is_text_and_no_formula(title, tmp_path):
    photo = Image.new("RGB", (8, 8))
    for figure in (plots.references([photo], title), plots.image_grid([photo], [title], 1, title)):
        plots.save(figure, tmp_path / "figure.png")
        assert "<script>" not in plots.to_html(figure)
