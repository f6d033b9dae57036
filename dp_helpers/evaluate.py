"""How like the item is what was painted? The CLIP score as the paper computes it (section 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from PIL import Image
from transformers import CLIPImageProcessor, CLIPModel

from .errors import InputError
from .presets import Preset, load_first


def clip_score(
    image: Image.Image, references: Sequence[Image.Image], mask: Image.Image, preset: Preset
) -> float:
    """The greatest cosine similarity, -1 to 1, between the painted region and any reference photo.

    Both are embedded by CLIP's image tower. The region is the crop of the mask's box, as in the tool of
    Paint by Example, to which the paper refers.

    Args:
        image: the painted photo.
        references: the item's photos.
        mask: mode "L", the photo's size, 255 = was repainted.
        preset: names the CLIP model.
    """
    box = mask.getbbox()
    if box is None or mask.size != image.size:
        raise InputError("The CLIP score needs a mask of the photo's size that is not empty.")
    embeddings = image_embeddings([image.crop(box), *references], preset)
    return float((embeddings[1:] @ embeddings[0]).max())


@torch.no_grad()
def image_embeddings(images: Sequence[Image.Image], preset: Preset) -> torch.Tensor:
    """CLIP embeddings of length 1, (images, width). The whole image counts: it is squeezed, never cropped."""
    model, processor = _load_clip(preset)
    side = model.config.vision_config.image_size
    squares = [image.convert("RGB").resize((side, side), Image.BICUBIC) for image in images]
    pixels = processor(squares, return_tensors="pt").pixel_values
    features = model.get_image_features(pixel_values=pixels)
    features = getattr(features, "pooler_output", features)  # transformers 4 returns the tensor itself
    return torch.nn.functional.normalize(features.float(), dim=-1)


@lru_cache(maxsize=1)
def _load_clip(preset: Preset) -> tuple[CLIPModel, CLIPImageProcessor]:
    def load_model(source: str, **options) -> CLIPModel:
        return CLIPModel.from_pretrained(source, torch_dtype=torch.float32, use_safetensors=True, **options)

    def load_processor(source: str, **_) -> CLIPImageProcessor:
        return CLIPImageProcessor.from_pretrained(source)

    return load_first(preset, "clip", load_model).eval(), load_first(preset, "clip", load_processor)
