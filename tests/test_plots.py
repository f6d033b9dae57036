"""Figures of the lessons: what a picture says must be what the numbers say."""

import numpy as np
import pytest
from PIL import Image

from dp_helpers import plots


def test_each_channel_spans_black_to_white():
    values = np.stack([np.linspace(-3, 5, 16).reshape(4, 4), np.full((4, 4), 7.0)])
    one, flat = plots.channels(values, side=8)
    assert (one.mode, one.size, one.getextrema()) == ("L", (8, 8), (0, 255))
    assert flat.getextrema() == (0, 0)
    assert np.asarray(one)[0, 0] == np.asarray(one)[1, 1] == 0  # a value is a square of sharp pixels


def test_difference_shows_what_changed_and_nothing_else():
    before = Image.new("RGB", (20, 10), (10, 20, 30))
    after = before.copy()
    after.paste((10, 255, 30), (4, 4, 9, 9))
    shown = np.asarray(plots.difference(before, after)).astype(int)
    assert shown.shape == (10, 20, 3)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 2
    assert shown[5, 5].sum() > shown[0, 0].sum()
    unchanged = np.asarray(plots.difference(before, before))
    assert (unchanged == shown[0, 0]).all()


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (4, 1), (5, 2), (9, 3)])
def test_a_grid_has_a_place_for_every_picture(count, rows):
    figure = plots.image_grid([Image.new("L", (8, 8))] * count, [f"seed {at}" for at in range(count)], 4, "seeds")
    axes = figure.get_axes()
    assert len(axes) == rows * min(4, count)
    assert sum(len(axis.images) for axis in axes) == count
    assert axes[-1].axison is False


def test_curves_can_be_told_apart_without_colour():
    figure = plots.curves([0, 5, 10], {"training photos": [3, 2, 1], "held-out photos": [3, 2, 2]}, "step", "loss")
    lines = figure.get_axes()[0].lines
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 2
    assert [text.get_text() for text in figure.get_axes()[0].get_legend().get_texts()] == ["training photos", "held-out photos"]
