"""rows.csv: one line for each measured picture, written so that a kill at any moment costs one picture at most."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from .. import catalog, models
from ..catalog import Item
from ..errors import InputError
from ..files import whole_file
from ..presets import Preset
from .columns import METRICS
from .pairs import Pair

Row = dict[str, Any]
COLUMNS = ("pair", "item", "painter", "seed", "variant", "seconds", *METRICS)


def read_rows(folder: Path) -> list[Row]:
    """Read rows.csv. A last line that a kill has cut off is removed from the file."""
    path = folder / "rows.csv"
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    if not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    kinds = {"pair": str, "item": str, "painter": str, "seed": int, "variant": int}
    return [
        {key: kinds.get(key, float)(value) for key, value in row.items()} for row in csv.DictReader(io.StringIO(text))
    ]


def picture_path(folder: Path, pair: str, painter: str, seed: int) -> Path:
    """Return where the picture of a row is kept."""
    return folder / "pictures" / pair / f"{painter}-{seed}.png"


def load_picture(folder: Path, pair: Pair, painter: str, seed: int) -> Image.Image:
    """Load the picture of a row; a grey one if there is none, because the safety checker rejected it."""
    path = picture_path(folder, pair.name, painter, seed)
    return catalog.load_photo(path) if path.is_file() else Image.new("RGB", pair.context.photo.size, (128, 128, 128))


def append_row(folder: Path, row: Row) -> None:
    """Append one row as a whole line, on disk before this returns."""
    text, path = io.StringIO(), folder / "rows.csv"
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writeheader()
    writer.writerow(row)
    with path.open("a", encoding="utf-8") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())


def check_conditions(folder: Path, preset: Preset, gallery_items: Sequence[Item]) -> None:
    """Write down what the rows of a folder depend on, or compare it with what is written there.

    Raises:
        InputError: the rows that are there depend on something else.
    """
    settings = preset.as_dict()
    for place in ("source", "folder"):  # a moved folder holds the same rows
        del settings[place]
    conditions = {"columns": COLUMNS, "gallery": [item.name for item in gallery_items], "preset": settings}
    conditions["weights"] = models.fingerprint(preset)
    conditions, path = json.loads(json.dumps(conditions)), folder / "conditions.json"
    if not path.is_file():
        if (folder / "rows.csv").is_file():
            raise InputError(f"{folder} holds rows.csv, but no conditions.json, which says how: name a new folder.")
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(conditions, indent=2) + "\n", encoding="utf-8")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name, value in conditions.items() if before.get(name) != value]
    if changed:
        raise InputError(f"{folder} holds rows with another {' and '.join(changed)}: name a new folder.")


def add_commit(folder: Path) -> None:
    """Write down in conditions.json that this commit paints rows into a folder."""
    path = folder / "conditions.json"
    before = json.loads(path.read_text(encoding="utf-8"))
    known = dict.fromkeys([*before.get("commits", ()), commit()])
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(before | {"commits": list(known)}, indent=2) + "\n", encoding="utf-8")


def commits(folder: Path) -> str:
    """Return the commits that have painted rows into a folder, separated by commas."""
    path = folder / "conditions.json"
    known = json.loads(path.read_text(encoding="utf-8")).get("commits") if path.is_file() else None
    return ", ".join(known or [commit()])


def commit() -> str:
    """Return the commit that is checked out, or "unknown"."""
    try:
        options = {"capture_output": True, "text": True, "check": True, "cwd": Path(__file__).parent}
        return subprocess.run(["git", "rev-parse", "--short", "HEAD"], **options).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
