"""Properties of the way from photo and mask to the painted photo, for masks of any shape."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from dp_helpers import inpaint, masks, presets, squares
from dp_helpers.training import latents

SIDES = st.integers(1, 120)


@st.composite
def drawings(draw, sides=SIDES):
    """A mask of one to four rectangles, ellipses, lines and single pixels, some of them at the border."""
    size = draw(sides), draw(sides)
    mask = Image.new("L", size, 0)
    pen = ImageDraw.Draw(mask)
    for _ in range(draw(st.integers(1, 4))):
        left, right = sorted(draw(st.integers(0, size[0] - 1)) for _ in range(2))
        top, bottom = sorted(draw(st.integers(0, size[1] - 1)) for _ in range(2))
        kind = draw(st.sampled_from(["rectangle", "ellipse", "line", "point"]))
        if kind == "point":
            mask.putpixel((left, top), 255)
        elif kind == "line":
            pen.line((left, top, right, bottom), 255, draw(st.integers(1, 6)))
        else:
            getattr(pen, kind)((left, top, right, bottom), 255)
    if mask.getbbox() is None:  # an ellipse without an inside
        mask.putpixel((0, 0), 255)
    return mask


def one_width(mask, pixels):
    """The blend of one width for the whole mask, as it was before it followed the thickness."""
    shrunk = masks.grow(mask, -max(1, round(pixels / 2)))
    blend = np.asarray(shrunk.filter(ImageFilter.GaussianBlur(pixels / 4)))
    return np.minimum(blend, np.asarray(mask))


# The blend


@settings(max_examples=100, deadline=None)
@given(drawings(), st.floats(0, 64))
def test_the_blend_is_inside_the_mask_and_every_part_of_it_is_repainted(mask, pixels):
    inside, weights = np.asarray(mask) > 0, np.asarray(masks.feather(mask, pixels)).astype(int)
    assert (weights[~inside] == 0).all()
    parts, count = ndimage.label(inside, np.ones((3, 3)))
    for part in range(1, count + 1):
        own = weights[parts == part]
        assert own.max() > 0.9 * 255 and own.mean() > 0.2 * 255


@settings(max_examples=50, deadline=None)
@given(st.integers(40, 120), st.integers(40, 120), st.floats(1, 10), st.booleans())
def test_the_blend_of_a_wide_mask_has_one_width(width, height, pixels, round_):
    box = (10, 5, 10 + width, 5 + height)
    mask = (masks.ellipse if round_ and width == height else masks.rectangle)((140, 130), box)
    off = np.asarray(masks.feather(mask, pixels)).astype(int) - one_width(mask, pixels)
    assert abs(off).max() <= 1  # one level: PIL's blur rounds by the picture's size


@pytest.mark.parametrize("pole", [1, 3, 6, 10, 14, 20])
def test_the_pole_of_a_lamp_is_repainted(pole):
    lamp = Image.new("L", (256, 256), 0)
    left = 128 - pole // 2
    ImageDraw.Draw(lamp).ellipse((88, 20, 168, 90), fill=255)
    lamp.paste(255, (left, 80, left + pole, 230))
    blend = np.asarray(masks.feather(lamp, 0.08 * 1.4 * 210))
    assert blend[120:220, left : left + pole].mean() > 0.65 * 255
    assert blend[60:220, 128].min() > 0.75 * 255  # without a gap between shade and pole


def test_two_small_discs_in_a_large_photo_are_repainted():
    mask = Image.new("L", (1024, 1024), 0)
    for low in (100, 900):
        ImageDraw.Draw(mask).ellipse((low, low, low + 60, low + 60), fill=255)
    assert np.asarray(masks.feather(mask, 0.08 * 1024))[np.asarray(mask) > 0].mean() > 0.55 * 255


def test_a_large_mask_is_blended_as_a_small_one_is():
    small = masks.ellipse((300, 300), (40, 60, 260, 240))
    large = small.resize((2400, 2400), Image.NEAREST)
    one, other = masks.feather(small, 20), masks.feather(large, 160).resize((300, 300), Image.BOX)
    assert abs(np.asarray(one).astype(int) - np.asarray(other)).mean() < 2
    assert (np.asarray(masks.feather(large, 160))[np.asarray(large) == 0] == 0).all()


# The latent grid


@settings(max_examples=60, deadline=None)
@given(drawings(st.shared(st.integers(1, 200), key="side")), st.sampled_from([(32, 4), (64, 8), (128, 4), (24, 1)]))
def test_a_snapped_mask_fills_the_touched_cells_and_no_other(mask, grid):
    side, cell = grid
    snapped = masks.snap(mask, side, cell)
    small = np.asarray(masks.to_latent_size(snapped, cell))
    assert snapped.size == (side, side) and set(np.unique(small)) <= {0, 255}
    assert (np.kron(small, np.ones((cell, cell), np.uint8)) == np.asarray(snapped)).all()
    rows, columns = np.nonzero(np.asarray(mask))
    count, edge = side // cell, mask.width
    touched = np.zeros((count, count), bool)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        down, across = (slice(at * count // edge, -(-(at + 1) * count // edge)) for at in (row, column))
        touched[down, across] = True
    assert (touched == (small > 0)).all()


@settings(max_examples=30, deadline=None)
@given(drawings(st.just(64)), st.sampled_from([4, 8]))
def test_the_pipelines_nearest_neighbour_gives_the_same_cells(mask, cell):
    snapped = masks.snap(mask, 64, cell)
    pixels = latents.mask_to_tensor(snapped)[None]
    theirs = torch.nn.functional.interpolate(pixels, size=(64 // cell, 64 // cell))[0]
    assert torch.equal(theirs, latents.mask_to_tensor(masks.to_latent_size(snapped, cell)))


@pytest.mark.parametrize("width", [1, 2, 4])
def test_a_thin_line_on_a_large_photo_reaches_the_model(width):
    line = masks.rectangle((1024, 1024), (501, 300, 501 + width, 700))
    square = inpaint.cut_square(Image.new("RGB", line.size), line, presets.Inpaint(), 512, 8)
    seen = np.asarray(masks.to_latent_size(square.mask_image, 8)) > 0
    assert seen.any(1).sum() >= 64 * 400 // 800 and square.mask.tobytes() == line.tobytes()


def test_training_masks_are_snapped(preset, item):
    thin = Image.new("L", item.photos[0].size, 0)
    thin.paste(255, (20, 5, 21, 43))
    only_objects = presets.change(
        preset, masks={"rectangle": 0, "ellipse": 0, "object": 1, "object_grow": 0}, finetune={"augment_shift": 0.7}
    )
    seen = []

    def encode(image):
        seen.append(image)
        return SimpleNamespace(latent_dist=SimpleNamespace(sample=lambda generator: torch.zeros(1, 4, 8, 8)))

    config = SimpleNamespace(block_out_channels=(1, 1, 1), scaling_factor=1.0)
    vae = SimpleNamespace(device="cpu", dtype=torch.float32, config=config, encode=encode)
    bank = latents.build_bank(vae, item.photos, [thin] * len(item.photos), only_objects, seed=0)
    assert (bank.mask.flatten(1).sum(1) > 0).all() and (bank.object_mask.flatten(1).sum(1) > 0).all()
    per_view = 1 + preset.finetune.masks_per_view
    masked = [image for index, image in enumerate(seen) if index % per_view]  # the first of each view is the photo
    for image, mask in zip(masked, bank.mask, strict=True):
        whole = torch.nn.functional.interpolate(mask[None], size=image.shape[-2:])[0, 0] > 0
        assert (image[0][:, whole] == 0).all()


# The square


@settings(max_examples=300, deadline=None)
@given(st.data(), st.tuples(st.integers(8, 900), st.integers(8, 900)), st.floats(1, 4))
def test_the_square_grows_smoothly_and_shows_surroundings(data, size, scale):
    width, height = data.draw(st.integers(1, size[0])), data.draw(st.integers(1, size[1]))
    left, top = data.draw(st.integers(0, size[0] - width)), data.draw(st.integers(0, size[1] - height))
    box = (left, top, left + width, top + height)
    square = squares.square_around(box, size, scale)
    side = square[2] - square[0]
    assert side == square[3] - square[1] >= max(width, height)
    assert square[0] <= left and square[1] <= top and square[2] >= box[2] and square[3] >= box[3]
    shown = np.prod([min(square[2 + axis], size[axis]) - max(square[axis], 0) for axis in (0, 1)])
    least = 1 - 1 / min(scale, squares.SURROUNDINGS) - 1 / side
    assert 1 - width * height / shown >= least or shown == size[0] * size[1]
    if box[2] < size[0]:
        wider = squares.square_around((*box[:2], box[2] + 1, box[3]), size, scale)
        assert max(abs(one - other) for one, other in zip(square, wider, strict=True)) <= scale + 2


def test_a_mask_as_high_as_the_photo_shows_a_quarter_of_surroundings():
    sides = []
    for longer in range(230, 300):
        low = (256 - min(longer, 256)) // 2
        square = squares.square_around((200, low, 200 + longer, low + min(longer, 256)), (768, 256), 1.4)
        sides.append(square[2] - square[0])
        assert sides[-1] >= 1.33 * longer
    assert max(np.diff(sides)) <= 2 and min(np.diff(sides)) >= 0


def test_a_stray_pixel_does_not_widen_the_square():
    size, chosen = (1024, 1024), presets.Inpaint(crop_scale=1.4)
    clean = masks.rectangle(size, (100, 100, 401, 300))
    stray = clean.copy()
    stray.putpixel((1020, 1000), 255)
    photo = Image.new("RGB", size)
    with pytest.warns(UserWarning, match=r"^Specks of the mask far from its rest \(1 pixel\) stay as they are"):
        square = inpaint.cut_square(photo, stray, chosen, 32, 4)
    assert square.box == inpaint.cut_square(photo, clean, chosen, 32, 4).box
    two_parts = clean.copy()
    two_parts.paste(255, (900, 900, 930, 930))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inpaint.cut_square(photo, two_parts, chosen, 32, 4).box == (0, 0, 1024, 1024)


@settings(max_examples=60, deadline=None)
@given(drawings())
def test_without_specks_keeps_whole_parts(mask):
    kept, marked = np.asarray(masks.without_specks(mask)) > 0, np.asarray(mask) > 0
    assert kept.any() and not (kept & ~marked).any()
    parts, count = ndimage.label(marked, np.ones((3, 3)))
    for part in range(1, count + 1):
        assert kept[parts == part].all() or not kept[parts == part].any()


# The whole way


@settings(max_examples=100, deadline=None)
@given(drawings(), st.floats(1, 4), st.floats(0, 1), st.sampled_from([4, 8]), st.integers(0, 2**32 - 1))
def test_outside_the_mask_nothing_changes_and_inside_something_does(mask, crop_scale, feather, cell, seed):
    pixels = np.random.default_rng(seed).integers(0, 128, (mask.height, mask.width, 3), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # specks
        chosen = presets.Inpaint(crop_scale=crop_scale, feather=feather)
        square = inpaint.cut_square(Image.fromarray(pixels), mask, chosen, 32, cell)
    after, marked = np.asarray(square.paste(Image.new("RGB", (32, 32), "white"), {}).image), np.asarray(mask) > 0
    assert after.shape == pixels.shape and (after[~marked] == pixels[~marked]).all()
    assert (after[marked] != pixels[marked]).any(-1).mean() > 0.4
    assert np.asarray(square.mask_image).any()
