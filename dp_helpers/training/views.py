"""What one training photo may look like: the product moved, scaled, mirrored, or on another background.

The model learns the product at the sizes and places at which it will be painted. Catalogue photos have a plain
background. A model that sees nothing but white around the product brings the white along into every photo; the
paper names this entanglement of appearance and context as its limit (sections 5.3 and 7.1). So a share of the views
shows a random wall and floor instead. The paper does not do this.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from .. import masks
from ..presets import Preset
from ..squares import cut

EDGE = 2  # grey levels between neighbours; a smaller step is a shadow, or noise of the camera or the renderer


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
    """Replace the plain background of a product photo by random `surroundings`.

    ClipSeg's masks are too coarse to cut a product out along its outline, and they miss whole parts of a white
    product on white paper. But a plain background has no edges: every pixel that cannot be reached from the
    picture's border without crossing an edge is foreground. Shadows are no edges either; they are carried over.

    Args:
        view: RGB, on a plain background. A view that has edges everywhere is all foreground and stays as it is.
        object_mask: the product's mask. A coarse one is enough, because only its inner part is used.
        rng: source of randomness.
    """
    pixels, enclosed = np.asarray(view, np.float32), _enclosed(view)
    core = masks.grow(object_mask, -round(0.055 * max(view.size)))  # the outline of a white product may have gaps
    background = np.asarray(masks.grow(ImageChops.lighter(enclosed, core), 1)) == 0
    if not background.any():
        return view
    paper = _smooth(pixels, background)
    # The rim of the enclosed region is half background: keep only those of its pixels that have another colour.
    other = _picture(np.abs(pixels - paper).max(-1) > 4 * EDGE)
    front = ImageChops.lighter(masks.grow(enclosed, -2), ImageChops.darker(enclosed, other))
    alpha = ImageChops.lighter(front, core).filter(ImageFilter.GaussianBlur(0.6))
    alpha = np.asarray(alpha, np.float32)[..., None] / 255
    shadows = (pixels / paper.clip(1, None)).clip(0, 1.05)
    mixed = alpha * pixels + (1 - alpha) * surroundings(view.size, rng) * shadows
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


def _enclosed(view: Image.Image) -> Image.Image:
    """Find what cannot be reached from the border without crossing an edge: mode "L", 255 = enclosed."""
    pixels = np.asarray(view, np.float32)
    steps = [np.abs(np.diff(pixels, axis=axis, prepend=pixels.take([0], axis))).max(-1) for axis in (0, 1)]
    edges = masks.grow(_picture(np.maximum(*steps) > EDGE), 1)  # closes small gaps
    flooded = ImageOps.expand(ImageChops.invert(edges), 1, 255)  # a rim that joins the four sides
    ImageDraw.floodfill(flooded, (0, 0), 128)
    return _picture(np.asarray(ImageOps.crop(flooded, 1)) != 128)


def _smooth(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Fit a quadratic surface to the pixels (H, W, 3) for which ``where`` is true."""
    down, across = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
    terms = np.stack([np.ones_like(down), across, down, across**2, across * down, down**2], -1)
    return terms @ np.linalg.lstsq(terms[where], pixels[where], rcond=None)[0]


def _picture(chosen: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(chosen, 255, 0).astype(np.uint8))
