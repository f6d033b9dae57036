"""Choose the device, and the precision and attention to compute with on it."""

from __future__ import annotations

import contextlib
import functools
import time
import traceback
from collections.abc import Iterator

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from .errors import InputError

_CLOSE = "close other programs and notebooks that use it, then restart this one; the photo's size does not matter"
_FULL = ("out of memory", "can't allocate memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Return the given device. Without one, return the GPU if there is one, otherwise the CPU."""
    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def inference_dtype(device: torch.device) -> torch.dtype:
    """Return fp16 for a CUDA GPU and fp32 for all other devices (CPUs are slow in half precision)."""
    return torch.float16 if device.type == "cuda" else torch.float32


def mixed_precision(choice: str, device: torch.device) -> str:
    """Resolve a preset's ``auto``: bf16 where the device is fast in it, otherwise fp16 on a CUDA GPU or "no"."""
    if choice != "auto":
        return choice
    if device.type == "cuda":
        # A T4 says that it supports bf16, but it only emulates it, many times slower.
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if device.type == "cpu" and bf16_is_fast() else "no"


@functools.cache
def bf16_is_fast() -> bool:
    """Return whether a convolution takes this CPU less time in bf16 than in fp32.

    CPUs with AVX512-BF16 or AMX are faster in bf16. CPUs that only emulate it are hundreds of times slower, so
    this function measures it. A caller that computes no gradients may ask, too.
    """
    with torch.inference_mode(False), torch.enable_grad():
        return _bf16_is_fast()


def _bf16_is_fast() -> bool:
    conv, x, seconds = torch.nn.Conv2d(64, 64, 3, padding=1), torch.randn(8, 64, 16, 16), []
    for dtype in (torch.float32, torch.bfloat16):
        conv, x = conv.to(dtype), x.to(dtype)
        tries = []
        for _ in range(4):
            start = time.perf_counter()
            conv(x).sum().backward()
            tries.append(time.perf_counter() - start)
        seconds.append(min(tries))
    return seconds[1] < seconds[0]


def attention(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """Return the attention to compute with. On a CPU, torch's fused attention is slow in bf16, so avoid it there."""
    plain = precision == "bf16" and device.type == "cpu"
    return sdpa_kernel(SDPBackend.MATH) if plain else contextlib.nullcontext()


def layout(precision: str, device: torch.device) -> torch.memory_format:
    """Return the layout of convolution weights in which a training step takes the least time.

    Half precision is faster with channels last. In fp32 on a CPU, that layout costs a copy of every weight's gradient.
    """
    plain = precision == "no" and device.type == "cpu"
    return torch.contiguous_format if plain else torch.channels_last


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of the device or of the machine is full."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = str(error)
    return isinstance(error, RuntimeError) and any(sign in said for sign in _FULL)


@contextlib.contextmanager
def told_when_memory_is_full(advice: str = _CLOSE) -> Iterator[None]:
    """Say in one sentence that the memory is full, and what to do. Works as a decorator, too.

    Raises:
        InputError: the block has filled the memory of the device or of the machine.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # its tensors would stay in memory as long as a notebook shows it
        said = (str(error).strip().splitlines() or ["MemoryError"])[0]
        raise InputError(f"The memory is full ({said[:120]}): {advice}.") from error
