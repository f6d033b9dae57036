"""Compare a painted photo with the true picture: the same camera and light, with the item really there.

The paper had no true pictures. Ours are rendered, so the comparison can go pixel by pixel.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import structural_similarity as ssim

from .. import masks
from ..errors import InputError
from ..presets import Preset
from ..squares import cut, square_around
from .metrics import patch_features, patch_shares

VISIBLE = 10  # CIEDE2000 from which a pixel counts as part of a detail
AROUND = 0.05  # how far around a detail the product counts with it, share of the longer side of the item's box
_ONE_LEVEL = 1 / 255


def color_difference(image: Image.Image, truth: Image.Image, item_mask: Image.Image) -> float:
    """Return the mean colour difference on the item's pixels: does it have the right colours in the right places?

    Formula: mean of CIEDE2000 (Sharma, Wu and Dalal 2005, from scikit-image) over the item's pixels.
    Range: 0 to about 100; about 2 is a difference that one just sees. Lower is better.
    Weak point: patterns hardly count. In data/results/metrics.md the true outline in the item's mean colour scores
    22.0, and the true item moved aside by a tenth 21.7. So a small difference between two painters says little.

    Args:
        image: the painted photo.
        truth: the true picture, of the same size.
        item_mask: mode "L", the same size, 255 where the true picture shows the item.
    """
    return float(_color_differences(image, truth, _inside(image, truth, item_mask)).mean())


def detail_error(image: Image.Image, truth: Image.Image, bare: Image.Image, item_mask: Image.Image) -> float:
    """Return how wrong the item's details are, where 1 is as wrong as if the item had none.

    Formula: C(image) / C(bare), where C is the mean CIEDE2000 from the true picture over the pixels of the item's
    details and of the item within `AROUND` of them. Details are where ``bare`` differs from the true picture by more
    than `VISIBLE`. Their surroundings count, because a white wall is as white as a white arm.
    Range: 0 and up. Lower is better: 0 is the true picture, 1 as far off as the item without its details. Above 1
    stands another colour, or another thing. nan where no detail can be seen.
    Source: ours. It looks at fixed places, so a detail that is right but elsewhere (the item turned, or moved) counts
    as wrong. It compares colours, so a blurred detail counts as half right: 0.59 in data/results/metrics.md.

    Args:
        image, truth, item_mask: as for `color_difference`.
        bare: the same scene with the item without its details.
    """
    inside = _inside(bare, truth, item_mask)
    detail = np.zeros_like(inside)
    detail[inside] = _color_differences(bare, truth, inside) > VISIBLE
    if not detail.any():
        return math.nan
    left, top, right, bottom = item_mask.getbbox()
    grown = masks.grow(Image.fromarray(detail.astype(np.uint8) * 255), round(AROUND * max(right - left, bottom - top)))
    where = inside & (np.asarray(grown) >= 128)
    painted, without = (_color_differences(picture, truth, where).mean() for picture in (image, bare))
    return float(painted / without)


def structural_similarity(image: Image.Image, truth: Image.Image, item_mask: Image.Image) -> float:
    """Return the structural similarity on the item's pixels: are edges and patterns where they should be?

    Formula: SSIM map with Gaussian weights, sigma 1.5 (Wang et al. 2004, from scikit-image), mean of the three
    channels, then mean over the item's pixels.
    Range: -1 to 1; 1 is identical. Higher is better.
    Weak point: it forgives colours and rewards flat areas. In data/results/metrics.md the true item without colour
    scores 0.76, its outline in one colour 0.49, and the true item moved aside by a tenth 0.39. So do not rank painters
    by it.

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
    Weak point: it asks for the right place. The true item moved aside by a tenth scores 0.44 in
    data/results/metrics.md, as DreamPaint's paintings do.
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
    the mask and the other outside, over all channels. G is at least one level of 255. Rendered walls have a G of 0.2,
    and without that bound a step that nobody can see would count as a seam of 5.
    Range: 0 and up. 1 is perfect: the edge is as smooth as in the true picture. Above 1 a seam shows.
    Weak point: it sees the seam alone. A photo in which nothing was painted scores 0.98.
    Source: ours, for what users report as visible edges on plain walls.

    Args:
        image: the painted photo.
        truth: the true picture, of the same size.
        mask: mode "L", the same size, 255 = repainted.
    """
    inside = _inside(image, truth, mask)
    painted, true = (_edge_gradient(_pixels(picture), inside) for picture in (image, truth))
    return max(painted, _ONE_LEVEL) / max(true, _ONE_LEVEL)


def _color_differences(image: Image.Image, truth: Image.Image, where: np.ndarray) -> np.ndarray:
    """Return CIEDE2000 of the pixels of a boolean map (h, w), as one row."""
    one, other = (rgb2lab(_pixels(picture)[where]) for picture in (image, truth))
    return deltaE_ciede2000(one, other)


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
