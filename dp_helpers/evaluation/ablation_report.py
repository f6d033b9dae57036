"""Rows of an ablation -> table.csv, report.md and pictures.jpg; and the one figure of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from .. import catalog, charts, models, runs
from ..files import whole_file
from ..presets import Preset
from ..squares import cut, square_around
from . import report, statistics, verdicts
from .ablations import Ablation
from .columns import METRICS
from .pairs import Pair
from .rows import Row, commits, load_picture

SIDE = 144  # pixels of a tile of pictures.jpg


def write(
    ablation: Ablation, rows: Sequence[Row], pairs: Sequence[Pair], preset: Preset, folder: Path, command: str
) -> Path:
    """Write table.csv, report.md and pictures.jpg into ``folder``, and return the path of the report.

    Args:
        ablation: whose rows they are.
        rows: from `ablation_runs.run`.
        pairs: those that were painted.
        preset: that the levels change.
        folder: holds the pictures of the rows.
        command: that made the rows, for the report.
    """
    report.write_text(folder / "table.csv", statistics.to_csv(verdicts.table(ablation, rows)))
    shown = [by_name(pairs)[name] for name in report.examples(rows, ablation.claims[0].better)]
    with whole_file(folder / "pictures.jpg") as temporary:
        _sheet(ablation, shown, folder).save(temporary, quality=88)
    text = _report(ablation, rows, shown, preset, folder, command)
    report.write_text(folder / "report.md", text)
    return folder / "report.md"


def figure(ablation: Ablation, folder: Path, row: int = 1) -> Figure:
    """Draw an ablation from the files in ``folder``: means with intervals, and below each level one of its pictures.

    Args:
        ablation: whose files they are.
        folder: holds rows.csv and pictures.jpg.
        row: of pictures.jpg: 0 is the best pair, 1 the median, 2 the worst.
    """
    rows, metric = verdicts.read(ablation, folder), ablation.metric
    found = [statistics.mean(rows, level, metric) for level in ablation.levels]
    values = [(one.mean, one.low, one.high) for one in found]
    tiles = _tiles(folder / "pictures.jpg", row)
    label = f"{metric.replace('_', ' ')}\n({METRICS[metric]} is better)"
    return charts.levels(list(ablation.levels), values, tiles, ablation.axis, label)


def by_name(pairs: Sequence[Pair]) -> dict[str, Pair]:
    """Return the pairs by their names."""
    return {pair.name: pair for pair in pairs}


def _sheet(ablation: Ablation, pairs: Sequence[Pair], folder: Path) -> Image.Image:
    """Return a sheet of square tiles: a row for each pair, the true picture first, then each level with seed 0."""
    sheet = Image.new("RGB", (SIDE * (len(ablation.levels) + 1), SIDE * len(pairs)), "white")
    for row, pair in enumerate(pairs):
        box = square_around(pair.mask.getbbox(), pair.mask.size, 1.4)
        painted = [load_picture(folder, pair, level, 0) for level in ablation.levels]
        for column, picture in enumerate([pair.truth or pair.context.photo, *painted]):
            sheet.paste(cut(picture, box).resize((SIDE, SIDE), Image.LANCZOS), (SIDE * column, SIDE * row))
    return sheet


def _tiles(path: Path, row: int) -> list[Image.Image]:
    """Return one row of a sheet; the last one if there are fewer rows."""
    sheet = catalog.load_photo(path)
    top = min(SIDE * row, sheet.height - SIDE)
    return [sheet.crop((left, top, left + SIDE, top + SIDE)) for left in range(0, sheet.width, SIDE)]


def _report(
    ablation: Ablation, rows: Sequence[Row], shown: Sequence[Pair], preset: Preset, folder: Path, command: str
) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in runs.versions().items())
    items, pairs = ({row[key] for row in rows} for key in ("item", "pair"))
    counts = f"{len(items)} items, {len(pairs)} pairs, {len(rows)} painted pictures"
    parts = [
        f"# Ablation: {ablation.name}\n",
        f"{ablation.question}\n",
        f"Command: `{command}`  \nPreset {preset.name}. Seeds of painting: "
        f"{', '.join(map(str, range(ablation.seeds)))}; of fine-tuning: 0. {counts}.  \n"
        f"Commit {commits(folder)}; weights {models.fingerprint(preset)}; {versions}.\n",
        "## Verdicts\n",
        *(f"- {verdict}" for verdict in verdicts.judge(ablation, rows)),
        "\nThe claims and their metrics were written down in dp_helpers/ablations.toml before the run"
        f"{', except as noted below' if ablation.note else ''}. We agree or",
        "disagree only if the 95 % bootstrap interval of the paired difference excludes zero, and there are at least",
        f"{verdicts.LEAST} items.\n",
        *([f"{ablation.note}\n"] if ablation.note else []),
        "## Means\n",
        "Each cell is the mean over items with its 95 % bootstrap interval. The pairs and seeds of an item are",
        "averaged first. The arrow says which way is better.\n",
        *verdicts.to_markdown(ablation, rows),
        "## Pictures\n",
        f"![The true picture, then one picture of each level: {', '.join(ablation.levels)}](pictures.jpg)\n",
        f"From left to right: the true picture, then {', '.join(ablation.levels)}. The rows are the best, the median",
        f"and the worst pair of {ablation.claims[0].better!r} at seed 0, by rank in retrieval, then by CLIP score:",
        f"{', '.join(pair.name for pair in shown)}.",
    ]
    return "\n".join(parts) + "\n"
