"""One training step: which prompts, which batch, which noise, and the loss.

All draws of a step depend on (seed, step) alone. So a run that is resumed, or watched while it trains, ends as the
undisturbed one does.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import SchedulerMixin, UNet2DConditionModel
from transformers import CLIPTextModel

from ..presets import Finetune, Preset
from . import processes
from .latents import Bank
from .loss import inpainting_loss, pixel_weight


class Prompts:
    """The embeddings of a few prompts: computed in each step while the text encoder trains, kept while it does not."""

    def __init__(self, text_encoder: CLIPTextModel, input_ids: torch.Tensor) -> None:
        self.text_encoder, self.input_ids, self._kept = text_encoder, input_ids, None

    def embed(self, rows: torch.Tensor, *, trained: bool) -> torch.Tensor:
        """Return the embeddings (B, tokens, width) of the prompts with these numbers. Each prompt is encoded once."""
        if trained:
            embeddings = self.text_encoder(self.input_ids[: int(rows.max()) + 1])[0]
            return embeddings[rows.to(embeddings.device)]
        if self._kept is None:
            with torch.no_grad():
                self._kept = self.text_encoder(self.input_ids)[0]
        return self._kept[rows.to(self._kept.device)]


def batch_loss(
    unet: UNet2DConditionModel,
    prompts: Prompts,
    scheduler: SchedulerMixin,
    bank: Bank,
    preset: Preset,
    generator: torch.Generator,
    step: int = 0,
    *,
    class_bank: Bank | None = None,
) -> torch.Tensor:
    """Draw a batch, noise and timesteps, and return the loss. All draws come from ``generator``, on the CPU.

    With a ``class_bank``, as many class pictures follow the item's samples in the batch. The loss is then that of the
    item plus ``prior_weight`` times that of the class.
    """
    settings, device = preset.finetune, bank.latents.device
    size, mine = processes.my_part(settings.batch_size)
    batch, sample_weight = bank.draw(size, generator), None
    if class_bank is not None:
        batch = batch + class_bank.draw(size, generator)
        # The mean over both halves divides by twice the number of samples.
        sample_weight = torch.tensor([2.0, 2.0 * settings.prior_weight], device=device).repeat_interleave(len(mine))
        mine = torch.cat([mine, size + mine])
    noise = torch.randn(batch.latents.shape, generator=generator)[mine].to(device)
    last = scheduler.config.num_train_timesteps
    timesteps = torch.randint(last, (len(batch.latents),), generator=generator)[mine].to(device)
    rows = (torch.rand(size, generator=generator) < settings.prompt_dropout).long()
    if class_bank is not None:
        rows = torch.cat([rows, torch.full((size,), 2)])
    batch = batch.part(mine)
    return inpainting_loss(
        unet,
        scheduler,
        batch,
        prompts.embed(rows[mine], trained=trains_text_encoder(settings, step)),
        noise,
        timesteps,
        weight=pixel_weight(batch.mask, batch.object_mask, settings.mask_weight, settings.background_weight),
        snr_gamma=settings.snr_gamma,
        sample_weight=sample_weight,
    )


def trains_text_encoder(settings: Finetune, step: int) -> bool:
    """Return whether the text encoder is trained in this step, counted from 0."""
    stop = settings.text_encoder_stop_step
    return settings.train_text_encoder and (stop is None or step < stop)


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the random numbers of one step. They depend on (seed, step) alone, so a resumed run draws the same."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1))
