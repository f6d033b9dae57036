"""The plain loop that `bench` compares our training step with.

It does, in its own words, what diffusers' examples/research_projects/dreambooth_inpaint/train_dreambooth_inpaint.py
does in each step: load and mask a batch of photos, encode the photos and the masked photos with the VAE, encode the
prompt of every sample, predict the noise, and step. To be fair it gets all that does not belong to the loop from us:
the same models in the same memory layout, the same optimizer, precision, attention and threads.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from PIL import Image, ImageDraw

from dp_helpers import models
from dp_helpers.device import attention, mixed_precision, pick_device
from dp_helpers.presets import Preset
from dp_helpers.training.optim import make_optimizer, parameter_groups


class Photos(torch.utils.data.Dataset):
    """Photos of the item with a new random mask at each access, and the ids of the prompt."""

    def __init__(self, photos: Sequence[Image.Image], prompt: str, tokenizer, resolution: int, length: int) -> None:
        self.photos, self.resolution, self.length = photos, resolution, length
        self.input_ids = models.tokenize(tokenizer, [prompt])[0]

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        photo = self.photos[index % len(self.photos)].resize((self.resolution, self.resolution), Image.BILINEAR)
        pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float() / 127.5 - 1
        mask = torch.from_numpy(np.array(random_mask(photo.size))).float()[None] / 255
        return {"pixels": pixels, "mask": mask, "masked": pixels * (mask < 0.5), "input_ids": self.input_ids}


def random_mask(size: tuple[int, int]) -> Image.Image:
    """Draw a random rectangle or ellipse."""
    mask = Image.new("L", size, 0)
    width, height = random.randint(0, size[0]), random.randint(0, size[1])
    left, top = (random.randint(0, side - extent) for side, extent in zip(size, (width, height), strict=True))
    draw = ImageDraw.Draw(mask)
    shape = draw.rectangle if random.random() < 0.5 else draw.ellipse
    shape((left, top, left + width, top + height), fill=255)
    return mask


def train(
    photos: Sequence[Image.Image], prompt: str, preset: Preset, progress: Callable[[int, int, float], None]
) -> list[float]:
    """Train the preset's model for its number of steps, and return the losses."""
    settings, device = preset.finetune, pick_device()
    precision = mixed_precision(settings.mixed_precision, device)
    accelerator = Accelerator(mixed_precision=precision, cpu=device.type == "cpu")
    dtype = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    unet, text_encoder, tokenizer, scheduler = models.load_trainable(preset)
    vae = models.load_vae(preset).to(accelerator.device, dtype)
    optimizer = make_optimizer(
        parameter_groups(unet, text_encoder, preset),
        settings.optimizer,
        weight_decay=settings.weight_decay,
        device=accelerator.device,
    )
    lr_scheduler = get_scheduler(
        settings.lr_scheduler,
        optimizer,
        num_warmup_steps=settings.lr_warmup_steps,
        num_training_steps=settings.steps,
    )
    dataset = Photos(photos, prompt, tokenizer, preset.resolution, settings.steps * settings.batch_size)
    loader = torch.utils.data.DataLoader(dataset, batch_size=settings.batch_size, shuffle=True)
    unet, text_encoder, optimizer, loader, lr_scheduler = accelerator.prepare(
        unet, text_encoder, optimizer, loader, lr_scheduler
    )
    losses: list[float] = []
    for batch in loader:
        with torch.no_grad():
            latents = vae.encode(batch["pixels"].to(dtype)).latent_dist.sample().float() * vae.config.scaling_factor
            masked = vae.encode(batch["masked"].to(dtype)).latent_dist.sample().float() * vae.config.scaling_factor
        mask = F.interpolate(batch["mask"], size=latents.shape[-2:])
        noise = torch.randn_like(latents)
        timesteps = torch.randint(scheduler.config.num_train_timesteps, (len(latents),), device=latents.device)
        sample = torch.cat([scheduler.add_noise(latents, noise, timesteps), mask, masked], dim=1)
        truth = noise
        if scheduler.config.prediction_type == "v_prediction":
            truth = scheduler.get_velocity(latents, noise, timesteps)
        with attention(precision, device):
            prediction = unet(sample, timesteps, text_encoder(batch["input_ids"])[0]).sample
            loss = F.mse_loss(prediction.float(), truth.float())
            accelerator.backward(loss)
        accelerator.clip_grad_norm_([*unet.parameters(), *text_encoder.parameters()], settings.max_grad_norm)
        optimizer.step()
        lr_scheduler.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        progress(len(losses), settings.steps, losses[-1])
    return losses
