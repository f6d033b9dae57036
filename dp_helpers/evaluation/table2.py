"""Ratings -> the paper's Table 2 with intervals, the agreement of the raters, and a report.

Similarity and harmony go from 1 (best) to 5 (worst). The unit of the intervals is the item, as in `statistics`: the
raters, pairs and seeds of an item are averaged first. So the intervals say what other items could give. They do not
cover a choice of other raters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import krippendorff
import numpy as np

from ..files import whole_folder
from . import statistics
from .raters import CRITERIA, SCORES, Scores
from .study import Study

PAPER = {"title": (4.41, 2.75), "paint-by-example": (3.82, 2.57), "dreampaint": (2.68, 2.33)}  # the paper's Table 2
_OURS = "dreampaint"
_HOW = """`python -m dp_helpers study --help` says how to make a study and how to rate it: in a notebook, in Python or
on paper. Each rater gives one CSV file. Put the files into the study's folder `ratings/`, and run the command above
again."""
Merged = Mapping[str, Mapping[str, Scores]]  # from `raters.merge`: scores by rater, card and criterion


def opened(merged: Merged, key: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return one row for each rater and rated card, with what the key says of the card; nan is a missing rating."""
    return [
        {"rater": rater, "card": card}
        | {name: key[card][name] for name in ("pair", "item", "painter", "seed")}
        | {name: given.get(name, math.nan) for name in CRITERIA}
        for rater, cards in merged.items()
        for card, given in sorted(cards.items())
    ]


def table2(rows: statistics.Rows, painters: Sequence[str]) -> list[dict[str, Any]]:
    """Return each painter's mean similarity and harmony with intervals, worst similarity first, as the paper has it.

    Args:
        rows: from `opened`. Without rows all means are nan.
        painters: their names.
    """
    table = []
    for painter in painters:
        line: dict[str, Any] = {"painter": painter}
        for criterion, paper in zip(CRITERIA, PAPER.get(painter, ("", "")), strict=True):
            found = statistics.mean(rows, painter, criterion)
            line |= {criterion: found.mean, f"{criterion}_low": found.low, f"{criterion}_high": found.high}
            line |= {f"{criterion}_ratings": _count(rows, criterion, painter), f"{criterion}_paper": paper}
        table.append(line | {"items": len({row["item"] for row in rows if row["painter"] == painter})})
    return sorted(table, key=lambda line: -line["similarity"] if math.isfinite(line["similarity"]) else 0)


def agreement(merged: Merged, criterion: str) -> float:
    """Return Krippendorff's alpha of the raters for ordinal scores (from the library `krippendorff`).

    Range: up to 1. 1 is full agreement, 0 is what chance gives, below 0 the raters contradict each other.
    Source: K. Krippendorff, Content Analysis (2004). Missing ratings are left out.

    Returns:
        alpha, or nan where it has no meaning: no card has two ratings, or all those ratings are the same.
    """
    cards = sorted({card for own in merged.values() for card in own})
    scores = [[own.get(card, {}).get(criterion, math.nan) for card in cards] for own in merged.values()]
    ratings = np.array(scores, dtype=float).reshape(len(scores), len(cards))
    compared = ratings[:, np.isfinite(ratings).sum(axis=0) > 1]
    if len(np.unique(compared[np.isfinite(compared)])) < 2:
        return math.nan
    return float(krippendorff.alpha(compared, value_domain=SCORES, level_of_measurement="ordinal"))


def write_results(
    merged: Merged, key: Mapping[str, Mapping[str, str]], study: Study, folder: Path, command: str
) -> Path:
    """Write ratings.csv, table2.csv and report.md into ``folder``, and return the path of the report.

    Without ratings there is the report alone, and it says that there is no result.
    """
    rows = opened(merged, key)
    table = table2(rows, list(dict.fromkeys(card["painter"] for card in key.values())))
    files = {"report.md": _report(merged, rows, table, study, command)}
    for name, lines in {"table2.csv": table, "ratings.csv": rows}.items():
        if rows:
            files[name] = statistics.to_csv(
                [{column: _cell(value) for column, value in line.items()} for line in lines]
            )
    with whole_folder(folder) as temporary:
        for name, text in files.items():
            (temporary / name).write_text(text, encoding="utf-8")
    return folder / "report.md"


def _report(
    merged: Merged, rows: statistics.Rows, table: Sequence[Mapping[str, Any]], study: Study, command: str
) -> str:
    painters = [line["painter"] for line in table]
    parts = [
        "# Blind rating, as in section 5.2 of the paper\n",
        f"Command: `{command}`  \nStudy: {study.name}. Pictures: {len(study.cards)}. Methods: {', '.join(painters)}.\n",
    ]
    if not rows:
        parts += ["**There is no result: nobody has rated this study yet.**\n", _HOW]
        return "\n".join(parts) + "\n"
    asked = len(merged) * len(study.cards)
    given = ", ".join(f"{_count(rows, criterion)} of {asked} for {criterion}" for criterion in CRITERIA)
    parts += [
        f"Raters: {len(merged)}. Ratings: {given}.\n",
        "1 is the best and 5 is the worst. Each cell is the mean over items with its 95 % bootstrap interval. The",
        "raters, pairs and seeds of an item are averaged first. The intervals do not cover a choice of other raters.\n",
        statistics.to_markdown([_line(rows, line) for line in table]),
        "Agreement of the raters, Krippendorff's alpha for ordinal scores (1: full agreement, 0: as by chance):",
        ", ".join(f"{criterion} {_alpha(merged, criterion)}" for criterion in CRITERIA) + ".\n",
        *_differences(rows, painters),
    ]
    return "\n".join(parts) + "\n"


def _line(rows: statistics.Rows, line: Mapping[str, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {"": line["painter"]}
    for criterion in CRITERIA:
        cells[f"{criterion} ↓"] = statistics.mean(rows, line["painter"], criterion)
        cells[f"{criterion} ↓, paper"] = line[f"{criterion}_paper"] or "-"
        cells[f"ratings of {criterion}"] = line[f"{criterion}_ratings"]
    return cells | {"items": line["items"]}


def _differences(rows: statistics.Rows, painters: Sequence[str]) -> list[str]:
    """Return the section that compares DreamPaint with the other painters, if it was rated together with others."""
    others = [name for name in painters if name != _OURS]
    if not others or _OURS not in painters:
        return []
    table = []
    for other in others:
        cells = {f"{_OURS} minus": other}
        for criterion in CRITERIA:
            found = statistics.difference(rows, criterion, _OURS, other)
            cells[f"{criterion} ↓"] = f"{found.estimate} {found.lower}:{found.higher} p {found.p:.3f}"
        table.append(cells)
    return [
        f"## Paired differences: {_OURS} minus another painter\n",
        f"Each cell is the mean difference with its interval, then the number of items in which {_OURS} is better and",
        "worse, then p of the two-sided sign test.\n",
        statistics.to_markdown(table),
    ]


def _alpha(merged: Merged, criterion: str) -> str:
    alpha = agreement(merged, criterion)
    return f"{alpha:.3f}" if math.isfinite(alpha) else "- (it needs two raters and two different scores)"


def _count(rows: statistics.Rows, criterion: str, painter: str | None = None) -> int:
    return sum(math.isfinite(row[criterion]) for row in rows if painter in (None, row["painter"]))


def _cell(value: Any) -> Any:
    """Return what a CSV file shows: numbers to four places, and nothing for a missing one."""
    if not isinstance(value, float):
        return value
    return round(value, 4) if math.isfinite(value) else ""
