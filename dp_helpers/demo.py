"""The main job from one end to the other, timed: what ``python -m dp_helpers demo`` runs."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from . import catalog, evaluate, finetune, inpaint, plots, segment
from .files import whole_folder
from .presets import Preset


def run_demo(
    item: catalog.Item,
    context: catalog.Context,
    mask: Image.Image,
    preset: Preset,
    out: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    say=lambda line: None,
) -> dict:
    """Object masks, fine-tune, inpaint, score; write figure.png, result.png and report.json into ``out``.

    Returns:
        The report: ``seconds`` by stage and in ``total``, ``peak_memory_mb`` of this process, ``clip_score``
        against the references, and ``outside_max_change``, the greatest change of any channel of any pixel
        outside the mask, in levels of 0 to 255.
    """
    seconds: dict[str, float] = {}
    with whole_folder(out) as folder:
        with _timed("masks", seconds, say, f"finding the {item.class_noun} on {len(item.photos)} photos"):
            shapes = segment.object_masks(item.photos, item.class_noun, preset, own_masks=item.own_masks)
        with _timed("finetune", seconds, say, f"fine-tuning on {item.name}"):
            tuned = finetune.finetune(item, shapes, preset, seed=seed, steps=steps)
        with _timed("inpaint", seconds, say, f"painting it into {context.name}"):
            pipe = inpaint.load_pipeline(preset, tuned)
            result = inpaint.inpaint(pipe, context.photo, mask, tuned.prompt, preset=preset, seed=seed)
        with _timed("evaluate", seconds, say, "scoring and drawing"):
            score = evaluate.clip_score(result.image, item.photos, mask, preset)
            figure = plots.demo(item.photos, context.photo, mask, result.image, item.title or item.class_noun)
            plots.save(figure, folder / "figure.png")
            inpaint.save_result(result, folder / "result.png")
        report = {
            "item": item.name,
            "context": context.name,
            "preset": preset.name,
            "prompt": tuned.prompt,
            "seed": seed,
            "steps": len(tuned.losses),
            "seconds": seconds | {"total": round(sum(seconds.values()), 2)},
            "peak_memory_mb": peak_memory_mb(),
            "clip_score": round(score, 4),
            "outside_max_change": outside_max_change(context.photo, result.image, mask),
        }
        (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def outside_max_change(before: Image.Image, after: Image.Image, mask: Image.Image) -> int:
    """The greatest change outside the mask, in levels of 0 to 255."""
    change = np.abs(np.asarray(before).astype(int) - np.asarray(after).astype(int))
    outside = change[np.asarray(mask) < 128]
    return int(outside.max()) if outside.size else 0


def peak_memory_mb() -> int | None:
    """The most memory this process has held, in MB; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))  # bytes on macOS, kB on Linux


@contextlib.contextmanager
def _timed(stage: str, seconds: dict[str, float], say, line: str) -> Iterator[None]:
    say(line)
    started = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - started, 2)
