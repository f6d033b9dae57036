"""ClipSeg: an object mask for every photo, from the class noun alone (Lueddecke and Ecker, arXiv 2112.10003).

The masks need not be perfect. The paper expects their flaws to make the model robust to masks of any shape
(section 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from PIL import Image, ImageFilter
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

from . import models
from .catalog import Item
from .device import pick_device
from .errors import InputError
from .presets import Preset


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
            masks[index] = to_mask(probability, item.photos[index].size, preset)
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


def to_mask(probability: torch.Tensor, size: tuple[int, int], preset: Preset) -> Image.Image:
    """Turn one probability map (h, w) into a mask of ``size``: resize, smooth, threshold, grow."""
    side, settings = max(size), preset.segment
    image = Image.fromarray((probability * 255).round().byte().numpy()).resize(size, Image.BILINEAR)
    image = image.filter(ImageFilter.GaussianBlur(settings.smooth * side))
    mask = image.point(lambda value: 255 if value >= 255 * settings.threshold else 0)
    return mask.filter(ImageFilter.MaxFilter(2 * round(settings.grow * side) + 1))
