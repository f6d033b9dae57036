"""Sliders: whole numbers stay whole, and no number leaves the range, whatever the page sends."""

from __future__ import annotations

import pytest

from dp_helpers.widgets.slider import Slider


@pytest.mark.parametrize(
    ("sent", "step", "kept"), [(3, 1, 3), (0, 1, 0), (3.0, 1, 3), (99, 1, 10), (-1, 0.5, 0.0), (3, 0.5, 3.0)]
)
def test_a_number_has_the_steps_type_and_is_in_the_range(sent, step, kept):
    first = Slider(sent, "steps", 0, 10, step)
    later = Slider(5, "steps", 0, 10, step)
    later.set_state({"value": sent})
    assert first.value == later.value == kept
    assert type(first.value) is type(later.value) is type(step)
