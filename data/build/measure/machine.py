"""What this machine is, what it can do in one large operation, and where a program spends its time."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, schedule

DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# Kinds of operations by the beginnings of their names, the first that fits.
KINDS = {
    "convolution, backward": ("aten::convolution_backward", "aten::_slow_conv2d_backward"),
    "convolution": ("aten::mkldnn_convolution", "aten::cudnn_convolution", "aten::_slow_conv", "aten::thnn_conv"),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::linear", "aten::mkldnn_linear"),
    "attention": ("aten::_scaled_dot_product", "aten::_flash", "aten::_efficient", "aten::_softmax"),
    "norms": ("aten::native_group_norm", "aten::native_layer_norm", "aten::native_batch_norm"),
    "activation functions": ("aten::silu", "aten::gelu", "aten::sigmoid"),
    "copies and casts": ("aten::copy_", "aten::_to_copy", "aten::clone", "aten::contiguous", "aten::cat"),
    "optimizer and clipping": (
        "aten::_fused_adam",
        "Optimizer.",
        "aten::_foreach",
        "aten::linalg_vector_norm",
        "bitsandbytes",
    ),
}


def name(device: torch.device) -> str:
    """Return the name of the GPU or of the processor, with the instructions that torch uses on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")  # platform.processor() is empty on most Linux systems
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    found = names[0] if names else platform.processor() or platform.machine()
    return f"{found} ({torch.backends.cpu.get_cpu_capability()})"


def load() -> str:
    """Say how busy the machine is."""
    if not hasattr(os, "getloadavg"):
        return "the system does not tell how busy it was"
    return f"{os.getloadavg()[0]:.1f} programs wanted to run in the last minute"


def peaks(precision: str, device: torch.device, now: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """Return the operations a second of a large matrix product and of a large convolution."""
    dtype, size = DTYPES[precision], 4096 if device.type == "cuda" else 1024
    a = torch.randn(size, size, dtype=dtype, device=device)
    conv = torch.nn.Conv2d(256, 256, 3, padding=1, dtype=dtype, device=device).requires_grad_(False)
    x = torch.randn(8, 256, 32, 32, dtype=dtype, device=device).to(memory_format=torch.channels_last)
    works = {
        "a matrix product": (lambda: a @ a, 2 * size**3),
        "a convolution": (lambda: conv(x), 2 * 8 * 32 * 32 * 256 * 256 * 9),
    }
    return {name: flops / least(work, now) for name, (work, flops) in works.items()}


def least(work: Callable[[], object], now: Callable[[], float] = time.perf_counter, tries: int = 8) -> float:
    """Return the least seconds that some work takes. The first time, which chooses algorithms, is not counted."""
    work()
    found = []
    for _ in range(tries):
        start = now()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append(now() - start)
    return min(found)


def kinds(run: Callable[[Callable[[], None]], object], device: torch.device, wait: int, steps: int = 3) -> list[str]:
    """Return a table of the kinds of operations that a training run spends its time in.

    Args:
        run: trains; it calls the function that it is given after each step.
        device: that it trains on.
        wait: steps that are not counted.
        steps: steps that are counted.
    """
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities, schedule=schedule(wait=wait - 1, warmup=1, active=steps, repeat=1)) as profiler:
        run(profiler.step)
    seconds, calls = (dict.fromkeys([*KINDS, "all else"], 0.0) for _ in range(2))
    for event in profiler.key_averages():
        kind = kind_of(event.key)
        own = event.self_device_time_total if device.type == "cuda" else event.self_cpu_time_total
        if not event.key.startswith("ProfilerStep"):
            seconds[kind] += own
            calls[kind] += event.count
    total = sum(seconds.values())
    lines = ["| kind | share of the time | calls a step |", "|---|---:|---:|"]
    order = sorted(seconds, key=seconds.get, reverse=True)
    return lines + [f"| {kind} | {seconds[kind] / total:.0%} | {calls[kind] / steps:.0f} |" for kind in order]


def kind_of(operation: str) -> str:
    """Return the kind of an operation by its name."""
    return next((kind for kind, names in KINDS.items() if operation.startswith(names)), "all else")
