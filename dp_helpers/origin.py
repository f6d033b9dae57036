"""What a run is made from: everything that decides the result of fine-tuning, and that a name or number can tell.

Two calls with the same origin make the same run. So a setting that cannot change the result is not part of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .catalog import Item
from .presets import Finetune, Preset
from .training import prior

# Settings that never change the result, and those that nothing reads while another one has a certain value.
_NO_INFLUENCE = "gradient_checkpointing checkpointing_steps checkpoints_total_limit validation_steps report_to".split()
_NOT_READ = [
    ("lora_rank", 0, "lora_alpha lora_targets"),
    ("prior_weight", 0, "class_pictures"),
    ("train_text_encoder", False, "text_encoder_learning_rate text_encoder_stop_step"),
    ("lr_scheduler", "constant", "lr_warmup_steps"),
]
_MODELS = ("inpainting", "clipseg")  # the other models see finished pictures only


def made_from(item: Item, preset: Preset, seed: int) -> dict[str, Any]:
    """Return everything that fine-tuning reads and a name can tell: item, photos' names, seed, settings, models.

    The contents of photos and models are not in it.
    """
    return _origin({**about(item), "preset": preset.as_dict(), "seed": seed})


def is_made_from(record: dict[str, Any], origin: dict[str, Any]) -> bool:
    """Return whether the run of a run.json was made from this origin (`made_from`)."""
    return _origin(record) == origin


def about(item: Item) -> dict[str, Any]:
    """Return what a record holds about its item."""
    photos = [path.name for path in item.paths]
    return {"class_noun": item.class_noun, "item": {"name": item.name, "title": item.title, "photos": photos}}


def _origin(record: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a record that decides the result of fine-tuning, as JSON holds it (tuples become lists)."""
    preset = json.loads(json.dumps(record["preset"]))
    # A record of an older version lacks the settings that have come since; they are at their defaults.
    settings = json.loads(json.dumps(asdict(Finetune()))) | preset.get("finetune", {})
    not_read = [name for by, value, names in _NOT_READ if settings[by] == value for name in names.split()]
    used = {name: value for name, value in settings.items() if name not in [*_NO_INFLUENCE, *not_read]}
    read = {name: preset.get(name) for name in ("resolution", "token", "segment", "masks")}
    read |= {"finetune": used, "models": _some(preset, "models", _MODELS)}
    if settings["prior_weight"]:  # the class pictures are painted
        read["inpaint"] = _some(preset, "inpaint", prior.PAINTING)
    return {name: record.get(name) for name in ("item", "class_noun", "seed")} | read


def _some(preset: dict[str, Any], table: str, names: Sequence[str]) -> dict[str, Any]:
    """Return some entries of a table. A damaged record may hold something else there: no entries."""
    found = preset.get(table)
    return {name: found.get(name) for name in names} if isinstance(found, dict) else {}
