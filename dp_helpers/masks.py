"""Masks for training and for painting: PIL mode "L", 255 = repaint, 0 = keep.

The paper masks with rectangles, ellipses and object shapes in equal shares, because users draw such masks
(section 3.4). It does not say where they lie. The example script of diffusers draws them anywhere on the photo:
there 11 % of the masks hide nothing of a centred product and only 14 % hide at least 90 % of it, so most steps teach
background. Here they are drawn around the product's box, and each of them hides at least `MIN_COVERAGE` of it.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy import ndimage

from .colors import levels
from .errors import InputError
from .presets import Masks
from .squares import Box

SIDES = (0.6, 1.5)  # sides of a rectangle or ellipse, in units of the sides of the product's box
MARGIN = (0.02, 0.3)  # how much wider and higher than the product's box a box around the whole product is
MIN_COVERAGE = 0.3  # smallest share of the product that a rectangle or ellipse hides
SPECK = 1 / 500  # a connected part of a mask smaller than this share of the largest part is a speck
_FINE = 64  # pixels: a wider blend is computed on a smaller mask
_COARSE = 1024  # pixels: the parts of a larger mask are found on a smaller one
_TRIES = 20


def binary(mask: Image.Image) -> Image.Image:
    """Return a mask as mode "L" with the values 0 and 255: grey is split at 128, transparent counts as black."""
    return levels(mask).point(lambda value: 255 if value >= 128 else 0)


def rectangle(size: tuple[int, int], box: Box) -> Image.Image:
    """Draw a filled rectangle; ``box`` is left, top, right, bottom in pixels, the last two exclusive."""
    mask = Image.new("L", size, 0)
    mask.paste(255, _clip(box, size))
    return mask


def ellipse(size: tuple[int, int], box: Box) -> Image.Image:
    """Draw a filled ellipse that touches the sides of ``box``."""
    mask = Image.new("L", size, 0)
    left, top, right, bottom = box
    ImageDraw.Draw(mask).ellipse((left, top, right - 1, bottom - 1), fill=255)
    return mask


def object_shaped(object_mask: Image.Image, grow_by: int = 0) -> Image.Image:
    """Return the object's own mask, grown by some pixels."""
    return grow(object_mask, grow_by)


def full(size: tuple[int, int]) -> Image.Image:
    """Return the mask that repaints everything."""
    return Image.new("L", size, 255)


def draw_mask(object_mask: Image.Image, rng: np.random.Generator, shares: Masks) -> Image.Image:
    """Draw one training mask from the mixture.

    The sides of a rectangle or ellipse are ``SIDES`` times those of the product's box, and its centre is in
    the middle half of that box. A mask that hides less than ``MIN_COVERAGE`` of the product is drawn again. Some of
    the product and its surroundings stay visible, yet almost every step still teaches the product.

    A share of the rectangles and ellipses, ``around``, encloses the whole product instead, as a customer's mask
    does. These masks teach the model how a product fits its mask. They and full masks are not in the paper; the
    inpainting checkpoint itself was trained with some full masks.

    Args:
        object_mask: the product's mask, not empty.
        rng: source of randomness.
        shares: how often each kind is drawn, and how much object shapes grow.

    Raises:
        InputError: the object mask is empty.
    """
    box = object_mask.getbbox()
    if box is None:
        raise InputError("The object mask is empty, so no training mask can be placed: give a mask of the object.")
    kinds = ("rectangle", "ellipse", "object", "full")
    weights = np.array([getattr(shares, kind) for kind in kinds])
    kind = rng.choice(kinds, p=weights / weights.sum())
    if kind == "full":
        return full(object_mask.size)
    if kind == "object":
        return object_shaped(object_mask, round(rng.uniform(0, shares.object_grow) * max(object_mask.size)))
    shape = rectangle if kind == "rectangle" else ellipse
    place = _box_around if rng.random() < shares.around else _box_near
    for _ in range(_TRIES):
        mask = shape(object_mask.size, place(box, rng))
        if coverage(mask, object_mask) >= MIN_COVERAGE:
            return mask
    return shape(object_mask.size, box)


def coverage(mask: Image.Image, object_mask: Image.Image) -> float:
    """Return the share of the object, 0 to 1, that the mask hides."""
    inside = np.asarray(object_mask) >= 128
    return float((np.asarray(mask)[inside] >= 128).mean()) if inside.any() else 0.0


def snap(mask: Image.Image, side: int, cell: int) -> Image.Image:
    """Scale a square mask to ``side`` pixels, and fill every cell of the latent grid that it touches.

    Nearest neighbour alone would lose thin strokes, once at the model's resolution and once more at latent size. A
    snapped mask loses nothing: `to_latent_size`, and so the pipeline, takes exactly the touched cells from it.

    Args:
        mask: square, of any size; every value but 0 counts as marked.
        side: the model's resolution, a multiple of ``cell``.
        cell: pixels a side of one latent pixel, the VAE's factor.
    """
    count = side // cell
    return picture(_touched(np.asarray(mask) > 0, (count, count))).resize((side, side), Image.NEAREST)


def to_latent_size(mask: Image.Image, factor: int) -> Image.Image:
    """Shrink a mask by the VAE's factor with nearest neighbour, picking the same pixels as the pipeline.

    torch's "nearest" picks the first pixel of every block and PIL's the middle one, so this takes a slice.
    """
    return Image.fromarray(np.ascontiguousarray(np.asarray(mask)[::factor, ::factor]))


def without_specks(mask: Image.Image) -> Image.Image:
    """Return the mask without its specks: connected parts smaller than ``SPECK`` times the largest part.

    One stray pixel far from the rest would widen the mask's box, and with it the square that is painted.
    """
    small = _touched(np.asarray(mask) >= 128, tuple(min(side, _COARSE) for side in mask.size[::-1]))
    parts, count = ndimage.label(small, np.ones((3, 3)))
    if count < 2:
        return mask
    areas = np.bincount(parts.ravel())
    kept = areas >= SPECK * areas[1:].max()
    kept[0] = False
    grown = ndimage.binary_dilation(kept[parts], np.ones((3, 3)))  # scaled back, it still holds the whole part
    return ImageChops.darker(picture(grown).resize(mask.size, Image.NEAREST), mask)


def picture(marked: np.ndarray) -> Image.Image:
    """Return an array of booleans (H, W) as a mask."""
    return Image.fromarray(np.where(marked, 255, 0).astype(np.uint8))


def grow(mask: Image.Image, pixels: int) -> Image.Image:
    """Grow a mask by some pixels in all directions, diagonals included; a negative number shrinks it."""
    if pixels == 0:
        return mask.copy()
    rank = ndimage.maximum_filter if pixels > 0 else ndimage.minimum_filter  # PIL's cost grows with pixels squared
    return Image.fromarray(rank(np.asarray(mask), 2 * abs(pixels) + 1, mode="nearest"))


def feather(mask: Image.Image, pixels: float) -> Image.Image:
    """Return blend weights for pasting: 0 outside the mask, rising to 255 over about ``pixels`` inside its edge.

    The blend is entirely inside the mask, so no pixel outside it changes. It follows the local thickness: parts of the
    mask that are thinner than four times ``pixels`` get half the width, or a quarter, and so on. So thin parts are
    repainted, too. At the border of the picture there is nothing to blend with, and the weights stay 255.

    Args:
        mask: with the values 0 and 255.
        pixels: width of the blend.
    """
    box = mask.getbbox()
    if pixels < 1 or box is None:
        return mask.copy()
    box = _clip((box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1), mask.size)
    inside = mask.crop(box)
    shrink = math.ceil(pixels / _FINE)  # a wide blend is smooth, so fewer pixels do
    small = picture(_touched(np.asarray(inside) > 0, tuple(math.ceil(side / shrink) for side in inside.size[::-1])))
    if small.getextrema()[0]:  # there is nothing to blend with on any side
        return mask.copy()
    blend = _feather(small, ndimage.distance_transform_edt(small), pixels / shrink)
    blend = grow(blend, int(shrink > 1))  # so that scaling up does not fade thin parts
    whole = Image.new("L", mask.size, 0)
    whole.paste(ImageChops.darker(blend.resize(inside.size, Image.BILINEAR), inside), box[:2])
    return whole


def _feather(mask: Image.Image, depth: np.ndarray, pixels: float) -> Image.Image:
    """Return the weights of `feather`; ``depth`` is each pixel's distance to the outside."""
    if pixels < 1:
        return mask
    shrunk = picture(ndimage.distance_transform_cdt(mask, "chessboard") > max(1, round(pixels / 2)))
    blend = ImageChops.darker(shrunk.filter(ImageFilter.GaussianBlur(pixels / 4)), mask)
    core = depth >= 2 * pixels
    parts, _ = ndimage.label(depth > 0, np.ones((3, 3)))
    thick = _near(core, 2.5 * pixels) & np.isin(parts, np.unique(parts[core]))  # 2.5: a round outline is not thin
    thin = (depth > 0) & ~thick
    if not thin.any():
        return blend
    narrower = _feather(mask, depth, pixels / 2)
    # The narrow blend reaches into the thick part, and fades out where both are white. So no gap separates the two.
    where = picture(_near(thin, 1.5 * pixels)).filter(ImageFilter.GaussianBlur(pixels / 4))
    return Image.composite(narrower, blend, where)


def _touched(marked: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return which cells of a grid of (rows, columns) over an array of booleans touch a true pixel."""
    for axis, count in enumerate(shape):
        length = marked.shape[axis]
        start = np.arange(count) * length // count
        end = -(np.arange(1, count + 1) * -length // count)  # rounded up: a pixel on the border of two cells is in both
        marked = np.pad(marked, [(0, axis == 0), (0, axis == 1)])  # reduceat takes no index behind the last pixel
        ranges = np.stack([start, end], axis=1).ravel()
        marked = np.logical_or.reduceat(marked, ranges, axis=axis).take(range(0, 2 * count, 2), axis)
    return marked


def _near(marked: np.ndarray, pixels: float) -> np.ndarray:
    """Return which pixels are within some pixels of a marked one, diagonals counting as 1."""
    return ndimage.distance_transform_cdt(~marked, "chessboard") <= pixels if marked.any() else marked


def _box_near(box: Box, rng: np.random.Generator) -> Box:
    """Draw a box with its centre in ``box``; see draw_mask."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    center_x, center_y = left + width * rng.uniform(0.25, 0.75), top + height * rng.uniform(0.25, 0.75)
    half_width, half_height = width * rng.uniform(*SIDES) / 2, height * rng.uniform(*SIDES) / 2
    return (
        round(center_x - half_width),
        round(center_y - half_height),
        round(center_x + half_width) + 1,
        round(center_y + half_height) + 1,
    )


def _box_around(box: Box, rng: np.random.Generator) -> Box:
    """Draw a box that holds all of ``box``, with some of its margin on every side."""
    left, top, right, bottom = box
    wider, higher = (right - left) * rng.uniform(*MARGIN), (bottom - top) * rng.uniform(*MARGIN)
    before, above = wider * rng.uniform(0.3, 0.7), higher * rng.uniform(0.3, 0.7)
    return (
        math.floor(left - before),
        math.floor(top - above),
        math.ceil(right + wider - before),
        math.ceil(bottom + higher - above),
    )


def _clip(box: Box, size: tuple[int, int]) -> Box:
    return max(box[0], 0), max(box[1], 0), min(box[2], size[0]), min(box[3], size[1])
