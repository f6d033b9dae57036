"""Draw every figure of the project in one look: large type, no frames, colours safe for colour-blind readers.

Each function returns a matplotlib Figure. They do not use pyplot, so no window opens and no global state changes.
The figure's label (`Figure.get_label`) is its alternative text, which screen readers read aloud.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage

from .colors import to_srgb
from .files import check_can_write, whole_file
from .masks import picture

if TYPE_CHECKING:  # importing it would load torch
    from .watch import Row

# From the palette of Okabe and Ito, which readers with any kind of colour vision can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#595959"
VIOLET = "#7B2CBF"  # of masks over photos
TYPE = 15
_TILE = 2.6  # inches, a side
_LARGEST = 1024  # pixels: a longer side of a photo with its mask is shrunk, because figures draw no more
_BEFORE_AFTER = "A photo; the same photo with its mask tinted violet; the result"


def references(photos: Sequence[Image.Image], title: str = "") -> Figure:
    """Draw the item's photos in a row."""
    alt = f"{len(photos)} photos of one product, side by side"
    return image_row(photos, _numbered(photos), title, alt=_sentence(title, alt))


def before_after(photo: Image.Image, mask: Image.Image, result: Image.Image, title: str = "") -> Figure:
    """Draw the photo, the photo with its mask, and the painted photo."""
    images, labels = [photo, overlay(photo, mask), result], ["photo", "with mask", "result"]
    return image_row(images, labels, title, alt=_sentence(title, _BEFORE_AFTER))


def object_masks(
    photos: Sequence[Image.Image], masks: Sequence[Image.Image], title: str = "", labels: Sequence[str] | None = None
) -> Figure:
    """Draw the photos with their masks over them."""
    images = [overlay(photo, mask) for photo, mask in zip(photos, masks, strict=True)]
    labels = labels or _numbered(photos)
    alt = f"{len(images)} pictures side by side, each with its mask tinted violet: {'; '.join(labels)}"
    return image_row(images, labels, title, alt=_sentence(title, alt))


def demo(
    photos: Sequence[Image.Image], photo: Image.Image, mask: Image.Image, results: Mapping[str, Image.Image], title=""
) -> Figure:
    """Draw the whole job: references on top; photo, photo with mask and the results, by their labels, below them."""
    columns = max(2 + len(results), len(photos))
    figure = Figure(figsize=(columns * _TILE, 0.7 * _TILE + 2 * _TILE), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.7))
    _fill(top, photos, _numbered(photos))
    _fill(bottom, [photo, overlay(photo, mask), *results.values()], ["photo", "with mask", *results])
    if title:
        figure.suptitle(title, fontsize=TYPE + 3, parse_math=False)
    below = ["a photo", "the same photo with its mask tinted violet", *results]
    alt = f"Above: {len(photos)} photos of one product. Below: {'; '.join(below)}"
    return described(figure, _sentence(title, alt))


def loss_curve(losses: Sequence[float], window: int = 25) -> Figure:
    """Draw the loss of each step, and its running mean over ``window`` steps, at most half of the run."""
    figure, axes = chart("step", "loss (Eq. 2)")
    steps = np.arange(1, len(losses) + 1)
    axes.plot(steps, losses, color=GREY, alpha=0.35, linewidth=1, label="each step")
    width = min(window, (len(losses) + 1) // 2)
    mean = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(steps[width - 1 :], mean, color=BLUE, linewidth=3, label=f"mean of {width} steps")
    axes.legend(fontsize=TYPE - 1, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))  # hides no line
    axes.xaxis.get_major_locator().set_params(integer=True)
    alt = f"Line chart of the loss (Eq. 2) in {len(losses)} training steps"
    return described(figure, f"{alt}. The mean of {width} steps goes from {mean[0]:.3g} to {mean[-1]:.3g}.")


def coverage_histogram(coverages: Mapping[str, Sequence[float]], bins: int = 10) -> Figure:
    """Draw how much of the product each kind of mask hides: the share of draws in each bin of coverage, 0 to 1."""
    figure, axes = chart("share of the product that is hidden", "share of draws")
    width = 1 / bins / (len(coverages) + 0.5)
    looks = _looks(coverages, ("", "//", "..", "xx"))
    for index, ((name, values), (color, hatch)) in enumerate(zip(coverages.items(), looks, strict=True)):
        counts, edges = np.histogram(values, bins=bins, range=(0, 1))
        left = edges[:-1] + width * (index + 0.25)
        options = {"color": color, "hatch": hatch, "edgecolor": "white", "label": name}
        axes.bar(left, counts / len(values), width, align="edge", **options)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.legend(fontsize=TYPE - 1, frameon=False)
    means = "; ".join(f"{name}: {np.mean(values):.2f} on average" for name, values in coverages.items())
    return described(figure, f"Bar chart of how often each share of the product is hidden. {means}.")


def image_row(images: Sequence[Image.Image], labels: Sequence[str], title: str = "", *, alt: str = "") -> Figure:
    """Draw images side by side, each under its label. ``alt`` describes what they show; the default repeats labels."""
    place = f"{len(images)} pictures side by side" if len(images) > 1 else "A picture"
    return image_grid(images, labels, len(images), title, alt=alt or _sentence(title, f"{place}: {'; '.join(labels)}"))


def image_grid(
    images: Sequence[Image.Image], labels: Sequence[str], columns: int, title: str = "", *, alt: str = ""
) -> Figure:
    """Draw images in rows of ``columns``, each under its label. ``alt`` is as in `image_row`."""
    rows, columns = -(-len(images) // columns), min(columns, len(images))
    height = rows * (_TILE + 0.5) + 0.4 * bool(title)
    figure = Figure(figsize=(_TILE * columns, height), layout="constrained")
    _fill(figure, images, labels, rows, columns)
    if title:
        figure.suptitle(title, fontsize=TYPE + 3, parse_math=False)
    place = f"{len(images)} pictures in rows of {columns}"
    return described(figure, alt or _sentence(title, f"{place}: {'; '.join(labels)}"))


def watched(rows: Sequence[Row], most: int = 4) -> Figure:
    """Draw the paintings of a `watch.Watch`, one line for each step: the first and the latest, ``most`` in all."""
    shown = [*rows[:1], *rows[1:][1 - most :]]
    images = [image for row in shown for image in row.images]
    said = [f"step {row.step}, CLIP score {row.clip_score:.3f}" for row in shown]
    labels = [words if column == 0 else "" for words in said for column in range(len(rows[0].images))]
    alt = f"Paintings of one photo at {len(shown)} moments of the training, one line each: {'; '.join(said)}."
    return image_grid(images, labels, len(rows[0].images), alt=alt)


def curves(steps: Sequence[float], values: Mapping[str, Sequence[float]], x_label: str, y_label: str) -> Figure:
    """Draw named curves over the same ``steps``; colour, line and marker differ."""
    figure, axes = chart(x_label, y_label)
    for (name, heights), (color, line) in zip(values.items(), _looks(values, ("o-", "s--", "^:", "x-.")), strict=True):
        axes.plot(steps, heights, line, color=color, linewidth=3, markersize=9, label=name)
    axes.legend(fontsize=TYPE - 1, frameon=False)
    ends = "; ".join(f"{name}: from {heights[0]:.3g} to {heights[-1]:.3g}" for name, heights in values.items())
    return described(figure, f"Line chart. Across: {x_label}, {steps[0]:g} to {steps[-1]:g}. Up: {y_label}. {ends}.")


def overlay(photo: Image.Image, mask: Image.Image) -> Image.Image:
    """Tint the masked region of a photo violet, with thin white lines, and outline it in black and white.

    The lines show on violet products, the tint on white ones, and the outline on all, also along the photo's border.
    """
    photo, inside = to_srgb(photo), np.asarray(mask) >= 128
    if max(photo.size) > _LARGEST:
        photo.thumbnail((_LARGEST, _LARGEST), Image.LANCZOS)
        inside = np.asarray(picture(inside).resize(photo.size, Image.BOX)) > 0  # so that thin strokes stay
    pixels, unit = np.asarray(photo).astype(float), max(1, round(max(photo.size) / 130))
    line = inside & (np.indices(inside.shape).sum(axis=0) % (6 * unit) < unit)
    for where, color, share in ((inside, VIOLET, 0.42), (line, "#FFFFFF", 0.45)):
        tint = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)])
        pixels[where] = (1 - share) * pixels[where] + share * tint
    for width, grey in ((2 * unit, 255), (unit, 0)):  # what is beyond the border counts as outside
        pixels[inside & ~ndimage.minimum_filter(inside, 2 * width + 1, mode="constant")] = grey
    return Image.fromarray(pixels.round().astype(np.uint8))


def heat(values: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Return a map (h, w) of values 0 to 1 as a picture of ``size``: dark blue is 0, yellow is 1."""
    colors = colormaps["cividis"](np.asarray(values), bytes=True)[..., :3]
    return Image.fromarray(np.ascontiguousarray(colors)).resize(size, Image.BILINEAR)


def channels(values: np.ndarray, side: int = 128) -> list[Image.Image]:
    """Return each channel of (C, h, w) as a grey picture, with its smallest value black and its greatest white.

    The pixels stay sharp, so that you can see how few there are.
    """
    pictures = []
    for channel in np.asarray(values, dtype=float):
        low, high = channel.min(), channel.max()
        grey = np.round((channel - low) / (high - low if high > low else 1) * 255).astype(np.uint8)
        pictures.append(Image.fromarray(grey).resize((side, side), Image.NEAREST))
    return pictures


def difference(before: Image.Image, after: Image.Image) -> Image.Image:
    """Show how much each pixel changed, in its channel that changed most: dark blue is 0, yellow is 255 levels."""
    pixels = [np.asarray(to_srgb(image)).astype(int) for image in (before, after)]
    return heat(np.abs(np.subtract(*pixels)).max(axis=2) / 255, before.size)


def chart(x_label: str, y_label: str, axes: Axes | None = None) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes, or the given axes and their figure, in the look of all charts."""
    axes = axes or Figure(figsize=(8, 4.2), layout="constrained").add_subplot()
    axes.set_xlabel(x_label, fontsize=TYPE)
    axes.set_ylabel(y_label, fontsize=TYPE)
    axes.tick_params(labelsize=TYPE - 2)
    axes.spines[["top", "right"]].set_visible(False)
    return axes.figure, axes


def described(figure: Figure, alt: str) -> Figure:
    """Give a figure its alternative text."""
    figure.set_label(alt)
    return figure


def save(figure: Figure, path: str | Path, dpi: int = 110) -> Path:
    """Save a figure as PNG."""
    path = check_can_write(path, suffix=".png")
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white")
    return path


def to_html(figure: Figure, dpi: int = 72, quality: int = 90) -> str:
    """Return a figure as an HTML image with its alternative text.

    The image is a JPEG, because most figures hold photos, and a lesson stays small that way. A figure without a label
    gets no alternative text, so that programs that check for it find the gap.
    """
    buffer = io.BytesIO()
    options = {"dpi": dpi, "facecolor": "white", "bbox_inches": "tight", "pad_inches": 0.05}
    smaller = {"optimize": True, "progressive": True}  # a tenth less, and the same pixels
    figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": quality} | smaller, **options)
    alt = f'alt="{html.escape(figure.get_label())}" ' if figure.get_label() else ""
    return f'<img {alt}src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def _sentence(title: str, alt: str) -> str:
    """Return an alternative text that begins with the figure's title, if it has one."""
    return f"{title}: {alt[0].lower()}{alt[1:]}." if title else f"{alt}."


def _looks(series: Mapping, marks: Sequence[str]) -> list[tuple[str, str]]:
    """Return a colour and one of four marks for each of some series; up to 16 of these pairs differ."""
    return [((BLUE, ORANGE, GREEN, GREY)[at % 4], marks[(at + at // 4) % 4]) for at in range(len(series))]


def _numbered(photos: Sequence[Image.Image]) -> list[str]:
    return [f"photo {index + 1}" for index in range(len(photos))]


def _fill(figure, images: Sequence[Image.Image], labels: Sequence[str], rows: int = 1, columns: int = 0) -> None:
    axes = list(figure.subplots(rows, columns or len(images), squeeze=False).flat)
    for axis in axes:
        axis.set_axis_off()
    for axis, image, label in zip(axes[: len(images)], images, labels, strict=True):
        axis.imshow(to_srgb(image), interpolation="lanczos")
        # A price is no formula. Without y, matplotlib measures hidden ticks in every draw to find the same place.
        axis.set_title(label, fontsize=TYPE, y=1.0, parse_math=False)
