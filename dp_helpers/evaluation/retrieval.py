"""Retrieval: is the item found again among all catalogue items and their near-twins?

A near-twin is the same item with one detail changed: another emblem, a painted part on the other side, one colour
exchanged. A similarity alone does not say whether a picture shows the item or its twin. A rank does.

Encoder, crop and background are fixed: the preset's CLIP, the crop of the mask's box, the photo's own background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from ..catalog import Item
from ..errors import InputError
from ..presets import Preset
from .metrics import image_embeddings


@dataclass(frozen=True)
class Gallery:
    """What a picture is searched in: for each item by name, the embeddings of its photos (photos, width)."""

    embeddings: dict[str, torch.Tensor]


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
    """Embed the photos of all items and near-twins.

    Raises:
        InputError: two items have the same name.
    """
    names = [item.name for item in items]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"Two items of the gallery are called {name}: give every folder a name of its own.")
    return Gallery({item.name: image_embeddings(item.photos, preset) for item in items})


def find(image: Image.Image, mask: Image.Image, name: str, gallery: Gallery, preset: Preset) -> Found:
    """Search the gallery for the painted region, and return where the item was found.

    Formula: the similarity to an item is the maximum over its photos of the cosine of CLIP embeddings, as in
    `metrics.clip_score`; rank = 1 + the number of other items that are at least as similar, so a tie counts against.
    Range: rank 1 to the number of items. Lower is better.
    Source: retrieval in a gallery with similar negatives, as in arXiv 2512.19026.

    Args:
        image: the painted photo.
        mask: mode "L", the photo's size, 255 = repainted.
        name: of the item that was to be painted.
        gallery: from `make_gallery`.
        preset: names the CLIP model.

    Raises:
        InputError: the mask is empty, or the gallery has no such item.
    """
    box = mask.getbbox()
    if box is None or name not in gallery.embeddings:
        raise InputError(f"Retrieval needs a mask that is not empty and a gallery that holds {name}.")
    query = image_embeddings([image.crop(box)], preset)[0]
    scores = {other: float((photos @ query).max()) for other, photos in gallery.embeddings.items()}
    ahead = sum(score >= scores[name] for other, score in scores.items() if other != name)
    return Found(1 + ahead, scores[name], max(scores, key=scores.get))
