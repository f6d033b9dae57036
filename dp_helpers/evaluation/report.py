"""Rows -> table1.csv, report.md and gallery.png."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import models, plots, runs, sources
from ..files import find_data, whole_file
from ..presets import Preset
from . import angles, statistics
from .columns import GROUPS, METRICS
from .pairs import Pair
from .rows import Row, commits, load_picture

PAPER = {"dreampaint": 0.70, "paint-by-example": 0.68, "title": 0.62}  # the paper's Table 1
_RIVALS = {  # heading: start of the names
    "near-twin": "twin-",
    "bare": "bare",
    "turned by 15°": "turned-15",
    "turned by 30°": "turned-30",
    "coloured box": "coloured-box",
    "wrong item": "wrong-item",
    "untouched photo": "untouched-photo",
}
_SHOWN = {"higher": "↑", "lower": "↓", "nearer to 1": "→ 1"}


def write_report(
    rows: Sequence[Row], painters: Sequence[str], pairs: Sequence[Pair], preset: Preset, folder: Path, command: str
) -> Path:
    """Write report.md, table1.csv, gallery.png and, where angles are known, angles.csv and .png; return the report.

    Args:
        rows: from `benchmark.run`.
        painters: names, the one that the others are compared with first.
        pairs: those that were painted.
        preset: that painted them.
        folder: holds the pictures of the rows.
        command: that made the rows, for the report.
    """
    write_text(folder / "table1.csv", statistics.to_csv(table1(rows, painters)))
    views = angles.table(rows, painters[0], pairs, preset, folder)
    unseen = [*_unseen(views, painters[0])] if any(line["picture"] == painters[0] for line in views) else []
    write_text(folder / "report.md", _report(rows, painters, pairs, preset, folder, command, unseen))
    if unseen:
        write_text(folder / "angles.csv", statistics.to_csv(views))
        plots.save(angles_figure(views, painters[0], pairs, preset, folder), folder / "angles.png", dpi=80)
    plots.save(gallery(rows, painters, pairs, folder), folder / "gallery.png", dpi=80)
    return folder / "report.md"


def table1(rows: Sequence[Row], painters: Sequence[str]) -> list[dict[str, Any]]:
    """Return the paper's Table 1 from our rows: CLIP scores, worst first, as the paper has it.

    The painters come first, then floors and ceilings. ``paper`` is the paper's own figure, from other photos.
    """
    table = []
    for kind, names in (("painter", painters), ("reference", references(rows, painters))):
        for name in sorted(names, key=lambda name: statistics.mean(rows, name, "clip_score").mean):
            found = statistics.mean(rows, name, "clip_score")
            ends = {"clip_score": found.mean, "low": found.low, "high": found.high}
            count = sum(row["painter"] == name for row in rows)
            about = {"kind": kind, "painter": name} | {key: round(value, 4) for key, value in ends.items()}
            table.append(about | {"items": found.n, "pictures": count, "paper": PAPER.get(name, "")})
    return table


def references(rows: Sequence[Row], painters: Sequence[str]) -> list[str]:
    """Return the names of the floors and ceilings among the rows, in order."""
    return [name for name in dict.fromkeys(row["painter"] for row in rows) if name not in painters]


def gallery(rows: Sequence[Row], painters: Sequence[str], pairs: Sequence[Pair], folder: Path):
    """Draw a figure in the manner of Fig. 3 of the best, the median and the worst pair.

    The pairs are ordered by the rule of `ranked_pairs`, never by hand. The seed is the first one.
    """
    chosen = examples(rows, painters[0])
    by_name, seed = (
        {pair.name: pair for pair in pairs},
        min(row["seed"] for row in rows if row["painter"] == painters[0]),
    )
    images, labels = [], []
    for name in chosen:
        pair = by_name[name]
        painted = [load_picture(folder, pair, painter, seed) for painter in painters]
        photos = pair.item.photos
        references = [photos[0], photos[len(photos) // 2]]  # the first and the middle one
        shown = [plots.overlay(pair.context.photo, pair.mask), *references, *painted, pair.truth]
        names = ["photo and mask", "reference", "reference", *painters, "true picture"]
        count = len(names) - (pair.truth is None)
        images, labels = images + shown[:count], labels + names[:count]
    return plots.image_grid(images, labels, columns=count, title="best, median and worst by rank")


def examples(rows: Sequence[Row], painter: str) -> list[str]:
    """Return the names of a painter's best, median and worst pair; fewer if there are fewer pairs."""
    ordered = ranked_pairs(rows, painter)
    return list(dict.fromkeys((ordered[0], ordered[len(ordered) // 2], ordered[-1])))


def ranked_pairs(rows: Sequence[Row], painter: str) -> list[str]:
    """Order pairs from best to worst: by the rank in retrieval of the painter's first picture, then by CLIP score."""
    own = [row for row in rows if row["painter"] == painter]
    first = [row for row in own if row["seed"] == min(other["seed"] for other in own)]
    return [row["pair"] for row in sorted(first, key=lambda row: (row["rank"], -row["clip_score"], row["pair"]))]


def angles_figure(lines: Sequence[dict[str, Any]], painter: str, pairs: Sequence[Pair], preset: Preset, folder: Path):
    """Draw, for each scene with an unseen angle: true picture, first painting, the nearest seen and held-back view."""
    images, labels, own = [], [], [line for line in lines if line["picture"] == painter]
    for name in dict.fromkeys(line["pair"] for line in own):
        pair, seed = next(pair for pair in pairs if pair.name == name), min(line["seed"] for line in own)
        views = angles.load_views(pair.item, preset)
        seen = angles.nearest_in_yaw([view for view in views if view.seen], pair.yaw)
        unseen = angles.nearest_in_yaw([view for view in views if not view.seen], pair.yaw)
        painted = load_picture(folder, pair, painter, seed)
        images += [pair.truth, painted, seen.photo, unseen.photo]
        labels += [f"true, turned by {pair.yaw:.0f}°", painter, f"nearest photo, {seen.yaw}°"]
        labels.append(f"held back, {unseen.yaw}°")
    return plots.image_grid(images, labels, columns=4, title="Scenes with an unseen angle")


def _report(
    rows, painters: Sequence[str], pairs: Sequence[Pair], preset: Preset, folder: Path, command: str, unseen: list[str]
) -> str:
    seeds = sorted({row["seed"] for row in rows if row["painter"] in painters})
    versions = ", ".join(f"{name} {version}" for name, version in runs.versions().items())
    used = "; ".join(f"{model} from {source}" for model, source in sources.used(preset).items())
    used = used.replace(f"{find_data().parent}/", "") or "none were loaded, as all rows were there"
    pictures = sum(row["painter"] in painters for row in rows)
    counts = f"{len({pair.item.name for pair in pairs})} items, {len(pairs)} pairs, {pictures} painted pictures"
    parts = [
        f"# Evaluation with the preset {preset.name}\n",
        f"Command: `{command.replace(chr(96), chr(39))}`  \nSeeds: {', '.join(map(str, seeds))}. {counts}.  ",
        f"Commit {commits(folder)}; weights {models.fingerprint(preset)}; {versions}.  ",
        f"Models: {used}.\n",
        "Each cell is the mean over items with its 95 % bootstrap interval. The pairs and seeds of an item are",
        "averaged first. The arrow says which way is better. Floors and ceilings stand below the painters.\n",
        *_means(rows, [*painters, *references(rows, painters)]),
        *_metric_test(rows),
        *_paired(rows, painters),
        *unseen,
        "## Gallery\n",
        "![Photo and mask, references, one picture of each painter, true picture](gallery.png)\n",
        f"The pairs are the best, the median and the worst of {painters[0]} at seed {seeds[0]}: first by its",
        "rank in retrieval, then by its CLIP score.",
    ]
    return "\n".join(parts) + "\n"


def _unseen(views, painter: str) -> list[str]:
    """Return the section on unseen angles (Fig. 2)."""
    return [
        "## Unseen angles\n",
        angles.summary(views, painter) + " The painter is not told the angle.\n",
        "![True picture, painting, nearest photo and held-back view of scenes with an unseen angle](angles.png)\n",
    ]


def metric_test(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return for each metric in how many cases the true picture is better than a twin, a coloured box and others.

    In the last column the item turned by 15 degrees, the right product, is compared with the bare one, a wrong product.
    """
    kinds = {kind: prefix for kind, prefix in _RIVALS.items() if any(r["painter"].startswith(prefix) for r in rows)}
    table = []
    for metric, better in METRICS.items():
        found = {kind: statistics.wins(rows, metric, better, "true-picture", prefix) for kind, prefix in kinds.items()}
        found["turned by 15° against bare"] = statistics.wins(rows, metric, better, "turned-15", "bare")
        cells = {kind: f"{won} of {cases}" if cases else "-" for kind, (won, cases) in found.items()}
        table.append({"metric": f"{metric} {_SHOWN[better]}"} | cells)
    return table


def _metric_test(rows) -> list[str]:
    """Return the section that tests the metrics themselves, if there are true pictures."""
    if not any(row["painter"] == "true-picture" for row in rows):
        return ["**The metrics are not tested here:** there are no true pictures.\n"]
    return [
        "## What the metrics can tell\n",
        "Each cell says in how many cases the true picture gets a better value than the picture in the heading. A",
        "metric that cannot tell them apart wins half of the cases, or none where both get the same value. Metrics",
        "that compare with the true picture win by construction. Their test is the last column: the right product,",
        "turned by 15 degrees, against the product without its details in the right pose.\n",
        statistics.to_markdown(metric_test(rows)),
        "`rank` says which of the gallery's products comes nearest. It finds no fault that no twin has. A picture that",
        "shows the right kind of product ranks, by chance, in the middle of the item and its three twins, at 2.5. So a",
        "rank of 2 is no proof of details. `detail_error` looks at fixed places: right details of a turned product",
        "count as wrong. `bare` is the item without its details. data/results/metrics.md holds more fakes.\n",
    ]


def _means(rows, names: Sequence[str]) -> list[str]:
    """Return a table for each group of metrics, under its question."""
    parts = []
    for question, group in GROUPS.items():
        table = []
        for name in names:
            found = {
                f"{metric} {_SHOWN[better]}": statistics.mean(rows, name, metric) for metric, better in group.items()
            }
            items = len({row["item"] for row in rows if row["painter"] == name})
            table.append({"": name, "items": items} | found)
        parts += [f"## {question}\n", statistics.to_markdown(table)]
    return parts


def _paired(rows, painters: Sequence[str]) -> list[str]:
    """Return the section that compares the first painter with the others, if there are others."""
    if len(painters) < 2:
        return []
    return [
        f"## Paired differences: {painters[0]} minus another painter\n",
        f"Each cell is the mean difference with its interval, then the number of items in which {painters[0]} is",
        "better and worse, then p of the two-sided sign test.\n",
        _differences(rows, painters[0], painters[1:]),
    ]


def _differences(rows, first: str, others: Sequence[str]) -> str:
    table = []
    for metric, better in METRICS.items():
        if better == "nearer to 1":
            continue
        cells = {}
        for other in others:
            found = statistics.difference(rows, metric, first, other)
            wins, losses = (found.higher, found.lower) if better == "higher" else (found.lower, found.higher)
            cells[other] = f"{found.estimate}; {wins}:{losses}, p {found.p:.3f}" if found.estimate.n else "-"
        table.append({f"{first} minus": f"{metric} {_SHOWN[better]}"} | cells)
    return statistics.to_markdown(table)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
