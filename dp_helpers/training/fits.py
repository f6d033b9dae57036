"""Does a run fit into the memory of the device? Ask before anything is downloaded, and say what to change."""

from __future__ import annotations

import warnings

import psutil
import torch

from .. import presets
from ..errors import InputError
from ..presets import Preset
from .memory import GPU_LIBRARIES, account
from .optim import why_no_8bit
from .shapes import trainable


def check_fits(preset: Preset, device: torch.device) -> None:
    """Warn before a run that will not fit into the memory of the device, and say what to change.

    Small models are not counted: at 8 times the memory that their weights need in training, any batch fits.

    Raises:
        InputError: the weights, their gradients and the optimizer alone take more than the GPU has.
    """
    if device.type not in ("cuda", "cpu"):
        return
    there = available(device)
    if 8 * 16 * sum(weight.numel() for module in trainable(preset) for weight in module.parameters()) < there:
        return
    plan, reason = planned(preset, device)
    needed = account(plan, device.type)
    if needed.total <= there:
        return
    kept = sum(needed.most[part] for part in ("weights", "gradients", "optimizer"))
    why = f" without 8-bit Adam, which does not work here ({reason})" if reason else ""
    ways = ways_to_save(plan) + (["a bitsandbytes that works here"] if reason else [])
    advice = f"Set {', or '.join(ways)}." if ways else "Take a smaller model or resolution."
    if device.type == "cuda" and kept + GPU_LIBRARIES > there:
        raise InputError(
            f"This run needs {kept / 1e9:.1f} GB{why} before any activation, but the GPU has "
            f"{there / 1e9:.1f} GB. {advice}"
        )
    warnings.warn(
        f"This run will take about {needed.total / 1e9:.1f} GB{why}, but {there / 1e9:.1f} GB are there. {advice}",
        stacklevel=3,
    )


def planned(preset: Preset, device: torch.device) -> tuple[Preset, str | None]:
    """Return the preset with the optimizer that the device will take, and why 8-bit Adam does not work, or None."""
    reason = why_no_8bit(device) if preset.finetune.optimizer == "adamw8bit" else None
    return (presets.change(preset, finetune={"optimizer": "adamw"}) if reason else preset), reason


def ways_to_save(preset: Preset) -> list[str]:
    """Return the settings that would lower the memory of a run."""
    settings, size = preset.finetune, preset.finetune.batch_size
    ways = {
        f"batch_size=1 with gradient_accumulation_steps={size}": size > 1,
        "gradient_checkpointing=true": not settings.gradient_checkpointing,
        'optimizer="adamw8bit"': settings.optimizer == "adamw" and not settings.lora_rank,
        "train_text_encoder=false": settings.train_text_encoder,
        "lora_rank=8": not settings.lora_rank,
        "encode_batch_size=1": settings.encode_batch_size > 1,
    }
    return [way for way, helps in ways.items() if helps]


def available(device: torch.device) -> float:
    """Return the bytes of a GPU's memory, or the bytes of main memory that a process can get."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return psutil.virtual_memory().available  # counts what only caches files
