"""Eq. 2 of the paper: the denoising error of the inpainting U-Net on masked latents."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import SchedulerMixin, UNet2DConditionModel
from diffusers.training_utils import compute_snr

from ..errors import InputError
from .latents import Batch


def unet_input(noisy_latents: torch.Tensor, mask: torch.Tensor, masked_image_latents: torch.Tensor) -> torch.Tensor:
    """Join the nine channels in the pipeline's order: noisy latents 4, mask 1, masked-image latents 4."""
    return torch.cat([noisy_latents, mask, masked_image_latents], dim=1)


def target(
    scheduler: SchedulerMixin, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
) -> torch.Tensor:
    """Return the tensor that the U-Net must predict, by the scheduler's ``prediction_type``.

    Eq. 2 is written for "epsilon", the noise. "v_prediction" and "sample" (the clean latents) are the same
    objective in another parametrisation (arXiv 2202.00512).

    Raises:
        InputError: another ``prediction_type``.
    """
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        return scheduler.get_velocity(latents, noise, timesteps)
    if kind == "sample":
        return latents
    raise InputError(
        f"The scheduler's prediction_type is {kind!r}, but must be epsilon, v_prediction or sample: use another model."
    )


def inpainting_loss(
    unet: UNet2DConditionModel,
    scheduler: SchedulerMixin,
    batch: Batch,
    encoder_hidden_states: torch.Tensor,
    noise: torch.Tensor,
    timesteps: torch.Tensor,
    *,
    weight: torch.Tensor | None = None,
    snr_gamma: float | None = None,
    sample_weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute the loss of one batch, a scalar.

    Args:
        unet: nine channels in, four out.
        scheduler: its noise schedule and prediction_type.
        batch: latents, mask and masked-image latents.
        encoder_hidden_states: (B, tokens, width), the embeddings of the prompts.
        noise: (B, 4, h, w), standard normal.
        timesteps: (B,), integers.
        weight: (B, 1, h, w), weights of the pixels, or None for plain Eq. 2.
        snr_gamma: weigh the samples by Min-SNR (arXiv 2303.09556), or None for plain Eq. 2.
        sample_weight: (B,), other weights of the samples, or None.
    """
    noisy_latents = scheduler.add_noise(batch.latents, noise, timesteps)
    sample = unet_input(noisy_latents, batch.mask, batch.masked_image_latents)
    prediction = unet(sample, timesteps, encoder_hidden_states).sample
    truth = target(scheduler, batch.latents, noise, timesteps)
    error = F.mse_loss(prediction.float(), truth.float(), reduction="none")  # (B, 4, h, w)
    if weight is not None:
        mean = weight.mean(dim=(1, 2, 3), keepdim=True)
        error = error * weight / mean.clamp(min=torch.finfo(mean.dtype).tiny)  # all weights may be 0: so is the loss
    error = error.mean(dim=(1, 2, 3))  # (B,)
    if snr_gamma is not None:
        error = error * min_snr_weight(scheduler, timesteps, snr_gamma)
    if sample_weight is not None:
        error = error * sample_weight
    return error.mean()


def pixel_weight(
    mask: torch.Tensor, object_mask: torch.Tensor, mask_weight: float, background_weight: float
) -> torch.Tensor | None:
    """Return loss weights (B, 1, h, w): ``mask_weight`` under the mask, ``background_weight`` off the product.

    Around the product a catalogue photo shows plain white. A model that learns the white too well paints it into
    the context photo; the paper names this entanglement of appearance and context as its limit (sections 5.3
    and 7.1).

    Args:
        mask, object_mask: (B, 1, h, w) in {0, 1}.
        mask_weight, background_weight: 0 or more.

    Returns:
        None if both weights are 1: plain Eq. 2.
    """
    if mask_weight == 1 and background_weight == 1:
        return None
    return (1 + (mask_weight - 1) * mask) * (background_weight + (1 - background_weight) * object_mask)


def min_snr_weight(scheduler: SchedulerMixin, timesteps: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return the Min-SNR weights (B,) for the scheduler's ``prediction_type``.

    They are finite for all types even where the signal-to-noise ratio is zero, as it is at the last timestep of
    some schedules. There the weight of v-prediction is 0, as the formula says.
    """
    snr = compute_snr(scheduler, timesteps).float()
    clipped = snr.clamp(max=gamma)
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return clipped / snr.clamp(min=1e-8)
    return clipped / (snr + 1) if kind == "v_prediction" else clipped
