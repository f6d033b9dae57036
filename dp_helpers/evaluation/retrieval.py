"""Retrieval: is the item found again among all catalogue items and their near-twins?

A near-twin is the same item with one detail changed: another emblem, a painted part on the other side, one colour
exchanged. The bare twin is the item without its details. A similarity alone does not say whether a picture shows the
item or a twin. A rank does, among what the gallery holds: a wrong detail that no twin has is not found out, and by
chance a picture with the right kind of product ranks in the middle of item and twins.

One embedding of the whole region is blind to most such details. So the region is compared patch by patch. Encoder,
crop and background are fixed: the preset's CLIP, the square around the mask, the photo's own background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from ..catalog import Item
from ..errors import InputError
from ..presets import Preset
from ..segment import object_masks
from ..squares import cut, square_around
from .metrics import patch_features, patch_shares

PRODUCT_SCALE = 1.15  # side of the square around the product on a reference photo, in units of its longer side
COVERED = 0.3  # least share of a patch under the mask for the patch to count as painted


@dataclass(frozen=True)
class Product:
    """The product on one photo: the features of its patches (patches, width), and the share of each that it covers."""

    features: torch.Tensor
    shares: torch.Tensor


@dataclass(frozen=True)
class Gallery:
    """What a picture is searched in: for each item by name, the product on each of its photos."""

    products: dict[str, list[Product]]


@dataclass(frozen=True)
class Found:
    """Where an item was found."""

    rank: int
    similarity: float  # to the item itself
    nearest: str  # name of the item with the greatest similarity

    @property
    def top1(self) -> float:
        """Return 1 if the item was found first, otherwise 0. Higher is better; its mean is the top-1 accuracy."""
        return float(self.rank == 1)

    @property
    def reciprocal_rank(self) -> float:
        """Return 1 / rank, greater than 0 and at most 1. Higher is better; its mean is the mean reciprocal rank."""
        return 1 / self.rank


def make_gallery(items: Sequence[Item], preset: Preset) -> Gallery:
    """Encode the product on each photo of all items and near-twins, cut to the square around its object mask.

    A twin has the outline of its item, so the item's masks serve for the photos of the same names.

    Raises:
        InputError: two items have the same name.
    """
    names = [item.name for item in items]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Two items of the gallery are called {name}: give every folder a name of its own.")
    masks = {}
    for item in sorted(items, key=lambda item: "twin_of" in item.info):  # twins come last
        paths, of_item = [path.name for path in item.paths], masks.get(item.info.get("twin_of"), {})
        own = [of_item[name] for name in paths] if of_item.keys() >= set(paths) else object_masks(item, preset)
        masks[item.name] = dict(zip(paths, own, strict=True))
    encoded = {item.name: encode(item.photos, list(masks[item.name].values()), PRODUCT_SCALE, preset) for item in items}
    return Gallery(encoded)


def encode(images: Sequence[Image.Image], masks: Sequence[Image.Image], scale: float, preset: Preset) -> list[Product]:
    """Encode the square around the mask of each image, and say how much of each patch the mask covers.

    Args:
        images, masks: of the same sizes.
        scale: side of the square, in units of the longer side of the mask's box.
        preset: names the CLIP model.
    """
    boxes = [square_around(mask.getbbox(), mask.size, scale) for mask in masks]
    features = patch_features([cut(image, box) for image, box in zip(images, boxes, strict=True)], preset)
    covered = [cut(mask, box, outside=0) for mask, box in zip(masks, boxes, strict=True)]
    shares = [torch.from_numpy(patch_shares(mask, features.shape[1])) for mask in covered]
    return [Product(*both) for both in zip(features, shares, strict=True)]


def find(image: Image.Image, mask: Image.Image, name: str, gallery: Gallery, preset: Preset) -> Found:
    """Search the gallery for what was painted, and return where the item was found.

    Formula: the similarity to a photo is the mean over the patches p of its product of max over the painted patches q
    of cos(p, q), weighted by the share of p that the product covers; that to an item is the maximum over its photos.
    rank = 1 + the number of other items that are at least as similar, so a tie counts against the item.
    Range: similarity -1 to 1, higher is better; rank 1 to the number of items, lower is better.
    Weak point: it does not see the size, and hardly the shape. A patch may match anywhere in a square that is cut
    around the mask. True pictures with their tiles shuffled still have a mean rank of 2.6, and a similarity of 0.65
    instead of 0.77 (data/results/metrics.md, with `tiny`). A plain product is hard: a white box scores above the true
    picture of the white mug (0.91 and 0.80).
    Source: retrieval in a gallery with similar negatives, as in arXiv 2512.19026; matching of patch features is ours.

    Args:
        image: the painted photo.
        mask: mode "L", the photo's size, 255 = repainted.
        name: of the item that was to be painted.
        gallery: from `make_gallery`.
        preset: names the CLIP model.

    Raises:
        InputError: the mask is empty, or the gallery has no such item.
    """
    if mask.getbbox() is None or name not in gallery.products:
        raise InputError(f"Retrieval needs a mask that is not empty and a gallery that holds {name}.")
    (region,) = encode([image], [mask], 1.0, preset)
    painted = region.features[region.shares >= min(COVERED, float(region.shares.max()))]
    scores = {other: max(_similarity(product, painted) for product in own) for other, own in gallery.products.items()}
    ahead = sum(score >= scores[name] for other, score in scores.items() if other != name)
    return Found(1 + ahead, scores[name], max(scores, key=scores.get))


def _similarity(product: Product, painted: torch.Tensor) -> float:
    nearest = (product.features @ painted.T).max(dim=1).values
    return float((nearest * product.shares).sum() / product.shares.sum())
