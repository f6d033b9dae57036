"""Masks for training and for painting: PIL mode "L", 255 = repaint, 0 = keep.

The paper masks with rectangles, ellipses and object shapes in equal shares, since these are what users draw
(section 3.4), and leaves open where they lie. Drawn anywhere on the photo, as diffusers' own example draws
them, one mask in nine hides nothing of the product and one in seven hides most of it, so most steps teach
background. Here they lie around the product's box and always hide a good part of it.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from .errors import InputError
from .presets import Masks

SIDES = (0.6, 1.5)  # sides of a rectangle or ellipse, in units of the sides of the product's box
MARGIN = (0.02, 0.3)  # by how much a box around the whole product is wider and higher than the product's own
MIN_COVERAGE = 0.3  # the least share of the product that a rectangle or ellipse hides
_TRIES = 20

Box = tuple[int, int, int, int]


def rectangle(size: tuple[int, int], box: Box) -> Image.Image:
    """A filled rectangle; ``box`` is left, top, right, bottom in pixels, the last two exclusive."""
    mask = Image.new("L", size, 0)
    mask.paste(255, _clip(box, size))
    return mask


def ellipse(size: tuple[int, int], box: Box) -> Image.Image:
    """A filled ellipse that touches the sides of ``box``."""
    mask = Image.new("L", size, 0)
    left, top, right, bottom = box
    ImageDraw.Draw(mask).ellipse((left, top, right - 1, bottom - 1), fill=255)
    return mask


def object_shaped(object_mask: Image.Image, grow_by: int = 0) -> Image.Image:
    """The object's own mask, grown by some pixels."""
    return grow(object_mask, grow_by)


def full(size: tuple[int, int]) -> Image.Image:
    """Everything is to be repainted."""
    return Image.new("L", size, 255)


def draw_mask(object_mask: Image.Image, rng: np.random.Generator, shares: Masks) -> Image.Image:
    """Draw one training mask from the mixture.

    Rectangles and ellipses take their sides from ``SIDES`` times the product's box and their centre from
    the middle half of that box; a draw that hides less than ``MIN_COVERAGE`` of the product is drawn again.
    So parts of the product and of what stands around it stay in sight, and still nearly every step teaches
    the product. A share of them, ``around``, goes around the whole product instead, as a customer's mask does: so
    the model learns how a product lies in its mask. These and full masks are not in the paper; the inpainting
    checkpoints are trained with a share of the latter.

    Args:
        object_mask: the product's mask, not empty.
        rng: the source of randomness.
        shares: how often each kind is drawn, and by how much object shapes grow.
    """
    box = object_mask.getbbox()
    if box is None:
        raise InputError(
            "The object mask is empty, so no training mask can be placed: give a mask of the object."
        )
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
    """The share of the object, 0 to 1, that the mask hides."""
    inside = np.asarray(object_mask) >= 128
    return float((np.asarray(mask)[inside] >= 128).mean()) if inside.any() else 0.0


def to_latent_size(mask: Image.Image, factor: int) -> Image.Image:
    """Shrink a mask by the VAE's factor, nearest neighbour, picking the very pixels that the pipeline picks.

    torch's "nearest" takes the first pixel of every block, PIL's the middle one: hence the slice.
    """
    return Image.fromarray(np.ascontiguousarray(np.asarray(mask)[::factor, ::factor]))


def grow(mask: Image.Image, pixels: int) -> Image.Image:
    """Grow a mask by some pixels in all directions (diagonals too); a negative number shrinks it."""
    if pixels == 0:
        return mask.copy()
    kind = ImageFilter.MaxFilter if pixels > 0 else ImageFilter.MinFilter
    return mask.filter(kind(2 * abs(pixels) + 1))


def feather(mask: Image.Image, pixels: float) -> Image.Image:
    """Blend weights for pasting: 0 outside the mask, rising to 255 over about ``pixels`` inside its edge.

    The blend lies wholly inside, so that no pixel outside the mask is touched. For a mask too thin for the
    width asked for, a smaller width is taken.
    """
    if pixels < 1:
        return mask.copy()
    shrunk = grow(mask, -max(1, round(pixels / 2)))
    if shrunk.getbbox() is None:
        return feather(mask, pixels / 2)
    return ImageChops.darker(shrunk.filter(ImageFilter.GaussianBlur(pixels / 4)), mask)


def _box_near(box: Box, rng: np.random.Generator) -> Box:
    """A box with sides and a centre drawn around ``box``; see draw_mask."""
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
    """A box that holds all of ``box``, with some of its margin on every side."""
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
