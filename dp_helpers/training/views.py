"""What one training photo may look like: the product moved, scaled, mirrored, or on another background.

The model learns the product at the sizes and places at which it will be painted. Catalogue photos have a plain
background. A model that sees nothing but white around the product brings the white along into every photo; the
paper names this entanglement of appearance and context as its limit (sections 5.3 and 7.1). So a share of the views
shows a random wall and floor instead. The paper does not do this.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageChops, ImageOps
from scipy import ndimage

from .. import masks
from ..presets import Preset
from ..squares import cut

NOISE = 6  # grey levels: paper is as close as this to a smooth surface
RIM = 1 / 64  # of the longer side
PLAIN = 0.2  # share of the pixels around the product that must be paper; the others are shadows


def draw_view(
    photo: Image.Image,
    object_mask: Image.Image,
    preset: Preset,
    rng: np.random.Generator,
    *,
    mirrored: bool = False,
) -> tuple[Image.Image, Image.Image]:
    """Draw one view of a photo and of its object mask; both are moved and scaled alike to the preset's resolution.

    The product's longer side takes a share of the view drawn from ``augment_scale``, however large it is in its
    photo. Nothing that the object mask holds is cut off. Beyond the photo its edge pixels are repeated; on a plain
    background that leaves no seam.

    Args:
        photo: square, RGB.
        object_mask: mode "L", the photo's size, 255 = product.
        preset: resolution and augmentation.
        rng: source of randomness.
        mirrored: mirror the view, if the preset allows it (``augment_flip``).
    """
    settings, resolution = preset.finetune, preset.resolution
    if settings.augment_flip and mirrored:
        photo, object_mask = ImageOps.mirror(photo), ImageOps.mirror(object_mask)
    left, top, right, bottom = object_mask.getbbox()
    width, height = right - left, bottom - top
    side = math.ceil(max(width, height) / rng.uniform(*settings.augment_scale))
    corner = [
        math.floor(low - (side - length) * (0.5 + settings.augment_shift * rng.uniform(-0.5, 0.5)))
        for low, length in ((left, width), (top, height))
    ]
    square = (*corner, corner[0] + side, corner[1] + side)
    view = cut(photo, square).resize((resolution, resolution), Image.LANCZOS)
    mask = _scaled(cut(object_mask, square, outside=0), resolution)
    if settings.augment_background > 0 and rng.random() < settings.augment_background:
        view = change_background(view, mask, rng)
    return view, mask


def change_background(view: Image.Image, object_mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Replace the plain background of a product photo by random `surroundings`. The product's shadow falls on them.

    Args:
        view: RGB. One without a plain background stays as it is.
        object_mask: mode "L", the view's size, 255 = product.
        rng: source of randomness.
    """
    pixels, marked = np.asarray(view, np.float32), np.asarray(object_mask) > 0
    paper = _paper(pixels, ~ndimage.binary_dilation(marked, iterations=2))
    if paper is None:
        return view
    # A mask's rim is half paper: of its pixels, those count that differ from the paper.
    inner = ndimage.binary_erosion(marked, iterations=max(1, round(RIM * max(view.size))))
    product = inner | (marked & (np.abs(pixels - paper).max(-1) > 2 * NOISE))
    opacity = ndimage.gaussian_filter(product.astype(np.float32), 0.6)[..., None]
    light = (pixels / paper.clip(1, None)).clip(0, 1.05)  # 1 where no shadow falls
    mixed = opacity * pixels + (1 - opacity) * surroundings(view.size, rng) * light
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def surroundings(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw a plain wall above a plain floor in random colours and light: (H, W, 3), 0 to 255."""
    wall, floor = (rng.uniform(60, 255) + rng.uniform(-25, 25, 3) for _ in range(2))
    across, down = np.meshgrid(*(np.linspace(-1, 1, length) for length in size))
    light = 1 + rng.uniform(-0.2, 0.2) * across + rng.uniform(-0.2, 0.2) * down
    return (np.where((down > rng.uniform(-0.2, 1.2))[..., None], floor, wall) * light[..., None]).clip(0, 255)


def _scaled(mask: Image.Image, side: int) -> Image.Image:
    """Scale a square mask by nearest neighbour, and keep the thin parts that this loses."""
    nearest = mask.resize((side, side), Image.NEAREST)
    lost = ImageChops.subtract(masks.snap(mask, side, 1), masks.grow(nearest, 1))
    return ImageChops.lighter(nearest, lost)


def _paper(pixels: np.ndarray, around: np.ndarray) -> np.ndarray | None:
    """Fit a quadratic surface (H, W, 3) to the pixels around the product; None if few of them lie on it."""
    down, across = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
    terms = np.stack([np.ones_like(down), across, down, across**2, across * down, down**2], -1)
    chosen = around
    if around.any():  # a first guess, without dark shadows and what the mask misses
        chosen = around & (np.abs(pixels - np.median(pixels[around], 0)).max(-1) < 8 * NOISE)
    for _ in range(3):
        if chosen.sum() < max(PLAIN * around.sum(), terms.shape[-1]):
            return None
        paper = terms @ np.linalg.lstsq(terms[chosen], pixels[chosen], rcond=None)[0]
        chosen = around & (np.abs(pixels - paper).max(-1) < NOISE)
    return paper
