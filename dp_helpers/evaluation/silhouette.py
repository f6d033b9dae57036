"""The shape of what was painted: is the product whole, and does it keep its aspect?

The silhouette is what ClipSeg finds in the painted square for the class noun, within the mask. ClipSeg makes errors of
its own. The values of the true pictures, which stand next to those of the painters, show how large these are. Both
metrics ask for a shape alone: by them the true outline in one colour is as good as the true product.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageChops

from .. import masks, presets
from ..presets import Preset
from ..segment import probability_maps, to_mask
from ..squares import cut, square_around

BORDER = 0.02  # how near the mask's border counts as touching it, share of the longer side of the mask's box


def silhouette(image: Image.Image, mask: Image.Image, class_noun: str, preset: Preset) -> Image.Image:
    """Find the painted product: ClipSeg's mask of the painted square, without growth, within the mask.

    Args:
        image: the painted photo.
        mask: mode "L", the photo's size, 255 = repainted.
        class_noun: what was painted.
        preset: ClipSeg and its settings; ``inpaint.crop_scale`` gives the square.

    Returns:
        The silhouette, mode "L", the photo's size. It is empty where ClipSeg finds nothing.
    """
    box = square_around(masks.without_specks(mask).getbbox(), image.size, preset.inpaint.crop_scale)
    square = cut(image, box)
    exact = presets.change(preset, segment={"grow": 0.0, "edges": 0.0})  # a room has edges of its own
    found = to_mask(probability_maps([square], class_noun, preset)[0], square, exact)
    whole = Image.new("L", image.size, 0)
    whole.paste(found, box[:2])
    return ImageChops.darker(whole, masks.binary(mask))


def containment(painted: Image.Image, mask: Image.Image) -> float:
    """Return how much of the silhouette's outline touches the mask's border: is the product cut off?

    Formula: outline pixels of the silhouette within ``BORDER`` of the mask's border, divided by all its outline pixels.
    Range: 0 to 1; nan for an empty silhouette. Lower is better: 0 is free of the border, 1 fills it.
    Source: ours, for what users report as products that do not fit into their mask.

    Args:
        painted: from `silhouette`.
        mask: mode "L", the photo's size, 255 = repainted.
    """
    box = mask.getbbox()
    width = max(1, round(BORDER * max(box[2] - box[0], box[3] - box[1])))
    outline, border = _rim(painted, 1), _rim(masks.binary(mask), width)
    return float((outline & border).sum() / outline.sum()) if outline.any() else math.nan


def aspect_error(painted: Image.Image, truth: Image.Image) -> float:
    """Return how wrong the product's aspect is.

    Formula: |log((w / h) / (w' / h'))|, with width and height of the boxes of the painted and the true silhouette.
    Range: 0 and up; 0.1 is about 10 % too wide or too narrow; nan for an empty silhouette. Lower is better.
    Source: ours, for what users report as products that were stretched.

    Args:
        painted: from `silhouette`.
        truth: mode "L", 255 where the true picture shows the item.
    """
    if painted.getbbox() is None:
        return math.nan
    aspects = [(right - left) / (low - top) for left, top, right, low in (painted.getbbox(), truth.getbbox())]
    return abs(math.log(aspects[0] / aspects[1]))


def _rim(shape: Image.Image, width: int) -> np.ndarray:
    """Return the pixels of a shape within ``width`` of its outside; beyond the picture is outside."""
    framed = Image.new("L", (shape.width + 2 * width, shape.height + 2 * width), 0)
    framed.paste(shape, (width, width))
    core = np.asarray(masks.grow(framed, -width))[width:-width, width:-width] >= 128
    return (np.asarray(shape) >= 128) & ~core
