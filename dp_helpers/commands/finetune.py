"""The command ``finetune``."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from .. import catalog
from ..catalog import Context, Item
from ..errors import InputError
from ..files import check_can_write
from ..presets import Preset
from . import common


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    added = common.add_command(commands, "finetune", run)
    common.add_item(added, several=True)
    added.add_argument(
        "--out", type=Path, required=True, help="folder of the run, for example runs/armchair; of all runs if several"
    )
    added.add_argument("--resume", action="store_true", help="go on from the run's latest checkpoint, if there is one")
    added.add_argument(
        "--watch",
        metavar="CONTEXT",
        help="paint this context now and then: a folder, or one of data/contexts",
    )
    added.add_argument("--steps", type=int, help="default: the preset's")
    added.add_argument("--seed", type=int, default=0)
    common.add_settings(added)


def run(options: argparse.Namespace) -> None:
    """Fine-tune on an item and save the run; several items share the loaded models, and finished ones are skipped."""
    preset = common.chosen_preset(options, finetune={"steps": options.steps})
    items = [catalog.load_item(common.item_folder(name), options.class_noun) for name in options.items]
    several, work = len(items) > 1, {options.out / item.name if len(items) > 1 else options.out: item for item in items}
    if len(work) < len(items):
        raise InputError("Two of the items have the same name: give each its own call with its own --out.")
    check_can_write(options.out)
    context = catalog.load_context(common.context_folder(options.watch)) if options.watch else None
    if context and not context.masks:
        raise InputError(f"The context {context.name} has no mask: put one into its folder masks/.")
    common.quiet()
    from .. import models, origin, runs
    from ..training import processes

    processes.take_gpu()  # before ClipSeg takes one
    mine = processes.take_share(list(work)) if several else list(work)
    with models.shared() if several else contextlib.nullcontext():
        for folder in mine:
            item, found = work[folder], several and (folder / "run.json").is_file()
            if found and origin.is_made_from(runs.read_record(folder), origin.made_from(item, preset, options.seed)):
                common.say(f"{item.name} is finished")
            else:
                _finetune(item, folder, preset, context, options.seed, resume=options.resume or several)
            if processes.is_main():
                print(folder, flush=True)


def _finetune(item: Item, folder: Path, preset: Preset, context: Context | None, seed: int, *, resume: bool) -> None:
    """Fine-tune on one item and save the run."""
    from .. import finetune as training
    from .. import runs, segment, watch

    runs.check_run_folder(folder, item)
    common.say(f"finding the {item.class_noun} on {len(item.photos)} photos")
    object_masks = segment.object_masks(item, preset)
    common.say(f"fine-tuning on {item.name}")
    watcher = None
    if context:
        watcher = watch.Watch(item, preset, context.photo, next(iter(context.masks.values())))
    given = {"seed": seed, "output_dir": folder, "resume": resume, "watch": watcher}
    run = training.finetune(item, object_masks, preset, **given)
    if watcher:
        common.say(f"{watcher.rows[-1].words} They are in {folder / runs.VALIDATION}")
    common.say(f"{len(run.losses)} steps in {run.seconds['train']:.0f} s; its prompt is {run.prompt!r}")
