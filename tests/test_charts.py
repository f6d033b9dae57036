"""Charts of results: every level stands above its picture, and the alternative text tells the means."""

import math

import pytest
from PIL import Image

from dp_helpers import charts


def test_each_mean_stands_above_its_picture():
    names, values = ["1", "3", "10"], [(0.5, 0.4, 0.6), (0.75, 0.7, 0.8), (0.25, math.nan, math.nan)]
    pictures = [Image.new("RGB", (8, 8), color) for color in ("black", "red", "green", "blue")]
    figure = charts.levels(names, values, pictures, "guidance scale", "similarity\n(higher is better)")
    figure.draw_without_rendering()
    chart, *tiles = figure.axes
    assert [tile.get_title() for tile in tiles] == ["ground truth", *names]
    for index, tile in enumerate(tiles):
        middle = sum(tile.get_position().intervalx) / 2
        place = figure.transFigure.inverted().transform(chart.transData.transform((index, 0)))[0]
        assert place == pytest.approx(middle, abs=0.04)
    line = chart.lines[0]
    assert list(line.get_xdata()) == [1, 2, 3] and list(line.get_ydata()) == [0.5, 0.75, 0.25]
    label = figure.get_label()
    assert "similarity (higher is better), by guidance scale. 1: 0.5; 3: 0.75; 10: 0.25." in label


def test_long_names_of_levels_are_no_wider_than_a_picture():
    names = ["tuned, own noun", "frozen, own noun", "tuned, weak noun", "frozen, weak noun"]
    pictures = [Image.new("RGB", (8, 8)) for _ in range(5)]
    figure = charts.levels(names, [(0.5, 0.4, 0.6)] * 4, pictures, "text encoder", "similarity\n(higher is better)")
    figure.draw_without_rendering()
    chart, *tiles = figure.axes
    for label in [*(tile.title for tile in tiles), *chart.get_xticklabels()]:
        assert label.get_window_extent().width <= tiles[0].bbox.width
