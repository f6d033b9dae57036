"""ClipSeg: an object mask for every photo, from the class noun alone (Lueddecke and Ecker, arXiv 2112.10003).

The masks need not be perfect: the paper counts on their flaws to make the model robust to masks of any shape
(section 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageFilter
from transformers import CLIPSegForImageSegmentation, CLIPSegProcessor

from .device import pick_device
from .errors import InputError
from .presets import Preset, load_first


def object_masks(
    images: Sequence[Image.Image],
    class_noun: str,
    preset: Preset,
    *,
    own_masks: Sequence[Image.Image | None] | None = None,
    device: str | torch.device | None = None,
) -> list[Image.Image]:
    """Find the object on every photo.

    Args:
        images: RGB photos.
        class_noun: what to look for.
        preset: the ClipSeg model, its prompts, threshold, smoothing and growth.
        own_masks: a user's own masks, which win; None where there is none (`catalog.Item.own_masks`).
        device: default: the GPU if there is one.

    Returns:
        One mask per photo, mode "L", the photo's size, 255 = object.

    Raises:
        InputError: when nothing is found on a photo.
    """
    masks = list(own_masks) if own_masks else [None] * len(images)
    missing = [index for index, mask in enumerate(masks) if mask is None]
    if missing:
        maps = probability_maps([images[index] for index in missing], class_noun, preset, device=device)
        for index, probability in zip(missing, maps, strict=True):
            masks[index] = to_mask(probability, images[index].size, preset)
    for index, mask in enumerate(masks):
        if mask.getbbox() is None:
            raise InputError(
                f"No {class_noun!r} was found on photo {index + 1} of {len(images)}: use a plainer "
                "class noun, leave the photo out, or put your own mask beside it as NAME.mask.png."
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
    """Sigmoid maps of ClipSeg, averaged over the preset's prompts: (images, h, w) of the model's own size."""
    device = pick_device(device)
    processor = load_first(preset, "clipseg", CLIPSegProcessor.from_pretrained)
    model = load_first(preset, "clipseg", _load_model).to(device).eval()
    prompts = [template.format(class_noun=class_noun) for template in preset.segment.prompts]
    text = processor.tokenizer(prompts, padding="max_length", truncation=True, return_tensors="pt").to(device)
    maps = []
    for image in images:
        pixels = processor.image_processor([image], return_tensors="pt").pixel_values.to(device)
        logits = model(**text, pixel_values=pixels.expand(len(prompts), -1, -1, -1)).logits
        maps.append(logits.reshape(len(prompts), *logits.shape[-2:]).sigmoid().mean(0))
    return torch.stack(maps).float().cpu()


def to_mask(probability: torch.Tensor, size: tuple[int, int], preset: Preset) -> Image.Image:
    """Turn one probability map (h, w) into a mask of ``size``: resize, smooth, threshold, grow."""
    side, numbers = max(size), preset.segment
    image = Image.fromarray((probability * 255).round().byte().numpy()).resize(size, Image.BILINEAR)
    image = image.filter(ImageFilter.GaussianBlur(numbers.smooth * side))
    mask = image.point(lambda value: 255 if value >= 255 * numbers.threshold else 0)
    return mask.filter(ImageFilter.MaxFilter(2 * round(numbers.grow * side) + 1))


def _load_model(source: str, **options) -> CLIPSegForImageSegmentation:
    return CLIPSegForImageSegmentation.from_pretrained(
        source, torch_dtype=torch.float32, use_safetensors=True, **options
    )
