"""Is this machine ready? ``python -m dp_helpers check`` prints one line for each requirement."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module

from . import presets

NEEDED_MB = 1500  # what the demo may use


def checks(preset_name: str = "tiny") -> Iterator[tuple[bool, str, str]]:
    """Yield (is it right, what was checked, what was found) for each requirement."""
    yield sys.version_info >= (3, 11), "Python", f"{sys.version.split()[0]} (3.11 or newer is needed)"
    for library in ("torch", "diffusers", "transformers", "accelerate"):
        yield _try(library, lambda library=library: import_module(library).__version__)
    yield _try("device", _device)
    yield _try("8-bit Adam", _adam)
    yield _try(f"models of {preset_name}", lambda: _models(preset_name))
    yield _memory()


def _try(name: str, look: Callable[[], str]) -> tuple[bool, str, str]:
    try:
        return True, name, look()
    except Exception as error:  # whatever is broken, the check must go on to the next line
        return False, name, (str(error).strip().splitlines() or [type(error).__name__])[0]


def _device() -> str:
    from .device import pick_device

    return str(pick_device())


def _adam() -> str:
    from .device import pick_device
    from .training.optim import why_no_8bit

    reason = why_no_8bit(pick_device())
    if reason:
        raise RuntimeError(f"{reason}; fine-tuning will take AdamW, which needs more memory")
    return "bitsandbytes took a step with 8-bit states"


def _models(preset_name: str) -> str:
    from .models import check_sources

    preset = presets.load(preset_name)
    check_sources(preset, "inpainting", "clipseg", "clip")
    return ", ".join(source for sources in vars(preset.models).values() for source in sources)


def _memory() -> tuple[bool, str, str]:
    try:
        pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (AttributeError, ValueError, OSError):
        return True, "memory", "this system does not tell"
    return pages >= NEEDED_MB, "memory", f"{pages:.0f} MB free ({NEEDED_MB} MB are needed)"
