"""The whole job once, timed: what ``python -m dp_helpers demo`` runs."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from . import baselines, catalog, finetune, inpaint, plots, segment, sources
from .evaluation import benchmark, metrics
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
    say: Callable[[str], None] = lambda line: None,
) -> dict:
    """Run the whole job and write figure.png, two pictures, report.json and the fine-tuning run (run/) into ``out``.

    result.png is painted from noise, as in the paper, and over-paste.png over a paste-in of the middle photo. The run
    is saved as soon as it is trained, and each picture as soon as it is painted. A score that fails after that costs
    none of them: it is null in the report, and the reason is said.

    Args:
        item, context, mask, preset: what to paint where, and with which models.
        out: a folder.
        seed: of fine-tuning and painting.
        say: called with one line about each stage.

    Returns:
        The report: ``seconds`` by stage and in ``total``, ``peak_memory_mb`` of this process, ``clip_score`` of
        result.png against the references (None if it failed), and ``outside_max_change`` of both pictures
        (`metrics.outside_max_change`).

    Raises:
        InputError: for example when a model is missing; all of them are looked for before training.
    """
    for model in ("inpainting", "clipseg", "clip"):
        sources.look_up(preset, model)
    seconds: dict[str, float] = {}
    with _timed("masks", seconds, say, f"finding the {item.class_noun} on {len(item.photos)} photos"):
        object_masks = segment.object_masks(item, preset)
    with _timed("finetune", seconds, say, f"fine-tuning on {item.name}"):
        run = finetune.finetune(item, object_masks, preset, seed=seed, output_dir=out / "run", resume=True)
    with _timed("inpaint", seconds, say, f"painting it into {context.name}"):
        painter = inpaint.load_painter(preset, run)
        result = painter(context.photo, mask, seed=seed)
    inpaint.save_result(result, out / "result.png")
    with _timed("over-paste", seconds, say, "painting it once more, over a paste-in"):
        over_paste = benchmark.over_paste(painter, baselines.paste_in(preset, item, object_masks))
        over = over_paste(context.photo, mask, seed=seed)
    inpaint.save_result(over, out / "over-paste.png")
    with whole_folder(out) as folder:
        with _timed("evaluate", seconds, say, "scoring and drawing"):
            score = _score(result.image, item, mask, preset, say)
            results = {"painted from noise": result.image, "painted over a paste-in": over.image}
            figure = plots.demo(item.photos, context.photo, mask, results, item.title or item.class_noun)
            plots.save(figure, folder / "figure.png")
        report = {
            "item": item.name,
            "context": context.name,
            "preset": preset.name,
            "prompt": run.prompt,
            "seed": seed,
            "steps": len(run.losses),
            "seconds": seconds | {"total": round(sum(seconds.values()), 2)},
            "peak_memory_mb": peak_memory_mb(),
            "clip_score": score,
            "outside_max_change": max(
                metrics.outside_max_change(context.photo, each.image, mask) for each in (result, over)
            ),
        }
        (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def peak_memory_mb() -> int | None:
    """Return the most memory this process has held, in MB; None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))  # bytes on macOS, kB on Linux


def _score(image: Image.Image, item: catalog.Item, mask: Image.Image, preset: Preset, say) -> float | None:
    """Return the CLIP score, or None after saying why there is none."""
    try:
        return round(metrics.clip_score(image, item.photos, mask, preset), 4)
    except Exception as error:  # whatever failed, training and picture are worth more than their score
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        say(f"no CLIP score: {said}")
        return None


@contextlib.contextmanager
def _timed(stage: str, seconds: dict[str, float], say, line: str) -> Iterator[None]:
    say(line)
    started = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - started, 2)
