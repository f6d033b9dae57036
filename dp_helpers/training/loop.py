"""The training loop: U-Net and text encoder learn together on Eq. 2, from a bank of latents."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DataLoaderConfiguration
from diffusers import UNet2DConditionModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import cast_training_params
from tqdm.auto import tqdm
from transformers import CLIPTextModel

from .. import models
from ..device import attention, mixed_precision, pick_device
from ..errors import InputError
from ..presets import Finetune, Preset
from . import lora, processes
from .checkpoints import Checkpoints
from .latents import Bank
from .optim import make_optimizer, parameter_groups
from .step import Prompts, batch_loss, step_generator

Progress = bool | Callable[[int, int, float], None]
Look = Callable[[int, UNet2DConditionModel, CLIPTextModel], dict[str, float]]


def train(
    bank: Bank,
    prompt: str,
    preset: Preset,
    *,
    seed: int = 0,
    class_bank: Bank | None = None,
    class_prompt: str = "",
    checkpoints: Checkpoints | None = None,
    progress: Progress = True,
    look: Look | None = None,
) -> tuple[dict[str, Any], list[float]]:
    """Train the preset's U-Net and text encoder on a bank of latents.

    Args:
        bank: the encoded item.
        prompt: the item's, "a [token] [class noun]".
        preset: models and settings.
        seed: of batches, noise and timesteps.
        class_bank, class_prompt: encoded class pictures and their prompt, for prior preservation.
        checkpoints: where to save the state and resume from; None does neither.
        progress: True draws a bar on stderr. A function is called with (step, steps, loss).
        look: called with (step, U-Net, text encoder) before the first step, every ``validation_steps`` and after the
            last step. What it returns goes to the tracker. It must leave both modules as they are.

    Returns:
        What was trained: ``unet`` and ``text_encoder`` in eval mode, or the LoRA matrices ``lora``; and the loss of
        each step.

    Raises:
        InputError: a loss is not finite, or this machine or process cannot train as the settings ask.
    """
    settings, device = preset.finetune, pick_device()
    precision = mixed_precision(settings.mixed_precision, device)
    accelerator = _accelerator(preset, precision, device, checkpoints)
    unet, text_encoder, tokenizer, scheduler = models.load_trainable(preset)
    freeze(unet, text_encoder, settings, precision, accelerator.device, seed)
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
    if checkpoints:
        checkpoints.made_with = {"precision": precision, "optimizer": type(optimizer).__name__}
    trained = [unet, text_encoder] if settings.train_text_encoder else [unet]
    *trained, optimizer, lr_scheduler = accelerator.prepare(*trained, optimizer, lr_scheduler)
    unet, text_encoder = trained if settings.train_text_encoder else (*trained, text_encoder.to(accelerator.device))
    # Row 0 is the item's prompt, row 1 the empty prompt that guidance needs, row 2 the class's.
    input_ids = models.tokenize(tokenizer, [prompt, "", class_prompt]).to(accelerator.device)
    prompts = Prompts(text_encoder, input_ids)
    modules = {"unet": accelerator.unwrap_model(unet), "text_encoder": accelerator.unwrap_model(text_encoder)}
    state = {**modules, "optimizer": optimizer, "lr_scheduler": lr_scheduler}
    if not settings.train_text_encoder:
        del state["text_encoder"]
    if accelerator.scaler is not None:
        state["scaler"] = accelerator.scaler
    done, losses = checkpoints.restore(state) if checkpoints else (0, [])
    weights = [weight for model in trained for weight in model.parameters() if weight.requires_grad]
    watch = _watching(look, unet, text_encoder, settings, accelerator)
    with checkpoints or nullcontext():
        if done == 0:
            watch(0)
        for step in _steps(done, settings.steps, progress, losses):
            generator, batch_losses = step_generator(seed, step), []
            for _ in range(settings.gradient_accumulation_steps):
                with accelerator.accumulate(*trained), attention(precision, device):
                    loss = batch_loss(unet, prompts, scheduler, bank, preset, generator, step, class_bank=class_bank)
                    accelerator.backward(loss)  # inside, because gradient checkpointing computes the attention again
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(weights, settings.max_grad_norm)
                    optimizer.step()
                    lr_scheduler.step()
                    optimizer.zero_grad(set_to_none=True)
                batch_losses.append(loss.detach())
            losses.append(accelerator.reduce(torch.stack(batch_losses).mean(), "mean").item())
            _check_finite(losses[-1], step + 1, settings, precision)
            accelerator.log({"loss": losses[-1], "learning_rate": lr_scheduler.get_last_lr()[0]}, step=step + 1)
            if callable(progress):
                progress(step + 1, settings.steps, losses[-1])
            watch(step + 1)
            if checkpoints:
                checkpoints.after_step(step + 1, settings.steps, losses, state)
    accelerator.end_training()
    return _parts(unet, text_encoder, settings, accelerator), losses


def freeze(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    settings: Finetune,
    precision: str,
    device: torch.device,
    seed: int,
) -> None:
    """Freeze what is not trained, and attach LoRA matrices if the settings ask for them.

    Trained weights stay in fp32. On a GPU frozen ones are kept in the precision of the arithmetic, in half the memory.
    """
    frozen = [] if settings.train_text_encoder else [text_encoder.requires_grad_(False).eval()]
    if settings.lora_rank:
        lora.attach(unet, text_encoder, settings, seed=seed)
        frozen = [unet, text_encoder]
    if device.type == "cuda" and precision != "no":
        for module in frozen:
            module.to({"fp16": torch.float16, "bf16": torch.bfloat16}[precision])
        cast_training_params(frozen, torch.float32)


def _steps(done: int, steps: int, progress: Progress, losses: list[float]):
    """Count the steps from ``done``. If ``progress`` is True, a bar shows the time left and the mean of 20 losses."""
    hidden = progress is not True or not processes.is_main()
    with tqdm(total=steps, initial=done, desc="fine-tune", unit="step", disable=hidden) as bar:
        for step in range(done, steps):
            yield step
            recent = losses[-20:]
            bar.set_postfix(loss=f"{sum(recent) / len(recent):.3f}", refresh=False)
            bar.update()


def _check_finite(loss: float, step: int, settings: Finetune, precision: str) -> None:
    if not math.isfinite(loss):
        ways = f"lower finetune.learning_rate (it is {settings.learning_rate:g})"
        ways += "" if precision == "no" else f', or set finetune.mixed_precision="no" (it is {precision} here)'
        raise InputError(f"The loss of step {step} is {loss}, so training has failed and the run is not saved: {ways}.")


def _accelerator(preset: Preset, precision: str, device: torch.device, checkpoints: Checkpoints | None) -> Accelerator:
    """Make the accelerator, and start the tracker that the preset asks for. Its logs go next to the run's folder."""
    settings, tracker = preset.finetune, preset.finetune.report_to
    run_folder = checkpoints.run_folder if checkpoints else Path("run")
    if tracker != "none" and tracker not in {str(found) for found in get_available_trackers()}:
        raise InputError(
            f"finetune.report_to is {tracker!r}, but accelerate does not find its library: install it with pip, or "
            "leave report_to out."
        )
    try:
        accelerator = Accelerator(
            mixed_precision=precision,
            dataloader_config=DataLoaderConfiguration(split_batches=True),  # one step of the rate, not one per process
            cpu=device.type == "cpu",
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
            log_with=None if tracker == "none" else tracker,
            project_dir=None if tracker == "none" else run_folder.parent / "logs",
        )
    except ValueError as error:
        if "already been initialized" not in str(error):
            raise
        raise InputError(
            f"finetune.mixed_precision asks for {precision!r} on {device.type}, but this process has trained with "
            "another precision or device, which accelerate keeps: restart the kernel, or change the setting back."
        ) from error
    if tracker != "none":
        config = {name: str(value) for name, value in vars(settings).items()}
        accelerator.init_trackers(run_folder.name, config=config)
    return accelerator


def _watching(look: Look | None, unet, text_encoder, settings: Finetune, accelerator) -> Callable[[int], None]:
    """Return a function that calls ``look`` if it is time to, with both modules in eval mode."""

    def watch(step: int) -> None:
        every = settings.validation_steps
        if look is None or not (step in (0, settings.steps) or (every and step % every == 0)):
            return
        was_training = [(module, module.training) for module in (unet, text_encoder)]
        modules = [accelerator.unwrap_model(module).eval() for module, _ in was_training]
        with torch.no_grad(), accelerator.autocast():
            found = look(step, *modules)
        for module, training in was_training:
            module.train(training)
        accelerator.log(found, step=step)

    return watch


def _parts(unet, text_encoder, settings: Finetune, accelerator: Accelerator) -> dict[str, Any]:
    """Return what was trained, rounded to ``save_dtype``."""
    dtype = getattr(torch, settings.save_dtype)
    unet, text_encoder = (accelerator.unwrap_model(model, keep_fp32_wrapper=False) for model in (unet, text_encoder))
    if settings.lora_rank:
        return {"lora": lora.matrices(unet, text_encoder, settings, dtype)}
    parts = {"unet": unet, "text_encoder": text_encoder} if settings.train_text_encoder else {"unet": unet}
    return {name: models.finish(model, dtype) for name, model in parts.items()}
