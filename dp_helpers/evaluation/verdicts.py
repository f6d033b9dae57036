"""Rows of an ablation -> a table of means, and a verdict on each claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import statistics
from .ablations import Ablation, Claim
from .columns import GROUPS, METRICS
from .rows import Row, read_rows

LEAST = 6  # items; with fewer, no sign test can fall below 5 %, so we do not trust an interval either
_ARROWS = {"higher": "↑", "lower": "↓", "nearer to 1": "→ 1"}


@dataclass(frozen=True)
class Verdict:
    """What the rows say about a claim."""

    claim: Claim
    difference: statistics.Difference  # ``better`` minus ``worse``, item by item
    word: str  # "agrees", "disagrees" or "cannot tell"

    def __str__(self) -> str:
        """Return the claim, then the verdict with its figures."""
        claim, found = self.claim, self.difference
        wins, losses = (found.higher, found.lower)[:: 1 if METRICS[claim.metric] == "higher" else -1]
        said = {
            "agrees": f"Our run agrees with {claim.by}",
            "disagrees": f"Our run disagrees with {claim.by}",
            "cannot tell": "Our run cannot tell",
        }
        return (
            f"{claim.says} **{said[self.word]}:** {claim.metric} of {claim.better!r} minus {claim.worse!r} is "
            f"{found.estimate} over {found.estimate.n} items ({METRICS[claim.metric]} is better); "
            f"{claim.better!r} is better in {wins} of them and worse in {losses}."
        )


def read(ablation: Ablation, folder: Path) -> list[Row]:
    """Read rows.csv without the rows that the ablation does not ask for, as a run of more items leaves them there."""
    rows = [row for row in read_rows(folder) if row["painter"] in ablation.levels and row["seed"] < ablation.seeds]
    items = ablation.items or {row["item"] for row in rows}
    first = {item: sorted({row["pair"] for row in rows if row["item"] == item})[: ablation.pairs] for item in items}
    return [row for row in rows if row["pair"] in first.get(row["item"], ())]


def judge(ablation: Ablation, rows: Sequence[Row]) -> list[Verdict]:
    """Return a verdict on each claim of an ablation.

    The rule: the rows agree if the 95 % bootstrap interval of the paired difference is wholly on the claimed side of
    zero. They disagree if it is wholly on the other side. Otherwise, or with fewer than `LEAST` items, we cannot
    tell.
    """
    verdicts = []
    for claim in ablation.claims:
        found = statistics.difference(rows, claim.metric, claim.better, claim.worse)
        sign = 1 if METRICS[claim.metric] == "higher" else -1
        low, high = sorted((sign * found.estimate.low, sign * found.estimate.high))
        word = "agrees" if low > 0 else "disagrees" if high < 0 else "cannot tell"
        verdicts.append(Verdict(claim, found, word if found.estimate.n >= LEAST else "cannot tell"))
    return verdicts


def best(ablation: Ablation, rows: Sequence[Row]) -> str | None:
    """Return the level with the best mean of the ablation's metric; None if there are no rows."""
    means = {level: statistics.mean(rows, level, ablation.metric).mean for level in ablation.levels}
    known = {level: mean for level, mean in means.items() if math.isfinite(mean)}
    choose = max if METRICS[ablation.metric] == "higher" else min
    return choose(known, key=known.get, default=None)


def table(ablation: Ablation, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return one line for each level and metric: the mean over items with its 95 % bootstrap interval."""
    lines = []
    for level in ablation.levels:
        pictures = sum(row["painter"] == level for row in rows)
        for metric in METRICS:
            found = statistics.mean(rows, level, metric)
            values = {"mean": found.mean, "low": found.low, "high": found.high}
            values = {key: round(value, 4) for key, value in values.items()}
            lines.append({"level": level, "metric": metric} | values | {"items": found.n, "pictures": pictures})
    return lines


def to_markdown(ablation: Ablation, rows: Sequence[Row]) -> list[str]:
    """Return a table for each group of metrics under its question: a line for each level, a column for each metric."""
    parts = []
    for question, group in GROUPS.items():
        lines = [
            {ablation.axis: level}
            | {f"{name} {_ARROWS[better]}": statistics.mean(rows, level, name) for name, better in group.items()}
            for level in ablation.levels
        ]
        parts += [f"### {question}\n", statistics.to_markdown(lines)]
    return parts
