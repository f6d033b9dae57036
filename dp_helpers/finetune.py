"""Masked DreamBooth (section 3.4): teach the inpainting model one item from a handful of photos.

The prompt "a [token] [class noun]" is bound to the item by training the U-Net and the text encoder together
on Eq. 2, each sample masked by a rectangle, an ellipse or an object shape. No prior preservation: for shop
items the paper finds it harmful (section 6).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers import UNet2DConditionModel
from diffusers.optimization import get_scheduler
from PIL import Image
from tqdm.auto import tqdm
from transformers import CLIPTextModel

from .bank import Bank, build_bank
from .catalog import Item
from .device import attention, mixed_precision, pick_device
from .errors import InputError
from .loss import inpainting_loss, pixel_weight
from .optim import make_optimizer
from .parts import encode_prompts, finish, load_trainable, load_vae, parameter_groups
from .presets import Preset
from .runs import FineTuned, check_run_folder, load_run, read_settings, save_run, versions

__all__ = ["FineTuned", "encode_prompts", "finetune", "load_or_finetune", "load_run", "save_run", "train"]

Progress = bool | Callable[[int, int, float], None]


def finetune(
    item: Item,
    object_masks: Sequence[Image.Image],
    preset: Preset,
    *,
    seed: int = 0,
    steps: int | None = None,
    learning_rate: float | None = None,
    output_dir: str | Path | None = None,
    progress: Progress = True,
) -> FineTuned:
    """Fine-tune on one item.

    Args:
        item: its photos and class noun.
        object_masks: one for each photo (`segment.object_masks`).
        preset: models and numbers.
        seed: same seed, same result on the same machine.
        steps: instead of the preset's number.
        learning_rate: instead of the preset's; a rate that the preset gives the text encoder alone stays.
        output_dir: save the run here when it is done; None saves nothing.
        progress: True draws a bar on stderr; a callable is called with (step, steps, loss).

    Returns:
        The trained modules, their weights rounded to the preset's ``save_dtype``, so that the run loaded from
        disk is the very same.

    Raises:
        InputError: when a mask is missing or empty, a number is not positive, or the folder holds something else.
    """
    _check(item, object_masks)
    preset = _chosen(preset, steps, learning_rate)
    if output_dir is not None:
        check_run_folder(output_dir)
    device = pick_device()
    started = time.perf_counter()
    bank = _encode_item(item, object_masks, preset, seed, device)
    encoded = time.perf_counter()
    unet, text_encoder, losses = train(bank, item.prompt(preset.token), preset, seed=seed, progress=progress)
    seconds = {"encode": round(encoded - started, 2), "train": round(time.perf_counter() - encoded, 2)}
    tuned = FineTuned(unet, text_encoder, item.prompt(preset.token), item.class_noun, losses, seconds)
    tuned.settings = _settings(tuned, item, preset, seed)
    if output_dir is not None:
        save_run(tuned, output_dir)
    return tuned


def load_or_finetune(
    item: Item, object_masks: Sequence[Image.Image], preset: Preset, output_dir: str | Path, **options
) -> FineTuned:
    """Load the run in ``output_dir`` if this very call made it; or else fine-tune, and put the new run there.

    Compared are the item, its photos' names, the seed, and all numbers and model sources that fine-tuning reads; not
    what stands in the photos and models themselves: delete the run after changing those.

    Args:
        item, object_masks, preset: as for `finetune`.
        output_dir: the run's folder.
        options: ``seed``, ``steps``, ``learning_rate`` and ``progress``, as for `finetune`.
    """
    chosen = _chosen(preset, options.get("steps"), options.get("learning_rate"))
    if (Path(output_dir) / "run.json").is_file():
        if _made_by(read_settings(output_dir), item, chosen, options.get("seed", 0)):
            return load_run(output_dir)
    return finetune(item, object_masks, preset, output_dir=output_dir, **options)


def train(
    bank: Bank, prompt: str, preset: Preset, *, seed: int = 0, progress: Progress = True
) -> tuple[UNet2DConditionModel, CLIPTextModel, list[float]]:
    """The training loop: the preset's models, trained on a bank of latents.

    Returns:
        U-Net and text encoder in eval mode, and the loss of each step.
    """
    numbers, device = preset.finetune, pick_device()
    precision = mixed_precision(numbers.mixed_precision, device)
    accelerator = Accelerator(mixed_precision=precision, cpu=device.type == "cpu")
    unet, text_encoder, tokenizer, scheduler = load_trainable(preset)
    groups = parameter_groups(unet, text_encoder, preset)
    optimizer = make_optimizer(
        groups, numbers.optimizer, weight_decay=numbers.weight_decay, device=accelerator.device
    )
    lr_scheduler = get_scheduler(
        numbers.lr_scheduler,
        optimizer,
        num_warmup_steps=numbers.lr_warmup_steps,
        num_training_steps=numbers.steps,
    )
    unet, text_encoder, optimizer, lr_scheduler = accelerator.prepare(
        unet, text_encoder, optimizer, lr_scheduler
    )
    # Row 0 is the item's prompt, row 1 the empty one that guidance needs.
    input_ids = encode_prompts(tokenizer, [prompt, ""]).to(accelerator.device)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for step in _steps(numbers.steps, progress, losses):
        with attention(precision, device):
            loss = _batch_loss(unet, text_encoder, scheduler, bank, input_ids, preset, generator)
            accelerator.backward(loss)  # here, too: gradient checkpointing computes the attention again
        accelerator.clip_grad_norm_([*unet.parameters(), *text_encoder.parameters()], numbers.max_grad_norm)
        optimizer.step()
        lr_scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if callable(progress):
            progress(step + 1, numbers.steps, losses[-1])
    dtype = getattr(torch, numbers.save_dtype)
    trained = [accelerator.unwrap_model(model, keep_fp32_wrapper=False) for model in (unet, text_encoder)]
    return *(finish(model, dtype) for model in trained), losses


def _batch_loss(
    unet, text_encoder, scheduler, bank: Bank, input_ids, preset: Preset, generator
) -> torch.Tensor:
    """Draw a batch, noise and timesteps, and return the loss. All draws come from the CPU's generator."""
    numbers, device = preset.finetune, input_ids.device
    batch = bank.draw(numbers.batch_size, generator)
    noise = torch.randn(batch.latents.shape, generator=generator).to(device)
    last = scheduler.config.num_train_timesteps
    timesteps = torch.randint(last, (numbers.batch_size,), generator=generator).to(device)
    dropped = torch.rand(numbers.batch_size, generator=generator) < numbers.prompt_dropout
    # The prompt is the same for all samples, so it is encoded once, not once for each of them.
    rows = input_ids if dropped.any() else input_ids[:1]
    encoder_hidden_states = text_encoder(rows)[0][dropped.long().to(device)]  # (B, tokens, width)
    weight = pixel_weight(batch.mask, batch.object_mask, numbers.mask_weight, numbers.background_weight)
    return inpainting_loss(
        unet,
        scheduler,
        batch,
        encoder_hidden_states,
        noise,
        timesteps,
        weight=weight,
        snr_gamma=numbers.snr_gamma,
    )


def _encode_item(item: Item, object_masks, preset: Preset, seed: int, device: torch.device) -> Bank:
    """The item's bank; the VAE is gone from memory afterwards."""
    vae = load_vae(preset).to(device)
    return build_bank(vae, item.photos, object_masks, preset, seed=seed)


def _steps(steps: int, progress: Progress, losses: list[float]):
    """Count the steps; with ``progress`` True a bar shows the mean loss of the last 20."""
    with tqdm(range(steps), desc="fine-tune", unit="step", disable=progress is not True) as bar:
        for step in bar:
            yield step
            recent = losses[-20:]
            bar.set_postfix(loss=f"{sum(recent) / len(recent):.3f}", refresh=False)


def _settings(tuned: FineTuned, item: Item, preset: Preset, seed: int) -> dict:
    """What run.json holds."""
    return {
        "prompt": tuned.prompt,
        "class_noun": tuned.class_noun,
        "item": _about(item),
        "preset": preset.as_dict(),
        "seed": seed,
        "steps": len(tuned.losses),
        "seconds": tuned.seconds,
        "versions": versions(),
        "losses": [round(loss, 5) for loss in tuned.losses],
    }


def _about(item: Item) -> dict:
    return {"name": item.name, "title": item.title, "photos": [path.name for path in item.paths]}


def _made_by(settings: dict, item: Item, preset: Preset, seed: int) -> bool:
    """Whether a run.json came of fine-tuning this item with these numbers."""
    wanted = json.loads(json.dumps(preset.as_dict()))  # tuples become lists, as they did in run.json
    read = ("models", "resolution", "token", "segment", "masks", "finetune")
    same_numbers = all(settings["preset"].get(name) == wanted[name] for name in read)
    same_item = settings.get("item") == _about(item) and settings["class_noun"] == item.class_noun
    return same_numbers and same_item and settings.get("seed") == seed


def _chosen(preset: Preset, steps: int | None, learning_rate: float | None) -> Preset:
    """The preset with what the caller chose in place of its own."""
    numbers = preset.finetune
    steps = numbers.steps if steps is None else steps
    learning_rate = numbers.learning_rate if learning_rate is None else learning_rate
    if steps < 1:
        raise InputError(f"The number of steps is {steps}, but must be at least 1.")
    if not learning_rate > 0:
        raise InputError(f"The learning rate is {learning_rate}, but must be greater than 0.")
    return replace(preset, finetune=replace(numbers, steps=steps, learning_rate=learning_rate))


def _check(item: Item, object_masks: Sequence[Image.Image]) -> None:
    if len(object_masks) != len(item.photos):
        raise InputError(
            f"{item.name} has {len(item.photos)} photos but {len(object_masks)} object masks came: "
            "give one for each."
        )
    for path, photo, mask in zip(item.paths, item.photos, object_masks, strict=True):
        if mask.size != photo.size:
            raise InputError(
                f"The object mask of {path} is {mask.size}, its photo {photo.size}: make them the same."
            )
        if mask.getbbox() is None:
            raise InputError(f"The object mask of {path} is empty: mark the product in white.")
