"""The command ``evaluate``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..evaluation import ablations
from ..files import check_can_write, find_data
from ..presets import Preset
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
    added.add_argument("--seeds", type=int, help="pictures of each painter for each pair (default: 3; ablations: 2)")
    added.add_argument("--steps", type=int, help="of fine-tuning (default: the preset's)")
    added.add_argument("--runs", type=Path, help="folder of fine-tunes (default: runs, with --leaderboard OUT/runs)")
    added.add_argument("--quick", action="store_true", help="one item, two pairs, one seed")
    common.add_settings(added)
    added.add_argument(
        "--leaderboard", metavar="NAME", help="check an entry by the rules, print its row (LEADERBOARD.md)"
    )
    added.add_argument(
        "--ablation",
        nargs="*",
        metavar="NAME",
        help="run these ablations instead, each in OUT/NAME (without names: all)",
    )


def run(options: argparse.Namespace) -> None:
    """Compare DreamPaint with the baselines on data/benchmark; a run that was killed goes on where it stopped."""
    preset, data = common.chosen_preset(options, finetune={"steps": options.steps}), options.data or find_data()
    check_can_write(options.out)
    if options.seeds is not None and options.seeds < 1:
        raise InputError(f"--seeds is {options.seeds}, but must be at least 1.")
    if options.ablation is not None and (options.painters or options.leaderboard):
        raise InputError("--ablation has its own painters: leave out --painters and --leaderboard.")
    options.runs = options.runs or (options.out / "runs" if options.leaderboard else Path("runs"))
    if options.ablation is not None:
        return _run_ablations(options, preset, data)
    common.quiet()
    from ..evaluation import benchmark, leaderboard, report, statistics
    from ..evaluation.pairs import load_gallery_items, load_pairs

    if options.leaderboard:
        _check_entry(options, preset)
        options.painters, options.seeds = [leaderboard.PAINTER], leaderboard.SEEDS
    pairs, painters = load_pairs(data, options.items), options.painters or benchmark.PAINTERS
    if options.quick:
        pairs, options.seeds = [pair for pair in pairs if pair.item.name == pairs[0].item.name][:2], 1
    seeds = options.seeds or 3
    makers = benchmark.make_painters(preset, options.runs, painters)
    common.say(f"{len(pairs)} pairs, {seeds} seeds, painters: {', '.join(painters)}")
    rows = benchmark.run(
        makers,
        pairs,
        range(seeds),
        preset=preset,
        gallery_items=load_gallery_items(data, options.items),
        folder=options.out,
    )
    command = " ".join(["python -m dp_helpers", *options.words])
    print(report.write_report(rows, painters, pairs, preset, options.out, command))
    if options.leaderboard:
        print(statistics.to_markdown([leaderboard.row(rows, options.leaderboard, preset)]), end="")


def _check_entry(options: argparse.Namespace, preset: Preset) -> None:
    """Refuse an entry that breaks a rule, before hours go by."""
    from ..evaluation import leaderboard

    given = [name for name in ("quick", "items", "painters", "seeds", "data") if getattr(options, name)]
    if given:
        raise InputError(f"--leaderboard takes all pairs and its own seeds: leave out --{given[0]}.")
    leaderboard.check(preset)


def _run_ablations(options: argparse.Namespace, preset: Preset, data: Path) -> None:
    """Say how long the ablations will take, run them, and print the paths of their reports."""
    chosen = ablations.choose(options.ablation)
    for ablation in chosen:
        ablations.check(ablation, preset)
    common.quiet()
    from ..evaluation import ablation_report, ablation_runs, cost
    from ..evaluation.pairs import load_gallery_items, load_pairs

    pairs, gallery_items = load_pairs(data, options.items), load_gallery_items(data)
    chosen = [_changed(ablation, options, pairs[0].item.name) for ablation in chosen]
    own_pairs = {ablation.name: ablation_runs.choose_pairs(ablation, pairs) for ablation in chosen}
    left = {
        ablation.name: cost.work(ablation, own_pairs[ablation.name], preset, options.runs, options.out / ablation.name)
        for ablation in chosen
    }
    common.say("measuring this machine: a few training steps and two paintings")
    speed = cost.measure_speed(preset, pairs[0])
    for line in cost.forecast(left, speed):
        common.say(line)
    command = " ".join(["python -m dp_helpers", *options.words])
    for ablation in chosen:
        folder, own = options.out / ablation.name, own_pairs[ablation.name]
        common.say(f"{ablation.name}: {ablation.question}")
        rows = ablation_runs.run(ablation, own, preset, gallery_items=gallery_items, runs=options.runs, folder=folder)
        print(ablation_report.write(ablation, rows, own, preset, folder, command), flush=True)


def _changed(ablation: ablations.Ablation, options: argparse.Namespace, first: str) -> ablations.Ablation:
    """Return the ablation with the items and the number of seeds of the command line. ``first`` is an item's name."""
    if options.quick:
        return replace(ablation, items=tuple(options.items[:1]) or (first,), pairs=2, seeds=1)
    return replace(ablation, items=tuple(options.items) or ablation.items, seeds=options.seeds or ablation.seeds)
