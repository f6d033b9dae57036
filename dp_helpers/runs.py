"""A finished fine-tuning run: what was trained, and ``run.json``.

What was trained is ``unet/`` and ``text_encoder/`` in the libraries' own format, or one file of LoRA matrices. What
was not trained is that of the base model and not in the run's folder.
"""

from __future__ import annotations

import json
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from . import __version__, origin, sources
from .catalog import Item
from .device import is_out_of_memory
from .errors import InputError
from .files import check_can_write, is_of_system, recover, whole_folder
from .hub import first_line
from .presets import Preset
from .training import checkpoints, lora

_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "peft", "bitsandbytes")
VALIDATION = "validation"  # the folder of the pictures that `watch.Watch` painted, and their scores in run.json
_PARTS = {checkpoints.FOLDER, VALIDATION, "unet", "text_encoder", lora.FILE}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_preset(value: Any) -> bool:
    if not (isinstance(value, dict) and isinstance(value.get("finetune"), dict)):
        return False
    return _is_text(value.get("source")) and value["finetune"].get("save_dtype") in ("float16", "float32")


# What every record holds, and how each entry is checked.
_NEEDED = {
    "prompt": _is_text,
    "class_noun": _is_text,
    "losses": lambda value: isinstance(value, list) and all(isinstance(loss, (int, float)) for loss in value),
    "seconds": lambda value: isinstance(value, dict),
    "preset": _is_preset,
}


@dataclass
class Run:
    """A fine-tuned item: what was trained, and the record of how. None: the base model's is used."""

    record: dict[str, Any]  # contents of run.json: preset, item, seed, versions, losses ...
    unet: UNet2DConditionModel | None = None
    text_encoder: CLIPTextModel | None = None
    lora: dict[str, torch.Tensor] | None = None  # contents of the LoRA file
    folder: Path | None = None  # where it is saved, if it is

    @property
    def modules(self) -> dict[str, torch.nn.Module]:
        """Return the modules that replace those of the base model's pipeline, by their names there."""
        both = {"unet": self.unet, "text_encoder": self.text_encoder}
        return {name: module for name, module in both.items() if module is not None}

    @property
    def prompt(self) -> str:
        """Return the item's prompt, "a [token] [class noun]"."""
        return self.record["prompt"]

    @property
    def losses(self) -> list[float]:
        """Return the loss of each step."""
        return self.record["losses"]

    @property
    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage."""
        return self.record["seconds"]

    @property
    def preset_source(self) -> str:
        """Return the preset's name or path, as `presets.load` takes it."""
        return self.record["preset"]["source"]


def check_run_folder(folder: str | Path, item: Item | None = None) -> Path:
    """Return ``folder`` as a Path if a run can be saved there. An older run of the same ``item`` may be there.

    Raises:
        InputError: it is a file, it cannot be written to, or it holds something else than a run or its checkpoints, or
            the run of another item.
    """
    folder = check_can_write(folder)
    recover(folder)
    inside = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    foreign = {name for name in inside - _PARTS if not is_of_system(name)}
    if foreign and "run.json" not in inside:
        raise InputError(f"{folder} holds other things than a fine-tuned run: name a new folder.")
    there = _item_in(folder) if item else None
    if there is not None and there != item.name:
        raise InputError(f"{folder} holds the run of another item, {there}: name a new folder, or remove that one.")
    return folder


def save_run(run: Run, folder: str | Path) -> Path:
    """Save a run. An older run in the same folder is replaced once the new one is whole; other files there stay."""
    folder = check_run_folder(folder)
    with whole_folder(folder, replace=True) as temporary:
        for name, module in run.modules.items():
            module.save_pretrained(temporary / name, safe_serialization=True)
        if run.lora:
            save_file(run.lora, temporary / lora.FILE, metadata={"format": "pt"})
        pictures = folder / checkpoints.FOLDER / VALIDATION
        if pictures.is_dir():
            shutil.copytree(pictures, temporary / VALIDATION)
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name not in _PARTS | {"run.json"}:  # the user's own, for example paintings
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, temporary / path.name)
        text = json.dumps(run.record, indent=2, ensure_ascii=False)
        (temporary / "run.json").write_text(text + "\n", encoding="utf-8")
    run.folder = folder
    return folder


def load_run(folder: str | Path) -> Run:
    """Load a saved run, its weights in the precision in which they were saved.

    Raises:
        InputError: the folder does not hold a whole run.
    """
    folder = Path(folder)
    record = read_record(folder)
    try:
        settings = record["preset"]["finetune"]
        options = {"use_safetensors": True, "torch_dtype": getattr(torch, settings["save_dtype"])}
        if settings.get("lora_rank"):
            return Run(record, lora=load_file(folder / lora.FILE), folder=folder)
        run = Run(record, UNet2DConditionModel.from_pretrained(folder / "unet", **options), folder=folder)
        if settings.get("train_text_encoder", True):
            run.text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", **options)
    except Exception as error:  # whatever a damaged file raises
        if is_out_of_memory(error):
            raise
        raise InputError(f"{folder} is not a whole run ({first_line(error)}): fine-tune again.") from error
    return run


def read_record(folder: str | Path) -> dict[str, Any]:
    """Read a run's run.json.

    Raises:
        InputError: there is none, or it is damaged.
    """
    recover(folder)
    path = Path(folder) / "run.json"
    if not path.is_file():
        raise InputError(
            f"{folder} is not a fine-tuned run: it has no run.json; name the folder that `finetune --out` made."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        missing = _NEEDED.keys() - record.keys()
    except (ValueError, AttributeError, OSError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({first_line(error)}): fine-tune again.") from error
    if missing:
        raise InputError(f"{path} lacks {', '.join(sorted(missing))}: fine-tune again.")
    if wrong := [name for name, is_right in _NEEDED.items() if not is_right(record[name])]:
        raise InputError(f"{path} holds a wrong {' and '.join(sorted(wrong))}: fine-tune again.")
    return record


def make_record(item: Item, preset: Preset, seed: int, seconds: dict[str, float], losses: list[float]) -> dict:
    """Return the contents of run.json."""
    return {
        "prompt": item.prompt(preset.token),
        **origin.about(item),
        "preset": preset.as_dict(),
        "sources": sources.used(preset),
        "seed": seed,
        "steps": len(losses),
        "seconds": seconds,
        "versions": versions(),
        "losses": [round(loss, 5) for loss in losses],
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that influence the result."""
    found = {"python": platform.python_version(), "dp_helpers": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # bitsandbytes is optional
            found[name] = "none"
    return found


def _item_in(folder: Path) -> str | None:
    """Return the name of the item whose run is in a folder; None if there is no whole record."""
    try:
        return read_record(folder)["item"]["name"]
    except (InputError, TypeError, KeyError):
        return None
