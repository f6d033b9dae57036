"""Masked DreamBooth (section 3.4): teach the inpainting model one item from a handful of photos.

The U-Net and the text encoder are trained together on Eq. 2, so that the prompt "a [token] [class noun]" comes to
mean the item. Each sample is masked by a rectangle, an ellipse or an object shape. There is no prior preservation:
the paper finds it harmful for shop items (section 6).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import UNet2DConditionModel
from diffusers.optimization import get_scheduler
from PIL import Image
from tqdm.auto import tqdm
from transformers import CLIPTextModel

from . import models, presets
from .catalog import Item
from .device import attention, mixed_precision, pick_device
from .errors import InputError
from .presets import Preset
from .runs import Run, check_run_folder, load_run, read_record, save_run, versions
from .training.latents import Bank, build_bank
from .training.loss import inpainting_loss, pixel_weight
from .training.optim import make_optimizer, parameter_groups

Progress = bool | Callable[[int, int, float], None]


def finetune(
    item: Item,
    object_masks: Sequence[Image.Image],
    preset: Preset,
    *,
    seed: int = 0,
    output_dir: str | Path | None = None,
    progress: Progress = True,
    **settings: Any,
) -> Run:
    """Fine-tune the preset's model on one item.

    Args:
        item: its photos and class noun.
        object_masks: one for each photo, from `segment.object_masks`.
        preset: models and settings.
        seed: the same seed gives the same result on the same machine.
        output_dir: save the run in this folder. None saves nothing.
        progress: True draws a bar on stderr. A function is called with (step, steps, loss).
        settings: fields of `presets.Finetune` to use instead of the preset's, for example ``steps=20``.

    Returns:
        The run. Its weights are rounded to the preset's ``save_dtype``, so that the same run loaded from disk is
        exactly equal.

    Raises:
        InputError: a mask is missing or empty, a setting is wrong, or the folder holds something else.
    """
    _check(item, object_masks)
    preset = presets.change(preset, finetune=settings)
    if output_dir is not None:
        check_run_folder(output_dir)
    started = time.perf_counter()
    # The VAE is not kept: it is gone from memory before training begins.
    bank = build_bank(models.load_vae(preset).to(pick_device()), item.photos, object_masks, preset, seed=seed)
    encoded = time.perf_counter()
    unet, text_encoder, losses = train(bank, item.prompt(preset.token), preset, seed=seed, progress=progress)
    seconds = {"encode": round(encoded - started, 2), "train": round(time.perf_counter() - encoded, 2)}
    run = Run(unet, text_encoder, _record(item, preset, seed, seconds, losses))
    if output_dir is not None:
        save_run(run, output_dir)
    return run


def load_or_finetune(
    item: Item,
    object_masks: Sequence[Image.Image],
    preset: Preset,
    output_dir: str | Path,
    *,
    seed: int = 0,
    progress: Progress = True,
    **settings: Any,
) -> Run:
    """Load the run in ``output_dir`` if this very call made it. Otherwise fine-tune and save the run there.

    The item, the names of its photos, the seed, and all settings and model sources that fine-tuning reads are
    compared. The contents of photos and models are not: delete the run after you change those.

    Args:
        output_dir: the run's folder.
        item, object_masks, preset, seed, progress, settings: as for `finetune`.
    """
    if (Path(output_dir) / "run.json").is_file():
        chosen = presets.change(preset, finetune=settings)
        if _made_by(read_record(output_dir), item, chosen, seed):
            return load_run(output_dir)
    return finetune(item, object_masks, preset, seed=seed, output_dir=output_dir, progress=progress, **settings)


def train(
    bank: Bank, prompt: str, preset: Preset, *, seed: int = 0, progress: Progress = True
) -> tuple[UNet2DConditionModel, CLIPTextModel, list[float]]:
    """Train the preset's U-Net and text encoder on a bank of latents: the training loop.

    Args:
        bank: the encoded item.
        prompt: the item's, "a [token] [class noun]".
        preset: models and settings.
        seed: of batches, noise and timesteps.
        progress: as for `finetune`.

    Returns:
        U-Net and text encoder in eval mode, and the loss of each step.
    """
    settings, device = preset.finetune, pick_device()
    precision = mixed_precision(settings.mixed_precision, device)
    accelerator = Accelerator(mixed_precision=precision, cpu=device.type == "cpu")
    unet, text_encoder, tokenizer, scheduler = models.load_trainable(preset)
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
    unet, text_encoder, optimizer, lr_scheduler = accelerator.prepare(unet, text_encoder, optimizer, lr_scheduler)
    # Row 0 is the item's prompt, row 1 the empty prompt that guidance needs.
    input_ids = models.tokenize(tokenizer, [prompt, ""]).to(accelerator.device)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for step in _steps(settings.steps, progress, losses):
        with attention(precision, device):
            loss = _batch_loss(unet, text_encoder, scheduler, bank, input_ids, preset, generator)
            accelerator.backward(loss)  # inside, because gradient checkpointing computes the attention again
        accelerator.clip_grad_norm_([*unet.parameters(), *text_encoder.parameters()], settings.max_grad_norm)
        optimizer.step()
        lr_scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if callable(progress):
            progress(step + 1, settings.steps, losses[-1])
    dtype = getattr(torch, settings.save_dtype)
    trained = [accelerator.unwrap_model(model, keep_fp32_wrapper=False) for model in (unet, text_encoder)]
    return *(models.finish(model, dtype) for model in trained), losses


def _batch_loss(unet, text_encoder, scheduler, bank: Bank, input_ids, preset: Preset, generator) -> torch.Tensor:
    """Draw a batch, noise and timesteps, and return the loss. All draws come from the CPU's generator."""
    settings, device = preset.finetune, input_ids.device
    batch = bank.draw(settings.batch_size, generator)
    noise = torch.randn(batch.latents.shape, generator=generator).to(device)
    last = scheduler.config.num_train_timesteps
    timesteps = torch.randint(last, (settings.batch_size,), generator=generator).to(device)
    dropped = torch.rand(settings.batch_size, generator=generator) < settings.prompt_dropout
    # All samples have the same prompt, so it is encoded once.
    rows = input_ids if dropped.any() else input_ids[:1]
    encoder_hidden_states = text_encoder(rows)[0][dropped.long().to(device)]  # (B, tokens, width)
    return inpainting_loss(
        unet,
        scheduler,
        batch,
        encoder_hidden_states,
        noise,
        timesteps,
        weight=pixel_weight(batch.mask, batch.object_mask, settings.mask_weight, settings.background_weight),
        snr_gamma=settings.snr_gamma,
    )


def _steps(steps: int, progress: Progress, losses: list[float]):
    """Count the steps. If ``progress`` is True, a bar shows the mean loss of the last 20."""
    with tqdm(range(steps), desc="fine-tune", unit="step", disable=progress is not True) as bar:
        for step in bar:
            yield step
            recent = losses[-20:]
            bar.set_postfix(loss=f"{sum(recent) / len(recent):.3f}", refresh=False)


def _record(item: Item, preset: Preset, seed: int, seconds: dict[str, float], losses: list[float]) -> dict:
    """Return the contents of run.json."""
    return {
        "prompt": item.prompt(preset.token),
        "class_noun": item.class_noun,
        "item": _about(item),
        "preset": preset.as_dict(),
        "seed": seed,
        "steps": len(losses),
        "seconds": seconds,
        "versions": versions(),
        "losses": [round(loss, 5) for loss in losses],
    }


def _about(item: Item) -> dict:
    return {"name": item.name, "title": item.title, "photos": [path.name for path in item.paths]}


def _made_by(record: dict, item: Item, preset: Preset, seed: int) -> bool:
    """Return whether the run of a run.json was made from this item with these settings."""
    given = json.loads(json.dumps(preset.as_dict()))  # tuples become lists, as in run.json
    read = ("models", "resolution", "token", "segment", "masks", "finetune")
    same_settings = all(record["preset"].get(name) == given[name] for name in read)
    same_item = record.get("item") == _about(item) and record["class_noun"] == item.class_noun
    return same_settings and same_item and record.get("seed") == seed


def _check(item: Item, object_masks: Sequence[Image.Image]) -> None:
    if len(object_masks) != len(item.photos):
        raise InputError(
            f"{item.name} has {len(item.photos)} photos but {len(object_masks)} object masks came: give one for each."
        )
    for path, photo, mask in zip(item.paths, item.photos, object_masks, strict=True):
        if mask.size != photo.size:
            raise InputError(f"The object mask of {path} is {mask.size}, its photo {photo.size}: make them the same.")
        if mask.getbbox() is None:
            raise InputError(f"The object mask of {path} is empty: mark the product in white.")
