"""Compare a painted photo with the true picture: the same camera and light, with the item really there.

The paper had no true pictures. Ours are rendered, so the comparison can go pixel by pixel.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity as ssim

from ..errors import InputError
from ..presets import Preset
from ..squares import cut, square_around
from .metrics import patch_features, patch_shares


def color_difference(image: Image.Image, truth: Image.Image, item_mask: Image.Image) -> float:
    """Return the mean colour difference on the item's pixels: does it have the right colours in the right places?

    Formula: mean of CIEDE2000 (Sharma, Wu and Dalal 2005, from scikit-image) over the item's pixels.
    Range: 0 to about 100; about 2 is a difference that one just sees. Lower is better.

    Args:
        image: the painted photo.
        truth: the true picture, of the same size.
        item_mask: mode "L", the same size, 255 where the true picture shows the item.
    """
    inside = _inside(image, truth, item_mask)
    one, other = (rgb2lab(_pixels(picture)[inside]) for picture in (image, truth))
    return float(deltaE_ciede2000(one, other).mean())


def structural_similarity(image: Image.Image, truth: Image.Image, item_mask: Image.Image) -> float:
    """Return the structural similarity on the item's pixels: are edges and patterns where they should be?

    Formula: SSIM map with Gaussian weights, sigma 1.5 (Wang et al. 2004, from scikit-image), mean of the three
    channels, then mean over the item's pixels.
    Range: -1 to 1; 1 is identical. Higher is better.

    Args:
        image, truth, item_mask: as for `color_difference`.
    """
    inside = _inside(image, truth, item_mask)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    _, values = ssim(_pixels(image), _pixels(truth), channel_axis=2, full=True, **options)
    return float(values[inside].mean())


def patch_distance(image: Image.Image, truth: Image.Image, item_mask: Image.Image, preset: Preset) -> float:
    """Return the distance of patch features on the item: does each place show what it should show?

    Formula: both pictures are cut to the square around the item; mean of 1 - cos(f(image), f(truth)) over the patches
    of CLIP's vision tower at the same place, each weighted by the share of it that the item covers.
    Range: 0 to 2; 0 is identical. Lower is better.
    Source: distances of aligned deep features, as in LPIPS (arXiv 1801.03924), here with the preset's CLIP.

    Args:
        image, truth, item_mask: as for `color_difference`.
        preset: names the CLIP model.
    """
    _inside(image, truth, item_mask)
    box = square_around(item_mask.getbbox(), item_mask.size, 1.0)
    one, other = patch_features([cut(picture, box) for picture in (image, truth)], preset)
    distances = 1 - (one * other).sum(dim=-1)
    weights = patch_shares(cut(item_mask, box, outside=0), len(distances))
    return max(0.0, float(np.average(distances.numpy(), weights=weights)))


def seam_ratio(image: Image.Image, truth: Image.Image, mask: Image.Image) -> float:
    """Return how visible the mask's edge is, compared with the true picture.

    Formula: G(image) / G(truth), where G is the mean absolute difference of neighbouring pixels, one of them inside
    the mask and the other outside, over all channels.
    Range: 0 and up. 1 is perfect: the edge is as smooth as in the true picture. Above 1 a seam shows.
    Source: ours, for what users report as visible edges on plain walls.

    Args:
        image: the painted photo.
        truth: the true picture, of the same size.
        mask: mode "L", the same size, 255 = repainted.
    """
    inside = _inside(image, truth, mask)
    painted, true = (_edge_gradient(_pixels(picture), inside) for picture in (image, truth))
    if true == 0:
        return 1.0 if painted == 0 else math.inf
    return painted / true


def _edge_gradient(pixels: np.ndarray, inside: np.ndarray) -> float:
    down = np.abs(np.diff(pixels, axis=0))[inside[1:] != inside[:-1]]
    across = np.abs(np.diff(pixels, axis=1))[inside[:, 1:] != inside[:, :-1]]
    differences = np.concatenate([down.ravel(), across.ravel()])
    return float(differences.mean()) if differences.size else 0.0


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=np.float64) / 255


def _inside(image: Image.Image, truth: Image.Image, mask: Image.Image) -> np.ndarray:
    """Return where the mask is set, after checking that all three are of one size and the mask is not empty."""
    inside = np.asarray(mask) >= 128
    if not image.size == truth.size == mask.size or not inside.any():
        raise InputError("Painted photo, true picture and mask must have one size, and the mask may not be empty.")
    return inside
