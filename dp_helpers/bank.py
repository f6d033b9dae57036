"""Everything that the training step reads, encoded once: so the step itself never runs the VAE.

A *view* is one photo, the product in it scaled, shifted, perhaps mirrored; every view has several masks. Image
latents are kept once for each view, (mask, masked-image latents) once for each mask. Among the public
trainers none keeps latents for inpainting with more than one fixed mask a photo; a bank of some hundred
pairs is drawn from seldom enough twice, and saves the quarter of every step that encoding would take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageOps

from . import backdrop, masks
from .inpaint import cut
from .presets import Preset


@dataclass
class Batch:
    """One training batch, on the device."""

    latents: torch.Tensor  # (B, 4, h, w), times the scaling factor
    mask: torch.Tensor  # (B, 1, h, w) in {0, 1}, 1 = repaint
    masked_image_latents: torch.Tensor  # (B, 4, h, w)
    object_mask: torch.Tensor  # (B, 1, h, w) in {0, 1}, 1 = product


@dataclass
class Bank:
    """Latents of V views and of M masks; ``view[m]`` says which view mask m belongs to."""

    latents: torch.Tensor  # (V, 4, h, w)
    object_mask: torch.Tensor  # (V, 1, h, w)
    mask: torch.Tensor  # (M, 1, h, w)
    masked_image_latents: torch.Tensor  # (M, 4, h, w)
    view: torch.Tensor  # (M,)

    def draw(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw entries at random, with replacement."""
        picked = torch.randint(len(self.view), (batch_size,), generator=generator).to(self.view.device)
        view = self.view[picked]
        return Batch(
            self.latents[view], self.mask[picked], self.masked_image_latents[picked], self.object_mask[view]
        )


@torch.no_grad()
def build_bank(
    vae: AutoencoderKL,
    photos: Sequence[Image.Image],
    object_masks: Sequence[Image.Image],
    preset: Preset,
    *,
    seed: int = 0,
    progress=None,
) -> Bank:
    """Encode the views and masks of an item.

    Args:
        vae: the frozen autoencoder.
        photos: square RGB photos.
        object_masks: their object masks, not empty.
        preset: resolution, mixture of masks, numbers of views and masks, augmentation.
        seed: of views, masks and latent samples.
        progress: called with (views done, views in all).
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    numbers, factor = preset.finetune, 2 ** (len(vae.config.block_out_channels) - 1)
    count = len(photos) * math.ceil(numbers.views / len(photos))
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in ("latents", "object", "mask", "masked")}
    for index in range(count):
        which = index % len(photos)
        photo, shape = draw_view(
            photos[which], object_masks[which], preset, rng, mirrored=(index // len(photos)) % 2
        )
        drawn = [masks.draw_mask(shape, rng, preset.masks) for _ in range(numbers.masks_per_view)]
        image, mask = image_to_tensor(photo), torch.stack([mask_to_tensor(mask) for mask in drawn])
        encoded = encode(vae, torch.cat([image[None], mask_image(image[None], mask)]), generator)
        kept["latents"].append(encoded[:1])
        kept["masked"].append(encoded[1:])
        kept["mask"].append(
            torch.stack([mask_to_tensor(masks.to_latent_size(mask, factor)) for mask in drawn])
        )
        kept["object"].append(mask_to_tensor(masks.to_latent_size(shape, factor))[None])
        if progress:
            progress(index + 1, count)
    made = {name: torch.cat(tensors).to(vae.device) for name, tensors in kept.items()}
    view = torch.arange(count, device=vae.device).repeat_interleave(numbers.masks_per_view)
    return Bank(made["latents"], made["object"], made["mask"], made["masked"], view)


def draw_view(
    photo: Image.Image,
    object_mask: Image.Image,
    preset: Preset,
    rng: np.random.Generator,
    *,
    mirrored: bool = False,
) -> tuple[Image.Image, Image.Image]:
    """One view of a photo and of its object mask, both at the preset's resolution and moved alike.

    The product's longer side takes a share of the view drawn from ``augment_scale``: so the product is learnt at
    the sizes at which `inpaint.inpaint` will paint it, however large it stands in its photos. Nothing that
    the object mask holds is cut off. Beyond the photo the pixels of its edge are repeated: on a catalogue photo plain background,
    without a seam.
    """
    numbers, resolution = preset.finetune, preset.resolution
    if numbers.augment_flip and mirrored:
        photo, object_mask = ImageOps.mirror(photo), ImageOps.mirror(object_mask)
    left, top, right, bottom = object_mask.getbbox()
    width, height = right - left, bottom - top
    side = math.ceil(max(width, height) / rng.uniform(*numbers.augment_scale))
    corner = [
        math.floor(low - (side - length) * (0.5 + numbers.augment_shift * rng.uniform(-0.5, 0.5)))
        for low, length in ((left, width), (top, height))
    ]
    square = (*corner, corner[0] + side, corner[1] + side)
    view = cut(photo, square).resize((resolution, resolution), Image.LANCZOS)
    shape = cut(object_mask, square, outside=0).resize((resolution, resolution), Image.NEAREST)
    if numbers.augment_background > 0 and rng.random() < numbers.augment_background:
        view = backdrop.change(view, shape, rng)
    return view, shape


def image_to_tensor(image: Image.Image) -> torch.Tensor:
    """RGB image to (3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def mask_to_tensor(mask: Image.Image) -> torch.Tensor:
    """Mask to (1, H, W) in {0, 1}, 1 = repaint."""
    return (torch.from_numpy(np.array(mask)) >= 128).float()[None]


def mask_image(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Hide what is to be repainted: such pixels become 0, mid-grey, as in the pipeline."""
    return image * (mask < 0.5)


def encode(vae: AutoencoderKL, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Images (B, 3, H, W) in [-1, 1] to latents (B, 4, h, w), sampled and scaled as in the pipeline."""
    images = images.to(device=vae.device, dtype=vae.dtype)
    latents = [vae.encode(image[None]).latent_dist.sample(generator) for image in images]
    return torch.cat(latents).float() * vae.config.scaling_factor
