"""Cut a product out of its plain background, and keep the shadow that it throws.

ClipSeg's masks are too coarse for this: they have a rim of paper, and they miss white parts on white paper. So the
paper is estimated, and a pixel belongs to the product if it has a colour of its own, if it is far darker than a
shadow, or if an outline encloses it. A shadow is paper that fades softly to grey: it has neither colour nor outline.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

TINT, DARK = 0.05, 0.55  # shares of the paper's brightness: what no shadow on it reaches
RELIEF = 1.6 / 255  # of the paper's brightness between a pixel and its neighbourhood: an outline of white on white
WHITE = 0.05  # an enclosed region whose brightness is nearer to the paper's may be paper, seen through a handle
CORE = 0.055  # share of the side: so far inside its edge, the object mask is right even where it is coarse


def cut_out(view: Image.Image, object_mask: Image.Image) -> tuple[np.ndarray, np.ndarray] | None:
    """Find the product's outline and the light on the paper around it.

    Args:
        view: RGB, on a plain background.
        object_mask: mode "L", the view's size, 255 = product. A coarse one is enough.

    Returns:
        The opacity of the product (H, W), 0 to 1, and the light on the paper (H, W, 3), 1 where no shadow falls.
        None if the view shows no plain background.
    """
    pixels, marked = np.asarray(view, np.float32), np.asarray(object_mask) > 0
    paper = _paper(pixels, ~ndimage.binary_dilation(marked, iterations=round(0.05 * max(view.size))))
    if paper is None:
        return None
    light = pixels / paper.clip(1, None)
    shade = light.mean(-1)
    own = (np.abs(light - shade[..., None]).max(-1) > TINT) | (shade < DARK)
    outlines = ndimage.binary_dilation(own | (_relief(shade, ~own) > RELIEF))
    whole = outlines | _enclosed(outlines, marked, shade)
    # The outlines are two pixels wider than the product, and three pixels of white are the least that can be trusted.
    white = ndimage.binary_opening(ndimage.binary_erosion(whole, iterations=2), np.ones((3, 3)))
    core = ndimage.binary_erosion(marked, iterations=round(CORE * max(view.size)))
    product = _touching(own | white | core, marked)
    return ndimage.gaussian_filter(product.astype(np.float32), 0.6), light.clip(0, 1.05)


def _paper(pixels: np.ndarray, around: np.ndarray) -> np.ndarray | None:
    """Fit a quadratic surface (H, W, 3) to the pixels around the product, without those that stand out from it."""
    down, across = np.mgrid[-1 : 1 : pixels.shape[0] * 1j, -1 : 1 : pixels.shape[1] * 1j]
    terms, chosen = np.stack([np.ones_like(down), across, down, across**2, across * down, down**2], -1), around
    for _ in range(3):
        if chosen.mean() < 0.02:
            return None
        paper = terms @ np.linalg.lstsq(terms[chosen], pixels[chosen], rcond=None)[0]
        chosen = around & (np.abs(pixels - paper).max(-1) < 6)  # grey levels
    return paper


def _relief(shade: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return how far each pixel for which ``where`` is true is from the mean of its neighbours, 0 for all others."""
    weights = ndimage.gaussian_filter(where.astype(np.float32), 1)
    means = ndimage.gaussian_filter(np.where(where, shade, 0), 1) / weights.clip(1e-3, None)
    return np.where(where, np.abs(shade - means), 0)


def _enclosed(outlines: np.ndarray, marked: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Return the enclosed regions that are product: by the object mask, or because they are not as bright as paper."""
    regions, count = ndimage.label(~outlines)
    border = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    inner = np.setdiff1d(np.arange(1, count + 1), border)
    chosen = [
        region
        for region in inner
        if marked[regions == region].mean() > 0.25 or abs(np.median(shade[regions == region]) - 1) > WHITE
    ]
    return np.isin(regions, chosen)


def _touching(product: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Leave out what does not touch the object mask: dust, and the seams where the photo ends."""
    parts, _ = ndimage.label(ndimage.binary_dilation(product))
    return product & np.isin(parts, np.unique(parts[marked & (parts > 0)]))
