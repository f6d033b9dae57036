"""What an ablation still has to do, and how long that takes on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import finetune, inpaint, origin, runs, segment
from ..presets import Preset
from . import ablation_runs, benchmark, retrieval
from .ablations import Ablation
from .pairs import Pair
from .rows import read_rows


@dataclass
class Work:
    """What is still to do: fine-tunes by folder, each with its steps; pictures; and their denoising steps.

    Class pictures, which prior preservation draws once for each class, are not counted.
    """

    runs: dict[Path, int] = field(default_factory=dict)
    pictures: int = 0
    denoising_steps: int = 0

    def __add__(self, other: Work) -> Work:
        """Return both together. A fine-tune that both need counts once."""
        counts = self.pictures + other.pictures, self.denoising_steps + other.denoising_steps
        return Work(self.runs | other.runs, *counts)


@dataclass(frozen=True)
class Speed:
    """Seconds on this machine."""

    encode: float  # the photos of an item, before its fine-tune
    step: float  # of training
    denoise: float  # one denoising step
    measure: float  # all metrics of one picture

    def seconds(self, work: Work) -> float:
        """Estimate how long the work takes."""
        trained = sum(self.encode + self.step * steps for steps in work.runs.values())
        return trained + self.denoise * work.denoising_steps + self.measure * work.pictures


def work(ablation: Ablation, pairs: Sequence[Pair], preset: Preset, runs_folder: Path, folder: Path) -> Work:
    """Return what `ablation_runs.run` would have to do."""
    done = {(row["pair"], row["painter"], row["seed"]) for row in read_rows(folder)}
    left, places = Work(), {}
    for task in ablation_runs.tasks(ablation, pairs):
        if (task.pair.name, task.painter, task.seed) in done:
            continue
        level, item = ablation.levels[task.painter], task.pair.item
        if (item.name, task.painter) not in places:  # the name of a folder depends on the weights, which are read
            places[item.name, task.painter] = ablation_runs.run_folder(level, item, preset, runs_folder)
        place, changed = places[item.name, task.painter], level.preset(preset)
        if place and not _is_there(place, ablation_runs.origin(level, item, preset)):
            with_class = changed.finetune.prior_weight > 0  # then a step trains on twice as many samples
            left.runs[place] = changed.finetune.steps * (2 if with_class else 1)
        left.pictures += 1
        left.denoising_steps += int(changed.inpaint.num_inference_steps * changed.inpaint.strength) * level.paint
    return left


def forecast(left: Mapping[str, Work], speed: Speed) -> list[str]:
    """Return a line for each ablation that says what it has still to do and for how long, and one for all of them.

    A fine-tune that several ablations need counts for the first of them.
    """
    lines, total = [], Work()
    for name, work in left.items():
        before, total = speed.seconds(total), total + work
        words = f"fine-tunes: {len(work.runs)}, pictures: {work.pictures}"
        lines.append(f"{name}: {words}, about {_duration(speed.seconds(total) - before)}")
    words = f"fine-tunes: {len(total.runs)}, pictures: {total.pictures}"
    return [*lines, f"in all: {words}, about {_duration(speed.seconds(total))}"]


def measure_speed(preset: Preset, pair: Pair, steps: int = 6) -> Speed:
    """Measure this machine: a few training steps, then two paintings with all their metrics; the second counts."""
    object_masks, times = segment.object_masks(pair.item, preset), []
    options = {"steps": steps, "progress": lambda *_: times.append(time.perf_counter())}
    run = finetune.finetune(pair.item, object_masks, preset, **options)
    painter, gallery = inpaint.load_painter(preset, run), retrieval.make_gallery([pair.item], preset)
    painter.pipe.set_progress_bar_config(disable=True)
    for _ in range(2):
        started = time.perf_counter()
        result = painter(pair.context.photo, pair.mask)
        painted = time.perf_counter()
        benchmark.measure(result.image, pair, gallery, preset)
        measured = time.perf_counter()
    step = statistics.median(later - before for before, later in zip(times, times[1:], strict=False))
    denoise = (painted - started) / preset.inpaint.num_inference_steps
    return Speed(run.seconds["encode"], step, denoise, measured - painted)


def _is_there(folder: Path, wanted: dict) -> bool:
    if not (folder / "run.json").is_file():
        return False
    return origin.is_made_from(runs.read_record(folder), wanted)


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
