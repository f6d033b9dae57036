"""The command ``evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..files import check_can_write, find_data
from . import common


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    added = common.add_command(commands, "evaluate", run)
    added.add_argument("--out", type=Path, required=True, help="folder of rows, report and pictures")
    added.add_argument("--data", type=Path, help="folder with catalog/ and contexts/, or MureCom (default: data/)")
    added.add_argument("--items", nargs="+", metavar="ITEM", default=[], help="default: all items of the pairs")
    added.add_argument(
        "--painters", nargs="+", metavar="PAINTER", help="default: all; the first is compared with the others"
    )
    added.add_argument("--seeds", type=int, default=3, help="pictures of each painter for each pair (default: 3)")
    added.add_argument("--steps", type=int, help="of fine-tuning (default: the preset's)")
    added.add_argument("--runs", type=Path, default=Path("runs"), help="folder of fine-tunes (default: runs)")
    added.add_argument("--quick", action="store_true", help="one item, two pairs, one seed")


def run(options: argparse.Namespace) -> None:
    """Compare DreamPaint with the baselines on data/benchmark; a run that was killed goes on where it stopped."""
    preset, data = common.preset_with_steps(options), options.data or find_data()
    check_can_write(options.out)
    common.quiet()
    from ..evaluation import benchmark, report
    from ..evaluation.pairs import load_gallery_items, load_pairs

    pairs, painters = load_pairs(data, options.items), options.painters or benchmark.PAINTERS
    if options.quick:
        pairs, options.seeds = [pair for pair in pairs if pair.item.name == pairs[0].item.name][:2], 1
    makers = benchmark.make_painters(preset, options.runs, painters)
    common.say(f"{len(pairs)} pairs, {options.seeds} seeds, painters: {', '.join(painters)}")
    rows = benchmark.run(
        makers,
        pairs,
        range(options.seeds),
        preset=preset,
        gallery_items=load_gallery_items(data, options.items),
        folder=options.out,
    )
    command = " ".join(["python -m dp_helpers", *options.words])
    print(report.write_report(rows, painters, pairs, preset, options.out, command))
