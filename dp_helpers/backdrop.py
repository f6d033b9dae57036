"""Another background behind a product that was photographed on a plain one.

ClipSeg's masks are too coarse to cut a product out along its outline, and of a white product on white paper they miss
whole parts. A plain background has no edges: what cannot be reached from the picture's border without crossing one is
foreground. Its shadows are no edges either; they are carried over to the new background.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from . import masks

EDGE = 2  # grey levels between neighbours; less is a shadow or the renderer's or camera's noise


def change(view: Image.Image, object_mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The product, and what it stands on or hangs from, with its shadows before random `surroundings`.

    Args:
        view: RGB, on a plain background; one that has edges all over is all foreground, and stays as it is.
        object_mask: of the product; ClipSeg's will do, since only its inner part is relied on.
        rng: source of the surroundings.
    """
    pixels, enclosed = np.asarray(view, np.float32), _enclosed(view)
    core = masks.grow(object_mask, -round(0.055 * max(view.size)))  # a white product's outline may have gaps
    behind = np.asarray(masks.grow(ImageChops.lighter(enclosed, core), 1)) == 0
    if not behind.any():
        return view
    paper = _smooth(pixels, behind)
    # The rim of what is enclosed is half background: of it stays what has another colour.
    other = _picture(np.abs(pixels - paper).max(-1) > 4 * EDGE)
    front = ImageChops.lighter(masks.grow(enclosed, -2), ImageChops.darker(enclosed, other))
    alpha = ImageChops.lighter(front, core).filter(ImageFilter.GaussianBlur(0.6))
    alpha = np.asarray(alpha, np.float32)[..., None] / 255
    shadows = (pixels / paper.clip(1, None)).clip(0, 1.05)
    mixed = alpha * pixels + (1 - alpha) * surroundings(view.size, rng) * shadows
    return Image.fromarray(mixed.clip(0, 255).astype(np.uint8))


def surroundings(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A plain wall above a plain floor in random colours and light: (H, W, 3), about 0 to 255.

    Seen before nothing but white, a product brings the white along into every photo: the entanglement of
    appearance and context that the paper names as its limit (sections 5.3 and 7.1).
    """
    wall, floor = (rng.uniform(60, 255) + rng.uniform(-25, 25, 3) for _ in range(2))
    across, down = np.meshgrid(*(np.linspace(-1, 1, length) for length in size))
    light = 1 + rng.uniform(-0.2, 0.2) * across + rng.uniform(-0.2, 0.2) * down
    return (np.where((down > rng.uniform(-0.2, 1.2))[..., None], floor, wall) * light[..., None]).clip(0, 255)


def _enclosed(view: Image.Image) -> Image.Image:
    """What cannot be reached from the border without crossing an edge, mode L, 255 = enclosed."""
    pixels = np.asarray(view, np.float32)
    steps = [np.abs(np.diff(pixels, axis=axis, prepend=pixels.take([0], axis))).max(-1) for axis in (0, 1)]
    edges = masks.grow(_picture(np.maximum(*steps) > EDGE), 1)  # closes small gaps
    flooded = ImageOps.expand(ImageChops.invert(edges), 1, 255)  # a rim that joins the four sides
    ImageDraw.floodfill(flooded, (0, 0), 128)
    return _picture(np.asarray(ImageOps.crop(flooded, 1)) != 128)


def _smooth(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The quadratic surface that fits the pixels (H, W, 3) best where ``where`` is true."""
    down, across = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
    terms = np.stack([np.ones_like(down), across, down, across**2, across * down, down**2], -1)
    return terms @ np.linalg.lstsq(terms[where], pixels[where], rcond=None)[0]


def _picture(chosen: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(chosen, 255, 0).astype(np.uint8))
