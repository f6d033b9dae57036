"""The optimizer: 8-bit Adam where it works, otherwise torch's AdamW."""

from __future__ import annotations

import warnings

import torch

from ..presets import Preset


def parameter_groups(unet: torch.nn.Module, text_encoder: torch.nn.Module, preset: Preset) -> list[dict]:
    """Return the weights of each module that need a gradient as a group, with the module's learning rate."""
    rate, text_rate = preset.finetune.learning_rate, preset.finetune.text_encoder_learning_rate
    rates = {unet: rate, text_encoder: rate if text_rate is None else text_rate}
    groups = [
        {"params": [weight for weight in module.parameters() if weight.requires_grad], "lr": rate}
        for module, rate in rates.items()
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(
    groups: list[dict], name: str = "adamw8bit", *, weight_decay: float, device: torch.device
) -> torch.optim.Optimizer:
    """Make AdamW with 8-bit states from bitsandbytes. If that fails on this machine, warn and make torch's AdamW.

    Args:
        groups: parameter groups as torch's optimizers take them, each with its ``lr``.
        name: "adamw8bit", or "adamw" for torch's own. On a GPU the 8-bit one saves memory; on a CPU it
            is slower than torch's.
        weight_decay: decoupled weight decay.
        device: of the parameters.
    """
    reason = why_no_8bit(device) if name == "adamw8bit" else None
    if name == "adamw8bit" and reason is None:
        from bitsandbytes.optim import AdamW8bit

        return AdamW8bit(groups, weight_decay=weight_decay)
    if reason:
        warnings.warn(f"8-bit Adam does not work here ({reason}): taking AdamW, which needs more memory.", stacklevel=2)
    return torch.optim.AdamW(groups, weight_decay=weight_decay, fused=device.type in ("cpu", "cuda"))


def why_no_8bit(device: torch.device) -> str | None:
    """Take one real step with 8-bit Adam. Return None if it works, otherwise the reason why it does not.

    Importing bitsandbytes proves nothing. A build without a kernel for this device imports fine, then fails or does
    nothing at the first step.
    """
    try:
        from bitsandbytes.optim import AdamW8bit

        # bitsandbytes keeps tensors of fewer than 4096 numbers in 32 bits, so they would prove nothing.
        weight = torch.nn.Parameter(torch.ones(64, 128, device=device))
        optimizer = AdamW8bit([weight], lr=1e-2, weight_decay=0.0)
        weight.grad = torch.ones_like(weight)
        optimizer.step()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a broken build raises
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else '-'}"
    states = [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    if not any(value.dtype == torch.uint8 for value in states):
        return "its states are not 8-bit"
    moved = bool(torch.isfinite(weight).all()) and bool((weight < 1).all())
    return None if moved else "its step does nothing"
