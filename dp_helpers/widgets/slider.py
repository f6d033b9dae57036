"""A slider with a name and a number. ipywidgets' own sliders have no name that a screen reader could say.

Its number is a field, so that a value can be typed where a finger is too thick for the slider.
"""

from __future__ import annotations

from pathlib import Path

import anywidget
import ipywidgets as widgets
import traitlets

_BROWSER = Path(__file__).with_name("sliders")


class Slider(anywidget.AnyWidget, widgets.ValueWidget):
    """A slider for a number; ``value`` is an int if ``step`` is one, otherwise a float, and always within the range.

    Args:
        value: the first number.
        description: the slider's name, shown next to it.
        min, max: the range, both ends included.
        step: between two numbers.
    """

    _esm = (_BROWSER / "slider.js").read_text(encoding="utf-8")
    _css = (_BROWSER / "slider.css").read_text(encoding="utf-8")
    value = traitlets.Any().tag(sync=True)
    min = traitlets.Float().tag(sync=True)
    max = traitlets.Float().tag(sync=True)
    step = traitlets.Float().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)

    def __init__(self, value: float, description: str, min: float, max: float, step: float = 1) -> None:
        self._kind = type(step)
        layout = {"width": "32em", "max_width": "98%"}
        super().__init__(value=value, min=min, max=max, step=step, description=description, layout=layout)

    @traitlets.validate("value")
    def _fit(self, proposal: dict) -> float:
        return self._kind(sorted((self.min, proposal["value"], self.max))[1])
