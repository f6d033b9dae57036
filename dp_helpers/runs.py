"""A saved fine-tune: ``unet/`` and ``text_encoder/`` as the libraries save them, and ``run.json``."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from . import __version__
from .errors import InputError
from .files import whole_folder

_LIBRARIES = ("torch", "diffusers", "transformers", "accelerate", "bitsandbytes")


@dataclass
class FineTuned:
    """A fine-tuned item: the two modules that were trained, and how."""

    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    prompt: str  # the item's prompt, "a [token] [class noun]"
    class_noun: str
    losses: list[float]  # one for each step
    seconds: dict[str, float]  # by stage
    settings: dict[str, Any] = field(default_factory=dict)  # all that run.json holds
    folder: Path | None = None  # where it is saved, if it is

    @property
    def preset_source(self) -> str:
        """The preset's name or path, as `presets.load` takes it."""
        return self.settings["preset"]["source"]


def check_run_folder(folder: str | Path) -> Path:
    """Refuse, before any training, a folder that cannot be written or holds something else than a run."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder for the run.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "run.json").is_file():
        raise InputError(f"{folder} holds other things than a fine-tuned run: name a new folder.")
    return folder


def save_run(tuned: FineTuned, folder: str | Path) -> Path:
    """Save a fine-tune. An older run of the same name is replaced once the new one is whole."""
    folder = check_run_folder(folder)
    with whole_folder(folder, replace=True) as temporary:
        tuned.unet.save_pretrained(temporary / "unet", safe_serialization=True)
        tuned.text_encoder.save_pretrained(temporary / "text_encoder")
        text = json.dumps(tuned.settings, indent=2, ensure_ascii=False)
        (temporary / "run.json").write_text(text + "\n", encoding="utf-8")
    tuned.folder = folder
    return folder


def load_run(folder: str | Path) -> FineTuned:
    """Load a saved fine-tune, weights in the precision they were saved in.

    Raises:
        InputError: when the folder is no whole run.
    """
    folder = Path(folder)
    settings = read_settings(folder)
    try:
        unet = UNet2DConditionModel.from_pretrained(
            folder / "unet", use_safetensors=True, torch_dtype=_saved_dtype(settings)
        )
        text_encoder = CLIPTextModel.from_pretrained(
            folder / "text_encoder", use_safetensors=True, torch_dtype=_saved_dtype(settings)
        )
    except OSError as error:
        raise InputError(
            f"{folder} is not a whole run ({str(error).splitlines()[0]}): fine-tune again."
        ) from error
    keys = ("prompt", "class_noun", "losses", "seconds")
    return FineTuned(unet, text_encoder, *(settings[key] for key in keys), settings, folder)


def read_settings(folder: str | Path) -> dict[str, Any]:
    """The contents of a run's run.json."""
    path = Path(folder) / "run.json"
    if not path.is_file():
        raise InputError(
            f"{folder} is not a fine-tuned run: it has no run.json; name the folder of `finetune --out`."
        )
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        missing = {"prompt", "class_noun", "losses", "seconds", "preset"} - settings.keys()
    except (json.JSONDecodeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}): fine-tune again.") from error
    if missing:
        raise InputError(f"{path} lacks {', '.join(sorted(missing))}: fine-tune again.")
    return settings


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that have a say in the result."""
    found = {"python": platform.python_version(), "dp_helpers": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # bitsandbytes can be done without
            found[name] = "none"
    return found


def _saved_dtype(settings: dict[str, Any]) -> torch.dtype:
    return getattr(torch, settings["preset"]["finetune"]["save_dtype"])
