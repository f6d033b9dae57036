"""Painters x pairs x seeds -> rows: paint every pair of data/benchmark with every painter, and measure each picture.

A pair is an item and a context, with the true picture. The same metrics are computed for floors and ceilings, so that
every number can be read next to them: the true picture, paste-in, a wrong item, a coloured box, the untouched photo.
Near-twins, the item without its details and the turned item are added where data/benchmark holds pictures of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from .. import baselines, finetune, inpaint, models, presets, segment
from ..catalog import Item
from ..disk import alone_in
from ..errors import InputError, note
from ..presets import Preset
from ..runs import Run
from . import metrics, retrieval, silhouette, truth
from .columns import METRICS
from .floors import MakePainter, Painter, make_floors
from .pairs import Pair
from .rows import Row, add_commit, append_row, check_conditions, picture_path, read_rows

PAINTERS = ("dreampaint", "over-paste", "paint-by-example", "description", "title")


@dataclass(frozen=True)
class Task:
    """One picture: the pair to paint, the name of the painter, the seed."""

    pair: Pair
    painter: str
    seed: int


@dataclass
class OverPaste(inpaint.Painter):
    """A painter that starts over what another one, which has no model, has pasted under the mask."""

    pasted: Painter | None = None

    def __call__(self, image: Image.Image, mask_image: Image.Image, **options: Any) -> inpaint.Result:
        """Paste, then paint from there. The options are those of `inpaint.Painter`."""
        return super().__call__(image, mask_image, start=self.pasted(image, mask_image).image, **options)


def over_paste(painter: inpaint.Painter, paste: baselines.PastePainter) -> OverPaste:
    """Let a painter start over the item's middle photo, at a strength that keeps its shape."""
    preset = presets.change(painter.preset, inpaint={"strength": baselines.STRENGTH_OVER_PASTE})
    pasted = partial(paste, variant=paste.variants // 2)
    return OverPaste(painter.pipe, preset, painter.prompt, painter.class_noun, painter.base, pasted)


def run_folder(item: Item, preset: Preset, runs: Path) -> Path:
    """Return where the fine-tune of an item is kept. The folder's name tells item and weights."""
    return runs / f"{preset.name}-{item.name}-{models.fingerprint(preset, 'inpainting')}"


def kept_run(item: Item, object_masks: Sequence[Image.Image], preset: Preset, runs: Path) -> Run:
    """Load an item's fine-tune from its `run_folder`, or make it."""
    return finetune.load_or_finetune(item, object_masks, preset, run_folder(item, preset, runs))


def make_painters(preset: Preset, runs: Path, names: Sequence[str] = PAINTERS) -> dict[str, MakePainter]:
    """Return functions that make the painters for an item. DreamPaint's fine-tune is kept in ``runs`` and used again.

    "over-paste" is DreamPaint, too, but starts over the item's middle photo, pasted under the mask.

    Raises:
        InputError: a name is none of `PAINTERS`.
    """

    def dreampaint(item: Item, object_masks: Sequence[Image.Image]) -> Painter:
        return inpaint.load_painter(preset, kept_run(item, object_masks, preset, runs))

    known: dict[str, MakePainter] = {
        "dreampaint": dreampaint,
        "over-paste": lambda item, object_masks: over_paste(
            dreampaint(item, object_masks), baselines.paste_in(preset, item, object_masks)
        ),
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
        InputError: ``folder`` holds rows of another preset, gallery or weights, or is in use.
    """
    floors = make_floors(preset, gallery_items)
    tasks = _plan(painters, floors, pairs, list(seeds))
    return carry_out(tasks, dict(painters) | floors, preset=preset, gallery_items=gallery_items, folder=folder)


@alone_in("folder")
def carry_out(
    tasks: Sequence[Task],
    makers: Mapping[str, MakePainter],
    *,
    preset: Preset,
    gallery_items: Sequence[Item],
    folder: Path,
) -> list[Row]:
    """Paint and measure the tasks that ``folder`` does not hold yet, and return the rows of all tasks.

    Args:
        tasks: those of one item stand together, and so do those of one painter, so that each painter is made once.
        makers: make the painters, by name. A task whose painter is not in it takes the pair's picture of that name.
        preset, gallery_items, folder: as for `run`.

    Raises:
        InputError: ``folder`` holds rows of another preset, gallery or weights, or is in use.
    """
    check_conditions(folder, preset, gallery_items)
    rows = read_rows(folder)
    done = {(row["pair"], row["painter"], row["seed"]) for row in rows}
    todo = [task for task in tasks if (task.pair.name, task.painter, task.seed) not in done]
    if todo:
        add_commit(folder)
    gallery = retrieval.make_gallery(gallery_items, preset) if todo else None
    options = {"desc": "evaluate", "unit": "picture", "smoothing": 0}  # the mean rate, because fine-tunes take minutes
    with tqdm(total=len(tasks), initial=len(tasks) - len(todo), **options) as bar:
        for _, of_item in groupby(todo, key=lambda task: task.pair.item.name):
            own = list(of_item)
            item, object_masks = own[0].pair.item, segment.object_masks(own[0].pair.item, preset)
            for name, of_painter in groupby(own, key=lambda task: task.painter):
                painter = _without_bar(makers[name](item, object_masks)) if name in makers else None
                for task in of_painter:
                    try:
                        rows.append(_paint_and_measure(task, painter, gallery, preset, folder))
                    except inpaint.Rejected as error:  # hours of other pictures are worth more than this one
                        note(f"{task.pair.name} by {task.painter} is left out: {error}")
                    bar.update()
    planned = {(task.pair.name, task.painter, task.seed) for task in tasks}
    return [row for row in rows if (row["pair"], row["painter"], row["seed"]) in planned]


def measure(image: Image.Image, pair: Pair, gallery: retrieval.Gallery, preset: Preset) -> dict[str, float]:
    """Compute all `METRICS` of a painted photo; those that need a true picture are nan where there is none."""
    found = retrieval.find(image, pair.mask, pair.item.name, gallery, preset)
    painted = silhouette.silhouette(image, pair.mask, pair.item.class_noun, preset)
    values = dict.fromkeys(METRICS, math.nan) | {
        "clip_score": metrics.clip_score(image, pair.item.photos, pair.mask, preset),
        "similarity": found.similarity,
        "rank": found.rank,
        "reciprocal_rank": found.reciprocal_rank,
        "top1": found.top1,
        "containment": silhouette.containment(painted, pair.mask),
        "outside_max_change": metrics.outside_max_change(pair.context.photo, image, pair.mask),
    }
    if pair.truth is None:
        return values
    return values | {
        "color_difference": truth.color_difference(image, pair.truth, pair.item_mask),
        "structural_similarity": truth.structural_similarity(image, pair.truth, pair.item_mask),
        "patch_distance": truth.patch_distance(image, pair.truth, pair.item_mask, preset),
        "detail_error": _detail_error(image, pair),
        "seam_ratio": truth.seam_ratio(image, pair.truth, pair.mask),
        "aspect_error": silhouette.aspect_error(painted, pair.item_mask),
    }


def _detail_error(image: Image.Image, pair: Pair) -> float:
    if "bare" not in pair.others:
        return math.nan
    return truth.detail_error(image, pair.truth, pair.others["bare"], pair.item_mask)


def _without_bar(painter: Painter) -> Painter:
    """Switch a pipeline's own bar off, because it would break the bar of the whole run."""
    if hasattr(painter, "pipe"):
        painter.pipe.set_progress_bar_config(disable=True)
    return painter


def _plan(
    painters: Iterable[str], references: Iterable[str], pairs: Sequence[Pair], seeds: Sequence[int]
) -> list[Task]:
    """Return all tasks, those of one item and one painter together."""
    tasks = []
    for item in dict.fromkeys(pair.item.name for pair in pairs):
        own = [pair for pair in pairs if pair.item.name == item]
        tasks += [Task(pair, name, seed) for name in painters for pair in own for seed in seeds]
        tasks += [Task(pair, name, 0) for name in references for pair in own]
        tasks += [Task(pair, name, 0) for pair in own for name in pair.pictures]
    return tasks


def _paint_and_measure(
    task: Task, painter: Painter | None, gallery: retrieval.Gallery, preset: Preset, folder: Path
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
    append_row(folder, row)
    return row
