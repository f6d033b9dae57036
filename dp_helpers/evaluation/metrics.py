"""The metrics of the paper: CLIP score, and whether the context is preserved."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from transformers import CLIPImageProcessor, CLIPModel, CLIPVisionModel

from .. import models
from ..errors import InputError
from ..presets import Preset


def clip_score(image: Image.Image, references: Sequence[Image.Image], mask: Image.Image, preset: Preset) -> float:
    """Compute the CLIP score of section 5.1: how similar is the painted region to the item?

    Formula: max over references r of cos(CLIP(region), CLIP(r)). The region is the crop of the mask's box, as in the
    evaluation tool of Paint by Example (arXiv 2211.13227), which the paper follows.
    Range: -1 to 1. Higher is better. Near-identical items score alike (arXiv 2604.01973): see `retrieval`. By
    `tiny` 13 of 48 near-twins score above the true picture, and so do 3 of 26 blurred true pictures (data/results).

    Args:
        image: the painted photo.
        references: the item's photos.
        mask: mode "L", the photo's size, 255 = repainted.
        preset: names the CLIP model.

    Raises:
        InputError: the mask is empty or has another size than the image.
    """
    box = mask.getbbox()
    if box is None or mask.size != image.size:
        raise InputError("The CLIP score needs a mask of the photo's size that is not empty.")
    embeddings = image_embeddings([image.crop(box), *references], preset)
    return float((embeddings[1:] @ embeddings[0]).max())


@torch.no_grad()
def image_embeddings(images: Sequence[Image.Image], preset: Preset) -> torch.Tensor:
    """Return CLIP image embeddings of length 1, (images, width). Images are squeezed to a square, never cropped."""
    model, processor = _load_clip(preset)
    squares = _squares(images, model.config.vision_config.image_size)
    pixels = processor(squares, return_tensors="pt").pixel_values
    features = model.get_image_features(pixel_values=pixels)
    features = getattr(features, "pooler_output", features)  # transformers 4 returns the tensor itself
    return torch.nn.functional.normalize(features.float(), dim=-1)


@torch.no_grad()
def patch_features(images: Sequence[Image.Image], preset: Preset) -> torch.Tensor:
    """Return features of length 1 of the patches of CLIP's vision tower, (images, patches, width), row by row.

    Images are squeezed to a square, never cropped.
    """
    model, processor = _load_vision_tower(preset)
    squares = _squares(images, model.config.image_size)
    features = model(**processor(squares, return_tensors="pt")).last_hidden_state[:, 1:]  # without [CLS]
    return torch.nn.functional.normalize(features.float(), dim=-1)


def patch_shares(mask: Image.Image, patches: int) -> np.ndarray:
    """Return the share of each patch, 0 to 1, that the mask of a square covers, row by row."""
    side = round(patches**0.5)
    return np.asarray(mask.resize((side, side), Image.BOX), dtype=np.float32).ravel() / 255


def outside_max_change(before: Image.Image, after: Image.Image, mask: Image.Image) -> int:
    """Return the greatest change outside the mask: is the context preserved?

    Formula: max of |after - before| over all pixels outside the mask and all channels, in levels.
    Range: 0 to 255. Lower is better, and 0 is what pasting under the mask must reach.
    Source: the objective of section 3.1, that the regions outside the mask remain as they are.

    Args:
        before, after: the photo and the painted photo, of one size.
        mask: mode "L", the photo's size, 255 = repainted.
    """
    change = np.abs(np.asarray(before).astype(int) - np.asarray(after).astype(int))
    outside = change[np.asarray(mask) < 128]
    return int(outside.max()) if outside.size else 0


@lru_cache(maxsize=1)
def _load_clip(preset: Preset) -> tuple[CLIPModel, CLIPImageProcessor]:
    return models.load(preset, "clip", CLIPModel).eval(), models.load(preset, "clip", CLIPImageProcessor)


@lru_cache(maxsize=1)
def _load_vision_tower(preset: Preset) -> tuple[CLIPVisionModel, CLIPImageProcessor]:
    return models.load(preset, "clip", CLIPVisionModel).eval(), models.load(preset, "clip", CLIPImageProcessor)


def _squares(images: Sequence[Image.Image], side: int) -> list[Image.Image]:
    return [image.convert("RGB").resize((side, side), Image.BICUBIC) for image in images]
