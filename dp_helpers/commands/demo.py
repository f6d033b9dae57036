"""The command ``demo``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .. import catalog
from ..errors import InputError
from ..files import check_can_write
from . import common

DEMO_ITEM, DEMO_CONTEXT, DEMO_MASK = "captain-t-shirt", "mannequin-anna", "rectangle"


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    added = common.add_command(commands, "demo", run)
    added.add_argument("--out", type=Path, default=Path("out/demo"), help="folder (default: out/demo)")
    added.add_argument("--item", help=f"default: {DEMO_ITEM}")
    added.add_argument("--context", type=Path, help=f"a context's folder (default: {DEMO_CONTEXT})")
    added.add_argument("--steps", type=int, help="default: the preset's")
    added.add_argument("--seed", type=int, default=0)
    common.add_settings(added)


def run(options: argparse.Namespace) -> None:
    """Run the whole job on one catalogue item and one context."""
    preset = common.chosen_preset(options, finetune={"steps": options.steps})
    item = catalog.load_item(common.item_folder(options.item or common.default_folder("catalog", DEMO_ITEM)))
    context = catalog.load_context(options.context or common.default_folder("contexts", DEMO_CONTEXT))
    if not context.masks:
        raise InputError(f"The context {context.name} has no mask: put one into its folder masks/.")
    mask = context.masks.get(DEMO_MASK) or next(iter(context.masks.values()))
    check_can_write(options.out)
    common.quiet()
    from ..demo import run_demo

    report = run_demo(item, context, mask, preset, options.out, seed=options.seed, say=common.say)
    print(json.dumps(report, indent=2))
    common.say(f"the picture is {options.out / 'figure.png'}")
