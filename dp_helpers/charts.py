"""Charts of results: means with their intervals, next to pictures. They have the look of `plots`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from .plots import BLUE, TYPE, chart, described

_TILE = 1.9  # inches, a side


def levels(
    names: Sequence[str],
    values: Sequence[tuple[float, float, float]],
    pictures: Sequence[Image.Image],
    x_label: str,
    y_label: str,
) -> Figure:
    """Draw the mean of each level with its interval. Draw the ground truth and a picture of each level below.

    Args:
        names: of the levels.
        values: mean, low and high end of each level; nan for an end that is not known.
        pictures: the ground truth, then one picture of each level.
        x_label, y_label: what the levels are, and what the means are of.
    """
    count = len(pictures)
    figure = Figure(figsize=(_TILE * count, 2.8 * _TILE), layout="constrained")
    grid = figure.add_gridspec(2, count, height_ratios=(1.5, 1))
    _, axes = chart(x_label, y_label, figure.add_subplot(grid[0, :]))
    means, low, high = np.transpose(values)
    ordered = all(name.replace(".", "").isdigit() for name in names)  # a line would join levels that have no order
    options = {"fmt": "o-" if ordered else "o", "color": BLUE, "linewidth": 3, "markersize": 9, "capsize": 6}
    axes.errorbar(range(1, count), means, (means - low, high - means), **options)
    axes.set_xlim(-0.5, count - 0.5)  # so that each mean stands above its picture
    labels = [textwrap.fill(name, 12) for name in names]  # no wider than a picture
    axes.set_xticks(range(1, count), labels)
    for column, (picture, label) in enumerate(zip(pictures, ["ground truth", *labels], strict=True)):
        axis = figure.add_subplot(grid[1, column])
        axis.set_axis_off()
        axis.imshow(picture, interpolation="lanczos")
        axis.set_title(label, fontsize=TYPE - 2)
    listed = "; ".join(f"{name}: {mean:.3g}" for name, mean in zip(names, means, strict=True))
    alt = f"Chart of {' '.join(y_label.split())}, by {x_label}. {listed}."
    return described(figure, f"{alt} Below it the ground truth and one picture of each level.")
