"""Masked DreamBooth (section 3.4): teach the inpainting model one item from a handful of photos.

The U-Net and the text encoder are trained together on Eq. 2, so that the prompt "a [token] [class noun]" comes to
mean the item. Each sample is masked by a rectangle, an ellipse or an object shape. There is no prior preservation:
the paper finds it harmful for shop items (section 6).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import UNet2DConditionModel
from diffusers.optimization import get_scheduler
from PIL import Image
from tqdm.auto import tqdm
from transformers import CLIPTextModel

from . import models, presets, runs
from .catalog import Item
from .device import attention, mixed_precision, pick_device
from .errors import InputError
from .presets import Preset
from .runs import Run
from .training.checkpoints import Checkpoints
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
    resume: bool = False,
    progress: Progress = True,
    **settings: Any,
) -> Run:
    """Fine-tune the preset's model on one item.

    With ``checkpointing_steps`` in the preset and an ``output_dir``, the state of the run is saved every so many steps.
    Ctrl-C and SIGTERM then save it, too, and end the run with a `KeyboardInterrupt` that says how to resume.

    Args:
        item: its photos and class noun.
        object_masks: one for each photo, from `segment.object_masks`.
        preset: models and settings.
        seed: the same seed gives the same result on the same machine.
        output_dir: save the run in this folder. None saves nothing.
        resume: go on from the latest checkpoint in ``output_dir``. The result equals that of an undisturbed run bit
            for bit on the same machine. Without a checkpoint, training begins at the first step.
        progress: True draws a bar on stderr. A function is called with (step, steps, loss).
        settings: fields of `presets.Finetune` to use instead of the preset's, for example ``steps=20``.

    Returns:
        The run. Its weights are rounded to the preset's ``save_dtype``, so that the same run loaded from disk is
        exactly equal.

    Raises:
        InputError: a mask is missing or empty, a setting is wrong, or the folder holds something else.
        KeyboardInterrupt: the run was stopped.
    """
    _check(item, object_masks)
    preset, seed = presets.change(preset, finetune=settings), presets.checked_seed(seed)
    checkpoints = _checkpoints(output_dir, resume, preset, runs.made_from(item, preset, seed))
    started = time.perf_counter()
    # The VAE is not kept: it is gone from memory before training begins.
    bank = build_bank(models.load_vae(preset).to(pick_device()), item.photos, object_masks, preset, seed=seed)
    encoded = time.perf_counter()
    prompt = item.prompt(preset.token)
    unet, text_encoder, losses = train(bank, prompt, preset, seed=seed, checkpoints=checkpoints, progress=progress)
    seconds = {"encode": round(encoded - started, 2), "train": round(time.perf_counter() - encoded, 2)}
    run = Run(unet, text_encoder, runs.make_record(item, preset, seed, seconds, losses))
    if output_dir is not None:
        runs.save_run(run, output_dir)
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
    """Load the run in ``output_dir`` if this very call made it. Otherwise fine-tune, or resume, and save the run there.

    The item, the names of its photos, the seed, and all settings and model sources that fine-tuning reads are
    compared. The contents of photos and models are not: delete the run after you change those.

    Args:
        output_dir: the run's folder.
        item, object_masks, preset, seed, progress, settings: as for `finetune`.
    """
    if (Path(output_dir) / "run.json").is_file():
        origin = runs.made_from(item, presets.change(preset, finetune=settings), seed)
        if runs.is_made_from(runs.read_record(output_dir), origin):
            return runs.load_run(output_dir)
    options = {"output_dir": output_dir, "resume": True, "progress": progress}
    return finetune(item, object_masks, preset, seed=seed, **options, **settings)


def train(
    bank: Bank,
    prompt: str,
    preset: Preset,
    *,
    seed: int = 0,
    checkpoints: Checkpoints | None = None,
    progress: Progress = True,
) -> tuple[UNet2DConditionModel, CLIPTextModel, list[float]]:
    """Train the preset's U-Net and text encoder on a bank of latents: the training loop.

    Args:
        bank: the encoded item.
        prompt: the item's, "a [token] [class noun]".
        preset: models and settings.
        seed: of batches, noise and timesteps.
        checkpoints: where to save the state and resume from; None does neither.
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
    state = {"unet": unet, "text_encoder": text_encoder, "optimizer": optimizer, "lr_scheduler": lr_scheduler}
    if accelerator.scaler is not None:
        state["scaler"] = accelerator.scaler
    done, losses = checkpoints.restore(state) if checkpoints else (0, [])
    with checkpoints or nullcontext():
        for step in _steps(done, settings.steps, progress, losses):
            with attention(precision, device):
                loss = _batch_loss(unet, text_encoder, scheduler, bank, input_ids, preset, _generator(seed, step))
                accelerator.backward(loss)  # inside, because gradient checkpointing computes the attention again
            accelerator.clip_grad_norm_([*unet.parameters(), *text_encoder.parameters()], settings.max_grad_norm)
            optimizer.step()
            lr_scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            if callable(progress):
                progress(step + 1, settings.steps, losses[-1])
            if checkpoints:
                checkpoints.after_step(step + 1, settings.steps, losses, state)
    dtype = getattr(torch, settings.save_dtype)
    trained = [accelerator.unwrap_model(model, keep_fp32_wrapper=False) for model in (unet, text_encoder)]
    return *(models.finish(model, dtype) for model in trained), losses


def _batch_loss(unet, text_encoder, scheduler, bank: Bank, input_ids, preset: Preset, generator) -> torch.Tensor:
    """Draw a batch, noise and timesteps, and return the loss. All draws come from ``generator``, on the CPU."""
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


def _generator(seed: int, step: int) -> torch.Generator:
    """Return the random numbers of one step. They depend on (seed, step) alone, so a resumed run draws the same."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1))


def _steps(done: int, steps: int, progress: Progress, losses: list[float]):
    """Count the steps from ``done``. If ``progress`` is True, a bar shows the mean loss of the last 20."""
    with tqdm(total=steps, initial=done, desc="fine-tune", unit="step", disable=progress is not True) as bar:
        for step in range(done, steps):
            yield step
            recent = losses[-20:]
            bar.set_postfix(loss=f"{sum(recent) / len(recent):.3f}", refresh=False)
            bar.update()


def _checkpoints(output_dir, resume: bool, preset: Preset, origin: dict[str, Any]) -> Checkpoints | None:
    """Check the output folder, and return the checkpoints of the run; None if nothing is saved."""
    if output_dir is None:
        if resume:
            raise InputError("A run without an output folder has no checkpoints to resume from: name its output_dir.")
        return None
    folder, settings = runs.check_run_folder(output_dir), preset.finetune
    checkpoints = Checkpoints(folder, settings.checkpointing_steps, settings.checkpoints_total_limit, origin)
    if not resume and (latest := checkpoints.latest()):
        raise InputError(
            f"{folder} holds an unfinished run ({latest.name}): resume it (--resume, in Python resume=True), "
            "or name a new folder."
        )
    return checkpoints


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
