"""The command ``finetune``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import catalog
from ..errors import InputError
from ..files import check_can_write
from . import common


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    added = common.add_command(commands, "finetune", run)
    common.add_item(added)
    added.add_argument("--out", type=Path, required=True, help="folder of the run, for example runs/armchair")
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
    """Fine-tune on an item and save the run."""
    preset = common.chosen_preset(options, finetune={"steps": options.steps})
    item = catalog.load_item(common.item_folder(options.item), options.class_noun)
    check_can_write(options.out)
    context = catalog.load_context(common.context_folder(options.watch)) if options.watch else None
    if context and not context.masks:
        raise InputError(f"The context {context.name} has no mask: put one into its folder masks/.")
    common.quiet()
    from .. import finetune as training
    from .. import runs, segment, watch

    runs.check_run_folder(options.out)
    common.say(f"finding the {item.class_noun} on {len(item.photos)} photos")
    object_masks = segment.object_masks(item, preset)
    common.say(f"fine-tuning on {item.name}")
    watcher = None
    if context:
        watcher = watch.Watch(item, preset, context.photo, next(iter(context.masks.values())))
    given = {"seed": options.seed, "output_dir": options.out, "resume": options.resume, "watch": watcher}
    run = training.finetune(item, object_masks, preset, **given)
    if watcher:
        common.say(f"{watcher.rows[-1].words} They are in {options.out / runs.VALIDATION}")
    common.say(f"{len(run.losses)} steps in {run.seconds['train']:.0f} s; its prompt is {run.prompt!r}")
    print(options.out)
