"""Everything that the training step reads, encoded once, so that the step itself never runs the VAE.

A view is one photo with the product moved and scaled. Each view has several masks. The latents of a view are kept
once for each view; the mask and the latents of the masked image are kept once for each mask. Training draws the same
pair several times: on average 7.1 times with the preset ``tiny`` (1,200 samples, 168 pairs) and 2.6 times with
``sd15`` (500 samples, 192 pairs). In return no step encodes anything, which would take about a quarter of its time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image

from .. import masks
from ..presets import Preset
from .views import draw_view


@dataclass
class Batch:
    """One training batch, on the device."""

    latents: torch.Tensor  # (B, 4, h, w), times the scaling factor
    mask: torch.Tensor  # (B, 1, h, w) in {0, 1}, 1 = repaint
    masked_image_latents: torch.Tensor  # (B, 4, h, w)
    object_mask: torch.Tensor  # (B, 1, h, w) in {0, 1}, 1 = product

    def __add__(self, other: Batch) -> Batch:
        """Return this batch followed by another one."""
        return Batch(*(torch.cat(pair) for pair in zip(vars(self).values(), vars(other).values(), strict=True)))

    def part(self, samples: torch.Tensor) -> Batch:
        """Return the samples with these numbers."""
        return Batch(*(tensor[samples] for tensor in vars(self).values()))


@dataclass
class Bank:
    """Latents of V views and of M masks; ``view[m]`` is the number of the view that mask m belongs to."""

    latents: torch.Tensor  # (V, 4, h, w)
    object_mask: torch.Tensor  # (V, 1, h, w)
    mask: torch.Tensor  # (M, 1, h, w)
    masked_image_latents: torch.Tensor  # (M, 4, h, w)
    view: torch.Tensor  # (M,)

    def draw(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Draw a batch at random, with replacement."""
        picked = torch.randint(len(self.view), (batch_size,), generator=generator).to(self.view.device)
        view = self.view[picked]
        return Batch(self.latents[view], self.mask[picked], self.masked_image_latents[picked], self.object_mask[view])


@torch.no_grad()
def build_bank(
    vae: AutoencoderKL,
    photos: Sequence[Image.Image],
    object_masks: Sequence[Image.Image],
    preset: Preset,
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
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
    settings, factor = preset.finetune, 2 ** (len(vae.config.block_out_channels) - 1)
    object_masks = [masks.without_specks(mask) for mask in object_masks]
    count = len(photos) * math.ceil(settings.views / len(photos))
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in ("latents", "object", "mask", "masked")}
    for index in range(count):
        turn, which = divmod(index, len(photos))
        photo, object_mask = draw_view(photos[which], object_masks[which], preset, rng, mirrored=bool(turn % 2))
        drawn = [masks.draw_mask(object_mask, rng, preset.masks) for _ in range(settings.masks_per_view)]
        *drawn, object_mask = (masks.snap(mask, preset.resolution, factor) for mask in [*drawn, object_mask])
        image, mask = image_to_tensor(photo), torch.stack([mask_to_tensor(mask) for mask in drawn])
        pictures = torch.cat([image[None], mask_image(image[None], mask)])
        encoded = encode(vae, pictures, generator, settings.encode_batch_size)
        kept["latents"].append(encoded[:1])
        kept["masked"].append(encoded[1:])
        kept["mask"].append(torch.stack([mask_to_tensor(masks.to_latent_size(mask, factor)) for mask in drawn]))
        kept["object"].append(mask_to_tensor(masks.to_latent_size(object_mask, factor))[None])
        if progress:
            progress(index + 1, count)
    made = {name: torch.cat(tensors).to(vae.device) for name, tensors in kept.items()}
    view = torch.arange(count, device=vae.device).repeat_interleave(settings.masks_per_view)
    return Bank(made["latents"], made["object"], made["mask"], made["masked"], view)


def image_to_tensor(image: Image.Image) -> torch.Tensor:
    """Convert an RGB image to (3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def mask_to_tensor(mask: Image.Image) -> torch.Tensor:
    """Convert a mask to (1, H, W) in {0, 1}, 1 = repaint."""
    return (torch.from_numpy(np.array(mask)) >= 128).float()[None]


def mask_image(image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Hide the pixels to repaint: they become 0, mid-grey, as in the pipeline."""
    return image * (mask < 0.5)


def encode(vae: AutoencoderKL, images: torch.Tensor, generator: torch.Generator, batch_size: int = 1) -> torch.Tensor:
    """Encode images (B, 3, H, W) in [-1, 1] as latents (B, 4, h, w), sampled and scaled as in the pipeline.

    ``batch_size`` images go through the VAE at once. Their latents differ from those of single images by rounding.
    """
    images = images.to(device=vae.device, dtype=vae.dtype)
    latents = [vae.encode(some).latent_dist.sample(generator) for some in images.split(batch_size)]
    return torch.cat(latents).float() * vae.config.scaling_factor
