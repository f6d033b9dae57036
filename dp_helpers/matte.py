"""Which part of a painted square is the product? The answer is a matte: a soft mask, 255 = product.

A model paints the product and, around it, its guess of the surroundings. The photo shows the true surroundings, so it
is better to paste the product alone. ClipSeg finds most of it. It overlooks parts in other colours, which two simple
rules bring back: vivid colours that the photo does not have there, and, close to the product, what is darker than the
photo: dark parts and the shadow. The paper does not do this: it pastes all that is under the mask.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2lab

from . import segment
from .presets import Preset

# Each range is a soft threshold: 0 below it, 1 above it. Chroma and lightness are CIELAB's, lightness from 0 to 100.
FOUND = (0.25, 0.6)  # ClipSeg's probability for the painting
REPLACED = (0.6, 0.9)  # and for the photo: stricter, because it takes parts of empty rooms for a table or a vase
CLOSE = (0.05, 0.25)  # the same, blurred: the product or next to it
VIVID = (22, 38)  # chroma of the painting
CHANGED = (12, 25)  # distance of painting and photo in a* and b*
DARKER = (10, 35)  # lightness of the photo minus that of the painting
SOLID = 0.4  # what such values enclose is product, too,
ENCLOSED = 0.2  # if ClipSeg's mean probability there is as high; else it is a hole, such as that of a handle
SPECK = 0.05  # a part smaller than this share of the largest one is left out


def product_matte(painted: Image.Image, before: Image.Image, class_noun: str, preset: Preset) -> Image.Image:
    """Find the painted product, softly.

    What the photo showed before of the same class is in the matte as well: the old T-shirt must not look out from
    under the new one.

    Args:
        painted: RGB, the square as the model painted it.
        before: RGB, the same size, the same square of the photo.
        class_noun: what was painted.
        preset: the ClipSeg model and its prompts.

    Returns:
        Mode "L", the size of ``painted``, 0 = leave the photo as it is, 255 = paste the painting.
    """
    now, old = (
        _resized(found, painted.size) for found in segment.probability_maps([painted, before], class_noun, preset)
    )
    lightness, *chroma = np.moveaxis(rgb2lab(np.asarray(painted)), -1, 0)
    light_before, *chroma_before = np.moveaxis(rgb2lab(np.asarray(before)), -1, 0)
    vivid = _above(np.hypot(*chroma), VIVID) * _above(np.hypot(*np.subtract(chroma, chroma_before)), CHANGED)
    close = _above(ndimage.gaussian_filter(now, painted.width / 64), CLOSE)
    product = np.max([_above(now, FOUND), vivid, close * _above(light_before - lightness, DARKER)], 0)
    matte = _filled(np.maximum(_without_specks(product), _above(old, REPLACED)), now)
    soft = ndimage.gaussian_filter(matte, painted.width / 180)
    return Image.fromarray((soft * 255).round().astype(np.uint8))


def _without_specks(matte: np.ndarray) -> np.ndarray:
    """Return the matte without what is faint, and without parts much smaller than its largest one."""
    parts, count = ndimage.label(matte > SOLID / 2)
    areas = np.append(0, ndimage.sum_labels(matte, parts, np.arange(1, count + 1)))  # label 0 is no part
    return matte * ((areas > 0) & (areas >= SPECK * areas.max()))[parts]


def _filled(matte: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return the matte with those holes filled that may be product by ClipSeg's probability."""
    holes, count = ndimage.label(ndimage.binary_fill_holes(matte > SOLID) & (matte <= SOLID))
    means = ndimage.mean(probability, holes, np.arange(1, count + 1))
    return np.maximum(matte, np.isin(holes, 1 + np.flatnonzero(means >= ENCLOSED)))


def _above(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return 0 for values below both limits, 1 above both, and a straight line between them."""
    low, high = limits
    return np.clip((values - low) / (high - low), 0, 1)


def _resized(probability: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(probability.numpy()).resize(size, Image.BILINEAR))
