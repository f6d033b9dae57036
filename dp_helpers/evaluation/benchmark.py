"""Painters x pairs x seeds -> rows: paint every pair of data/benchmark with every painter, and measure each picture.

A pair is an item and a context, with the true picture. The same metrics are computed for floors and ceilings, so that
every number can be read next to them: the true picture, paste-in, a wrong item, the untouched photo. A near-twin and
the turned item are added where data/benchmark holds pictures of them.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from .. import baselines, finetune, inpaint, segment
from ..catalog import Item
from ..errors import InputError
from ..files import whole_file
from ..presets import Preset
from . import metrics, retrieval, silhouette, truth
from .pairs import Pair

Painter = Callable[..., inpaint.Result]
MakePainter = Callable[[Item, Sequence[Image.Image]], Painter]
Row = dict[str, Any]

PAINTERS = ("dreampaint", "paint-by-example", "description", "title")
METRICS = {  # column: what is better
    "clip_score": "higher",
    "rank": "lower",
    "reciprocal_rank": "higher",
    "top1": "higher",
    "color_difference": "lower",
    "structural_similarity": "higher",
    "patch_distance": "lower",
    "seam_ratio": "nearer to 1",
    "containment": "lower",
    "aspect_error": "lower",
    "outside_max_change": "lower",
}
_PASTED = ("paste-in", "wrong-item")
COLUMNS = ("pair", "item", "painter", "seed", "variant", "seconds", *METRICS)


def make_painters(preset: Preset, runs: Path, names: Sequence[str] = PAINTERS) -> dict[str, MakePainter]:
    """Return functions that make the painters for an item. DreamPaint's fine-tune is kept in ``runs`` and used again.

    Raises:
        InputError: a name is none of `PAINTERS`.
    """

    def dreampaint(item: Item, object_masks: Sequence[Image.Image]) -> Painter:
        run = finetune.load_or_finetune(item, object_masks, preset, runs / f"{preset.name}-{item.name}")
        return inpaint.load_painter(preset, run)

    known: dict[str, MakePainter] = {
        "dreampaint": dreampaint,
        "paint-by-example": lambda item, object_masks: baselines.paint_by_example(preset, item, object_masks),
        "description": lambda item, _: baselines.description(preset, item),
        "title": lambda item, _: baselines.title(preset, item),
    }
    for name in names:
        if name not in known:
            raise InputError(f"There is no painter {name!r}: name some of {', '.join(known)}.")
    return {name: known[name] for name in names}


def run(
    painters: Mapping[str, MakePainter],
    pairs: Sequence[Pair],
    seeds: Iterable[int],
    *,
    preset: Preset,
    gallery_items: Sequence[Item],
    folder: Path,
) -> list[Row]:
    """Paint and measure everything that ``folder`` does not hold yet, and return the rows of all of it.

    Each picture is saved before its row is appended to rows.csv, as a whole line. So a run that was killed goes on
    where it stopped. A bar on stderr shows the progress and the time left.

    Args:
        painters: from `make_painters`, or functions of your own, by name.
        pairs: from `pairs.load_pairs`.
        seeds: for each painter and pair. Floors and ceilings need no seed, so they are measured once.
        preset: names the models of the metrics.
        gallery_items: what retrieval searches, from `pairs.load_gallery_items`.
        folder: for rows.csv, conditions.json and pictures/.

    Raises:
        InputError: ``folder`` holds rows of another preset or gallery.
    """
    _check_conditions(folder, preset, gallery_items)
    rows = read_rows(folder)
    done = {(row["pair"], row["painter"], row["seed"]) for row in rows}
    plan = _plan(painters, pairs, list(seeds))
    todo = [task for task in plan if (task.pair.name, task.painter, task.seed) not in done]
    gallery = retrieval.make_gallery(gallery_items, preset) if todo else None
    makers = dict(painters) | _reference_makers(preset, gallery_items)
    with tqdm(total=len(plan), initial=len(plan) - len(todo), desc="evaluate", unit="picture") as bar:
        for (_, name), tasks in groupby(todo, key=lambda task: (task.pair.item.name, task.painter)):
            first, *more = tasks
            object_masks = segment.object_masks(first.pair.item, preset) if name in makers else []
            painter = makers[name](first.pair.item, object_masks) if name in makers else None
            for task in (first, *more):
                rows.append(_paint_and_measure(task, painter, gallery, preset, folder))
                bar.update()
    planned = {(task.pair.name, task.painter, task.seed) for task in plan}
    return [row for row in rows if (row["pair"], row["painter"], row["seed"]) in planned]


def measure(image: Image.Image, pair: Pair, gallery: retrieval.Gallery, preset: Preset) -> dict[str, float]:
    """Compute all `METRICS` of a painted photo."""
    found = retrieval.find(image, pair.mask, pair.item.name, gallery, preset)
    painted = silhouette.silhouette(image, pair.mask, pair.item.class_noun, preset)
    return {
        "clip_score": metrics.clip_score(image, pair.item.photos, pair.mask, preset),
        "rank": found.rank,
        "reciprocal_rank": found.reciprocal_rank,
        "top1": found.top1,
        "color_difference": truth.color_difference(image, pair.truth, pair.item_mask),
        "structural_similarity": truth.structural_similarity(image, pair.truth, pair.item_mask),
        "patch_distance": truth.patch_distance(image, pair.truth, pair.item_mask, preset),
        "seam_ratio": truth.seam_ratio(image, pair.truth, pair.mask),
        "containment": silhouette.containment(painted, pair.mask),
        "aspect_error": silhouette.aspect_error(painted, pair.item_mask),
        "outside_max_change": metrics.outside_max_change(pair.context.photo, image, pair.mask),
    }


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


@dataclass(frozen=True)
class _Task:
    pair: Pair
    painter: str
    seed: int


def _plan(painters: Iterable[str], pairs: Sequence[Pair], seeds: Sequence[int]) -> list[_Task]:
    """Return all tasks, those of one item and one painter together."""
    tasks = []
    for item in dict.fromkeys(pair.item.name for pair in pairs):
        own = [pair for pair in pairs if pair.item.name == item]
        tasks += [_Task(pair, name, seed) for name in painters for pair in own for seed in seeds]
        tasks += [_Task(pair, name, 0) for name in _PASTED for pair in own]
        tasks += [_Task(pair, name, 0) for pair in own for name in pair.pictures]
    return tasks


def _reference_makers(preset: Preset, items: Sequence[Item]) -> dict[str, MakePainter]:
    """Return the painters of the floors: the item pasted, and the next item of the gallery pasted instead of it."""

    def wrong(item: Item, _: Sequence[Image.Image]) -> Painter:
        names = [other.name for other in items if "twin_of" not in other.info]
        name = names[(names.index(item.name) + 1) % len(names)]
        other = next(other for other in items if other.name == name)
        return baselines.paste_in(preset, other, segment.object_masks(other, preset))

    return dict(zip(_PASTED, (lambda item, masks: baselines.paste_in(preset, item, masks), wrong), strict=True))


def _paint_and_measure(
    task: _Task, painter: Painter | None, gallery: retrieval.Gallery, preset: Preset, folder: Path
) -> Row:
    """Paint one picture, or take one that exists; save it and its row, and return the row.

    A painter with variants paints one picture for each of them, and the one with the greatest CLIP score counts, as in
    section 5.1.
    """
    pair, started = task.pair, time.perf_counter()
    if painter is None:
        picture = pair.pictures[task.painter]
        results = [inpaint.Result(picture, {"reference": task.painter}, picture)]
    else:
        options = [{"variant": index} for index in range(getattr(painter, "variants", 0))] or [{}]
        results = [painter(pair.context.photo, pair.mask, seed=task.seed, **option) for option in options]
    seconds = time.perf_counter() - started
    scores = [metrics.clip_score(result.image, pair.item.photos, pair.mask, preset) for result in results]
    variant = max(range(len(results)), key=scores.__getitem__)
    inpaint.save_result(results[variant], picture_path(folder, pair.name, task.painter, task.seed))
    about = {"pair": pair.name, "item": pair.item.name, "painter": task.painter, "seed": task.seed, "variant": variant}
    row = about | {"seconds": round(seconds, 2)} | measure(results[variant].image, pair, gallery, preset)
    row = {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()}
    _append(folder / "rows.csv", row)
    return row


def _append(path: Path, row: Row) -> None:
    """Append one row as a whole line, on disk before this returns."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writeheader()
    writer.writerow(row)
    with path.open("a", encoding="utf-8") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())


def _check_conditions(folder: Path, preset: Preset, gallery_items: Sequence[Item]) -> None:
    """Write down what the rows of a folder depend on, or compare it with what is written there."""
    conditions = {"columns": COLUMNS, "gallery": [item.name for item in gallery_items], "preset": preset.as_dict()}
    conditions, path = json.loads(json.dumps(conditions)), folder / "conditions.json"
    if not path.is_file():
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(conditions, indent=2) + "\n", encoding="utf-8")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    changed = [name for name, value in conditions.items() if before.get(name) != value]
    if changed:
        raise InputError(f"{folder} holds rows with another {' and '.join(changed)}: name a new folder.")
