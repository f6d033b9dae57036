"""Sliders: whole numbers stay whole, and no number leaves the range, whatever the page sends."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dp_helpers.widgets import slider
from dp_helpers.widgets.slider import Slider

WIDGETS = Path(slider.__file__).parent


@pytest.mark.parametrize(
    ("sent", "step", "kept"), [(3, 1, 3), (0, 1, 0), (3.0, 1, 3), (99, 1, 10), (-1, 0.5, 0.0), (3, 0.5, 3.0)]
)
def test_a_number_has_the_steps_type_and_is_in_the_range(sent, step, kept):
    first = Slider(sent, "steps", 0, 10, step)
    later = Slider(5, "steps", 0, 10, step)
    later.set_state({"value": sent})
    assert first.value == later.value == kept
    assert type(first.value) is type(later.value) is type(step)


def test_no_widgets_style_reaches_another():
    """On a page, the styles of all widgets apply at once: each stays below a class that no other widget uses."""
    scripts = {path: path.read_text(encoding="utf-8") for path in WIDGETS.glob("*/*.js")}
    for sheet in WIDGETS.glob("*/*.css"):
        text = re.sub(r"/\*.*?\*/|@media[^{]*\{", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        selectors = [each for rule in re.findall(r"([^{}]+)\{", text) for each in rule.split(",")]
        roots = {re.search(r"\.(dp-[a-z]+)", selector)[1] for selector in selectors}
        [root] = roots
        users = {path.parent for path, script in scripts.items() if re.search(rf"\b{root}\b", script)}
        assert users == {sheet.parent}
