"""Which device, and which numbers to compute in on it."""

from __future__ import annotations

import torch


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, or else the GPU if there is one, or else the CPU."""
    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def inference_dtype(device: torch.device) -> torch.dtype:
    """Half precision on a CUDA GPU, single precision elsewhere (CPUs are slow in half precision)."""
    return torch.float16 if device.type == "cuda" else torch.float32


def mixed_precision(choice: str, device: torch.device) -> str:
    """Resolve a preset's ``auto``: bf16 where the GPU computes in it, else fp16; off the GPU none."""
    if choice != "auto":
        return choice
    if device.type != "cuda":
        return "no"
    # A T4 says yes unless asked to leave emulation out, and is then many times slower.
    return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
