"""Is this machine ready? ``python -m dp_helpers check`` prints one line for each requirement."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from . import presets

_IMPORTS = 0.5e9  # bytes of a process that has imported the libraries and done nothing yet (0.49 measured)
_FOR_BASELINES = ("paint_by_example",)  # models that no product of your own needs


def checks(preset_name: str = "tiny") -> Iterator[tuple[bool | None, str, str]]:
    """Yield (is it right, what was checked, what was found) for each requirement.

    None: it is not right, but only the baselines need it, or the preset does without it.
    """
    yield sys.version_info >= (3, 11), "Python", f"{sys.version.split()[0]} (3.11 or newer is needed)"
    for library in ("torch", "diffusers", "transformers", "accelerate"):
        yield _try(library, lambda library=library: import_module(library).__version__)
    yield _try("device", _device)
    right, name, found = _try(f"preset {preset_name}", lambda: presets.load(preset_name).source)
    yield right, name, found
    if not right:
        return
    preset, sizes, there = presets.load(preset_name), [], set()
    right, name, found = _try("8-bit Adam", _adam)
    spared = not right and preset.finetune.optimizer != "adamw8bit"
    yield None if spared else right, name, f"this preset does without it: {found}" if spared else found
    for model, sources in vars(preset.models).items():
        if sources:
            right, name, found = _try(f"model {model}", lambda model=model: _model(preset, model, sizes))
            there |= {model} if right else set()
            optional = model in _FOR_BASELINES and not right
            yield None if optional else right, name, f"for the baseline alone: {found}" if optional else found
    yield _try("disk", lambda: _disk(sum(sizes)))
    if "inpainting" in there:
        yield _try("memory", lambda: _memory(preset))
    else:
        yield False, "memory", "not known without the model 'inpainting'"


def _try(name: str, look: Callable[[], str]) -> tuple[bool, str, str]:
    try:
        return True, name, look()
    except Exception as error:  # whatever is broken, the check must go on to the next line
        return False, name, (str(error).strip().splitlines() or [type(error).__name__])[0]


def _device() -> str:
    import torch

    from .device import pick_device

    device = pick_device()
    if device.type != "cuda":
        return str(device)
    about = torch.cuda.get_device_properties(device)
    return f"{device}, {about.name} with {about.total_memory / 1e9:.1f} GB"


def _adam() -> str:
    from .device import pick_device
    from .training.optim import why_no_8bit

    reason = why_no_8bit(pick_device())
    if reason:
        raise RuntimeError(f"{reason}; fine-tuning takes AdamW, which needs more memory")
    return "bitsandbytes took a step with 8-bit states"


def _model(preset: presets.Preset, model: str, sizes: list[int]) -> str:
    """Say where a model comes from, and note how much of it is to be downloaded."""
    from . import sources
    from .weights import megabytes

    source, size = sources.look_up(preset, model)
    sizes.append(size)
    return f"{source} ({megabytes(size)} to download)" if size else source


def _disk(needed: int) -> str:
    """Say whether what is to be downloaded fits on the disk."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    free = shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.exists())).free
    found = f"{free / 1e6:,.0f} MB free for downloads ({needed / 1e6:,.0f} MB are needed)"
    if free < needed:
        raise RuntimeError(f"{found}: free some space, or set HF_HOME to a folder on another disk")
    return found


def _memory(preset: presets.Preset) -> str:
    """Say whether a fine-tune fits into the free memory of the device that will be used."""
    import torch

    from .device import pick_device
    from .training import fits, memory

    device = pick_device()
    on_gpu = device.type == "cuda"
    free = torch.cuda.mem_get_info()[0] if on_gpu else fits.available(device)
    planned, why = fits.planned(preset, device)
    needed = memory.account(planned, "cuda" if on_gpu else "cpu").total + (0 if on_gpu else _IMPORTS)
    place, without = "GPU" if on_gpu else "CPU", " without 8-bit Adam" if why else ""
    found = f"{free / 1e6:,.0f} MB free on the {place} (fine-tuning needs about {needed / 1e6:,.0f} MB{without})"
    if free < needed:
        ways = fits.ways_to_save(planned)
        raise RuntimeError(found + (f": set {', or '.join(ways)}" if ways else ""))
    return found
