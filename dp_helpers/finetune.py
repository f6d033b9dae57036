"""Masked DreamBooth (section 3.4): teach the inpainting model one item from a handful of photos.

The U-Net and the text encoder are trained together on Eq. 2, so that the prompt "a [token] [class noun]" comes to
mean the item. Each sample is masked by a rectangle, an ellipse or an object shape. There is no prior preservation
unless the preset asks for it: the paper finds it harmful for shop items (section 6).
"""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm.auto import tqdm

from . import models, origin, presets, runs, segment
from .catalog import Item
from .device import is_out_of_memory, pick_device
from .disk import alone_in
from .errors import InputError
from .files import recover
from .presets import Preset
from .runs import Run
from .training import prior, processes
from .training.checkpoints import Checkpoints
from .training.fits import check_fits, ways_to_save
from .training.latents import Bank, build_bank
from .training.loop import Look, Progress, train


@alone_in("output_dir", together=True)
def finetune(
    item: Item,
    object_masks: Sequence[Image.Image],
    preset: Preset,
    *,
    seed: int = 0,
    output_dir: str | Path | None = None,
    resume: bool = False,
    progress: Progress = True,
    watch: Look | None = None,
    **settings: Any,
) -> Run:
    """Fine-tune the preset's model on one item.

    With ``checkpointing_steps`` in the preset and an ``output_dir``, the state of the run is saved every so many steps.
    Ctrl-C and SIGTERM then save it, too, and end the run with a `KeyboardInterrupt` that says how to resume.

    Args:
        item: its photos and class noun.
        object_masks: one for each photo, from `segment.object_masks`.
        preset: models and settings.
        seed: the same seed gives the same result on the same machine.
        output_dir: save the run in this folder. None saves nothing.
        resume: go on from the latest checkpoint in ``output_dir``. The result equals that of an undisturbed run bit
            for bit on the same machine. Without a checkpoint, training begins at the first step.
        progress: True draws bars on stderr, with the time left. A function is called with (step, steps, loss).
        watch: a `watch.Watch`, which paints the same picture every ``validation_steps``.
        settings: fields of `presets.Finetune` to use instead of the preset's, for example ``steps=20``.

    Returns:
        The run. Its weights are rounded to the preset's ``save_dtype``, so that the same run loaded from disk is
        exactly equal.

    Raises:
        InputError: a mask is missing or empty, a setting is wrong, the folder holds something else or is in use, or the
            run does not fit into the memory or onto the disk.
        KeyboardInterrupt: the run was stopped.
    """
    _check(item, object_masks)
    processes.take_gpu()
    preset, seed = presets.change(preset, finetune=settings), presets.checked_seed(seed)
    checkpoints = _checkpoints(output_dir, resume, item, preset, origin.made_from(item, preset, seed))
    check_fits(preset, pick_device())
    if watch is not None:
        watch.folder = None if checkpoints is None else checkpoints.folder / runs.VALIDATION
    try:
        parts, losses, seconds = _encode_and_train(item, object_masks, preset, seed, checkpoints, progress, watch)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        traceback.clear_frames(error.__traceback__)  # its tensors would stay in memory as long as a notebook shows it
        raise InputError(_what_to_lower(preset)) from error
    record = runs.make_record(item, preset, seed, seconds, losses)
    if watch is not None:
        record[runs.VALIDATION] = watch.scores
    run = Run(record, **parts)
    if output_dir is not None and processes.is_main():
        runs.save_run(run, output_dir)
    return run


def load_or_finetune(
    item: Item,
    object_masks: Sequence[Image.Image],
    preset: Preset,
    output_dir: str | Path,
    *,
    seed: int = 0,
    progress: Progress = True,
    watch: Look | None = None,
    **settings: Any,
) -> Run:
    """Load the run in ``output_dir`` if this very call made it. Otherwise fine-tune, or resume, and save the run there.

    The item, the names of its photos, the seed, and all settings and model sources that fine-tuning reads are
    compared. The contents of photos and models are not: delete the run after you change those.

    Args:
        output_dir: the run's folder.
        item, object_masks, preset, seed, progress, watch, settings: as for `finetune`.
    """
    recover(output_dir)
    if (Path(output_dir) / "run.json").is_file():
        wanted = origin.made_from(item, presets.change(preset, finetune=settings), seed)
        if origin.is_made_from(runs.read_record(output_dir), wanted):
            return runs.load_run(output_dir)
    options = {"output_dir": output_dir, "resume": True, "progress": progress, "watch": watch}
    return finetune(item, object_masks, preset, seed=seed, **options, **settings)


def _encode_and_train(
    item: Item, object_masks, preset: Preset, seed: int, checkpoints: Checkpoints | None, progress: Progress, watch
) -> tuple[dict[str, Any], list[float], dict[str, float]]:
    """Return what was trained, the losses, and the seconds of both stages."""
    started, shown = time.perf_counter(), progress is True and processes.is_main()
    banks = _banks(item, object_masks, preset, seed, checkpoints and checkpoints.run_folder, shown=shown)
    encoded = time.perf_counter()
    prompts = {"prompt": item.prompt(preset.token), "class_prompt": prior.class_prompt(item)}
    options = {"checkpoints": checkpoints, "progress": progress, "look": watch}
    parts, losses = train(preset=preset, seed=seed, **banks, **prompts, **options)
    return parts, losses, {"encode": round(encoded - started, 2), "train": round(time.perf_counter() - encoded, 2)}


def _banks(
    item: Item, object_masks: Sequence[Image.Image], preset: Preset, seed: int, output_dir, *, shown: bool
) -> dict[str, Bank]:
    """Encode the item, and the class pictures if the preset asks for prior preservation.

    The VAE is not kept: it is gone from memory before training begins.
    """
    segment.free()
    banks = {}
    if preset.finetune.prior_weight > 0:
        folder = None if output_dir is None else prior.picture_folder(item, preset, Path(output_dir))
        with _bar(shown, "draw class pictures", "picture") as report:
            pictures = prior.class_pictures(item, preset, folder, report)
        banks["class_bank"] = prior.class_bank(pictures, preset, seed=seed)
    vae = models.load_vae(preset).to(pick_device())  # before the bar, because a download says a line
    with _bar(shown, "encode", "view") as report:
        banks["bank"] = build_bank(vae, item.photos, object_masks, preset, seed=seed, progress=report)
    return banks


@contextlib.contextmanager
def _bar(shown: bool, words: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Draw a bar on stderr if it is to be shown. Yield the function that moves it: (done, in all)."""
    with tqdm(desc=words, unit=unit, disable=not shown) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report


def _what_to_lower(preset: Preset) -> str:
    """Say what takes less memory than the preset's settings."""
    helping = ", ".join(ways_to_save(preset)) or "a preset with a smaller resolution or model"
    return f"The memory of the device is too small for this run: close what else uses it, or set {helping}."


def _checkpoints(output_dir, resume: bool, item: Item, preset: Preset, made_from: dict[str, Any]) -> Checkpoints | None:
    """Check the output folder, and return the checkpoints of the run; None if nothing is saved."""
    if output_dir is None:
        if resume:
            raise InputError("A run without an output folder has no checkpoints to resume from: name its output_dir.")
        return None
    folder, settings = runs.check_run_folder(output_dir, item), preset.finetune
    checkpoints = Checkpoints(folder, settings.checkpointing_steps, settings.checkpoints_total_limit, made_from)
    if not resume and (latest := checkpoints.latest()):
        raise InputError(
            f"{folder} holds an unfinished run ({latest.name}): resume it (--resume, in Python resume=True), "
            "or name a new folder."
        )
    return checkpoints


def _check(item: Item, object_masks: Sequence[Image.Image]) -> None:
    if len(object_masks) != len(item.photos):
        raise InputError(
            f"{item.name} has {len(item.photos)} photos but {len(object_masks)} object masks came: give one for each."
        )
    for path, photo, mask in zip(item.paths, item.photos, object_masks, strict=True):
        if mask.size != photo.size:
            raise InputError(f"The object mask of {path} is {mask.size}, its photo {photo.size}: make them the same.")
        if mask.getbbox() is None:
            raise InputError(f"The object mask of {path} is empty: mark the product in white.")
