"""ClipSeg: an object mask for every photo, from the class noun alone (Lueddecke and Ecker, arXiv 2112.10003).

The masks need not be perfect. The paper expects their flaws to make the model robust to masks of any shape
(section 3.4). But a mask that is too wide brings white paper into the training views, and then into the paintings. So
the preset can let masks follow the edges of the photo, which the paper does not do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageFilter
from skimage.color import rgb2lab
from skimage.segmentation import random_walker
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

from . import models
from .catalog import Item
from .device import pick_device
from .errors import InputError
from .masks import grow
from .presets import Preset

SURE = (0.02, 0.95)  # below it a pixel is background, above it product; between them the photo's edges decide
SIDE = 256  # of the picture on which they decide, in pixels: as fine as ClipSeg's maps


def object_masks(item: Item, preset: Preset, *, device: str | torch.device | None = None) -> list[Image.Image]:
    """Find the product on every photo of an item. The user's own masks win over ClipSeg's.

    Args:
        item: its photos, class noun and own masks.
        preset: the ClipSeg model, its prompts, threshold, smoothing and growth.
        device: the GPU if there is one, unless given.

    Returns:
        One mask per photo, mode "L", the photo's size, 255 = product.

    Raises:
        InputError: nothing was found on a photo.
    """
    masks = list(item.own_masks)
    missing = [index for index, mask in enumerate(masks) if mask is None]
    if missing:
        photos = [item.photos[index] for index in missing]
        maps = probability_maps(photos, item.class_noun, preset, device=device)
        for index, probability in zip(missing, maps, strict=True):
            masks[index] = to_mask(probability, item.photos[index], preset)
        free()
    for path, mask in zip(item.paths, masks, strict=True):
        if mask.getbbox() is None:
            raise InputError(
                f"No {item.class_noun!r} was found on {path}: use a plainer class noun, leave the photo out, or "
                f"put your own mask next to it as {path.stem}.mask.png."
            )
    return masks


@torch.no_grad()
def probability_maps(
    images: Sequence[Image.Image],
    class_noun: str,
    preset: Preset,
    *,
    device: str | torch.device | None = None,
) -> torch.Tensor:
    """Return ClipSeg's sigmoid maps (images, h, w), averaged over the preset's prompts, at the model's own size."""
    device = pick_device(device)
    processor, model = _clipseg(preset, str(device))
    prompts = [template.format(class_noun=class_noun) for template in preset.segment.prompts]
    models.say_what_is_not_read(processor.tokenizer, prompts)
    text = processor.tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").to(device)
    maps = []
    for image in images:
        pixels = processor.image_processor([image], return_tensors="pt").pixel_values.to(device)
        logits = model(**text, pixel_values=pixels.expand(len(prompts), -1, -1, -1)).logits
        maps.append(logits.reshape(len(prompts), *logits.shape[-2:]).sigmoid().mean(0))
    return torch.stack(maps).float().cpu()


@lru_cache(maxsize=1)
def _clipseg(preset: Preset, device: str) -> tuple[CLIPSegProcessor, CLIPSegForImageSegmentation]:
    """Load ClipSeg, once for all paintings with a preset; `free` drops it."""
    model = models.load(preset, "clipseg", CLIPSegForImageSegmentation).to(device).eval()
    return models.load(preset, "clipseg", CLIPSegProcessor), model


def free() -> None:
    """Drop the ClipSeg that is kept for the next painting, so that training has its memory."""
    _clipseg.cache_clear()


def to_mask(probability: torch.Tensor, photo: Image.Image, preset: Preset) -> Image.Image:
    """Turn the probability map (h, w) of a photo into a mask of its size: resize, smooth, threshold, grow.

    If the preset has ``edges``, the map first follows the edges of the photo (`follow_edges`).
    """
    side, settings = max(photo.size), preset.segment
    if settings.edges:
        probability = follow_edges(probability, photo, settings.edges)
    image = Image.fromarray((probability * 255).round().byte().numpy()).resize(photo.size, Image.BILINEAR)
    image = image.filter(ImageFilter.GaussianBlur(settings.smooth * side))
    mask = image.point(lambda value: 255 if value >= 255 * settings.threshold else 0)
    return grow(mask, round(settings.grow * side))


def follow_edges(probability: torch.Tensor, photo: Image.Image, edges: float) -> torch.Tensor:
    """Let the photo's edges decide where a probability map is not sure.

    From each such pixel a random walker sets out, who seldom crosses an edge. Where does it arrive first, at the sure
    product or at the sure background? The answer is scikit-image's ``random_walker`` (Grady 2006).

    Args:
        probability: (h, w), 0 to 1.
        photo: RGB, of any size.
        edges: the larger, the more seldom an edge is crossed (its ``beta``, for colours in CIELAB / 100).

    Returns:
        (H, W) of at most `SIDE` a side: 1 where most walkers arrive at the product, 0 elsewhere. The map itself, if it
        is sure everywhere, or has no sure product or no sure background.
    """
    small = photo.copy()
    small.thumbnail((SIDE, SIDE), Image.LANCZOS)
    resized = np.asarray(Image.fromarray(probability.numpy()).resize(small.size, Image.BILINEAR))
    product, background = resized > SURE[1], resized < SURE[0]
    known = product | background
    if known.all() or not product.any() or not background.any():
        return probability
    labels = np.where(product, 1, np.where(background, 2, 0))
    found = random_walker(rgb2lab(np.asarray(small)) / 100, labels, beta=edges, mode="bf", channel_axis=-1)
    return torch.from_numpy(found == 1).float()
