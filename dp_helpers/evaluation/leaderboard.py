"""The leaderboard: the best fine-tune of 300 steps of 4, by retrieval, under the rules of LEADERBOARD.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import models, presets
from ..errors import InputError
from ..files import find_data
from ..presets import Preset
from . import statistics
from .rows import Row, read_rows

PAINTER, SEEDS = "dreampaint", 3
COLUMNS = {  # heading: metric
    "reciprocal rank ↑": "reciprocal_rank",
    "found first ↑": "top1",
    "detail error ↓": "detail_error",
    "colour difference ↓": "color_difference",
}
_FREE = ("masks", "finetune")  # the tables that an entry may change


def check(preset: Preset) -> None:
    """Refuse an entry that breaks a rule before anything is computed.

    Raises:
        InputError: it shows too many photos to the model, or changes what the leaderboard keeps fixed.
    """
    base, own = presets.load("tiny"), preset.finetune
    shown = own.steps * own.batch_size * own.gradient_accumulation_steps * (2 if own.prior_weight else 1)
    allowed = base.finetune.steps * base.finetune.batch_size
    if shown > allowed:
        raise InputError(
            f"This entry shows {shown} photos to the model, and the leaderboard allows {allowed}: steps x batch_size x "
            "gradient_accumulation_steps, twice that with prior preservation. Lower one of them."
        )
    fixed = [name for name in _changed(preset) if not name.startswith(tuple(f"{table}." for table in _FREE))]
    if fixed or models.fingerprint(preset) != models.fingerprint(base):
        raise InputError(
            f"The leaderboard keeps models, painting and judge fixed, but this entry changes "
            f"{', '.join(fixed) or 'the weights in data/tiny'}: change settings of {' and '.join(_FREE)} alone."
        )


def row(rows: Sequence[Row], name: str, preset: Preset) -> dict[str, Any]:
    """Return an entry's line of the table: means over items with 95 % intervals, and what it changes.

    The last interval is of the paired difference in reciprocal rank from our own row (data/results/evaluate).

    Args:
        rows: from `benchmark.run`, for all pairs and `SEEDS` seeds.
        name: of the entry.
        preset: of the entry.

    Raises:
        InputError: pictures are missing.
    """
    ours = [line | {"painter": "tiny"} for line in read_rows(find_data() / "results" / "evaluate") if _counts(line)]
    painted, wanted = ({(line["pair"], line["seed"]) for line in lines} for lines in (filter(_counts, rows), ours))
    if painted != wanted:
        raise InputError(f"An entry needs {len(wanted)} pictures, and this one has {len(painted & wanted)} of them.")
    values = {heading: str(statistics.mean(rows, PAINTER, metric)) for heading, metric in COLUMNS.items()}
    against = statistics.difference([*rows, *ours], "reciprocal_rank", PAINTER, "tiny").estimate
    changed = ", ".join(f"{setting}={value}" for setting, value in _changed(preset).items())
    return {"entry": name} | values | {"against `tiny`": str(against), "changed settings": changed or "none"}


def _counts(line: Row) -> bool:
    return line["painter"] == PAINTER


def _changed(preset: Preset) -> dict[str, Any]:
    """Return the settings that differ from those of the preset tiny, by the names that --set takes."""
    own, base = _settings(preset), _settings(presets.load("tiny"))
    return {name: value for name, value in own.items() if value != base[name]}


def _settings(preset: Preset) -> dict[str, Any]:
    """Return all settings by the names that --set takes, without where the preset comes from."""
    found: dict[str, Any] = {}
    for name, value in preset.as_dict().items():
        found |= (
            {f"{name}.{inner}": of_it for inner, of_it in value.items()} if isinstance(value, dict) else {name: value}
        )
    return {name: value for name, value in found.items() if name not in ("name", "source", "folder")}
