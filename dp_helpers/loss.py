"""Eq. 2 of the paper: the inpainting U-Net's denoising error on masked latents."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import SchedulerMixin, UNet2DConditionModel
from diffusers.training_utils import compute_snr

from .errors import InputError


def unet_input(
    noisy_latents: torch.Tensor, mask: torch.Tensor, masked_image_latents: torch.Tensor
) -> torch.Tensor:
    """The nine channels in the pipeline's order: noisy latents 4, mask 1, masked-image latents 4."""
    return torch.cat([noisy_latents, mask, masked_image_latents], dim=1)


def target(
    scheduler: SchedulerMixin, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
) -> torch.Tensor:
    """What the U-Net must predict: the scheduler's configuration says which of three.

    Eq. 2 is written for "epsilon", the noise. "v_prediction" and "sample" are the same objective in another
    parametrisation (arXiv 2202.00512).
    """
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        return scheduler.get_velocity(latents, noise, timesteps)
    if kind == "sample":
        return latents
    raise InputError(
        f"The scheduler's prediction_type is {kind!r}, but must be epsilon, v_prediction or sample: "
        "use another model."
    )


def inpainting_loss(
    unet: UNet2DConditionModel,
    scheduler: SchedulerMixin,
    batch,
    encoder_hidden_states: torch.Tensor,
    noise: torch.Tensor,
    timesteps: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    snr_gamma: float | None = None,
) -> torch.Tensor:
    """The loss of one batch, a scalar.

    Args:
        unet: nine channels in, four out.
        scheduler: its noise schedule and prediction_type.
        batch: `bank.Batch`: latents, mask, masked_image_latents.
        encoder_hidden_states: (B, tokens, width), the encoded prompts.
        noise: (B, 4, h, w), standard normal.
        timesteps: (B,), integers.
        weight: (B, 1, h, w), weights of the pixels, or None for plain Eq. 2.
        snr_gamma: weigh the samples by Min-SNR (arXiv 2303.09556), or None for plain Eq. 2.
    """
    noisy_latents = scheduler.add_noise(batch.latents, noise, timesteps)
    sample = unet_input(noisy_latents, batch.mask, batch.masked_image_latents)
    prediction = unet(sample, timesteps, encoder_hidden_states).sample
    wanted = target(scheduler, batch.latents, noise, timesteps)
    error = F.mse_loss(prediction.float(), wanted.float(), reduction="none")  # (B, 4, h, w)
    if weight is not None:
        error = error * weight / weight.mean(dim=(1, 2, 3), keepdim=True)
    error = error.mean(dim=(1, 2, 3))  # (B,)
    if snr_gamma is not None:
        error = error * min_snr_weight(scheduler, timesteps, snr_gamma)
    return error.mean()


def pixel_weight(
    mask: torch.Tensor, object_mask: torch.Tensor, mask_weight: float, background_weight: float
) -> torch.Tensor | None:
    """Loss weights (B, 1, h, w): more under the mask, less off the product; None if both are 1.

    Off the product a catalogue photo shows plain white, which leaks into the context photo when it is
    learnt too
    well: the entanglement of appearance and context that the paper names as its limit (sections 5.3 and 7.1).
    """
    if mask_weight == 1 and background_weight == 1:
        return None
    return (1 + (mask_weight - 1) * mask) * (background_weight + (1 - background_weight) * object_mask)


def min_snr_weight(scheduler: SchedulerMixin, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
    """Min-SNR weights (B,) for the scheduler's prediction_type.

    At a terminal signal-to-noise ratio of zero they are 0 for v-prediction, as the formula has it, and
    finite for all types.
    """
    snr = compute_snr(scheduler, timesteps).float()
    clipped = snr.clamp(max=gamma)
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return clipped / snr.clamp(min=1e-8)
    return clipped / (snr + 1) if kind == "v_prediction" else clipped
