"""Predict first: the reader guesses, then sees guess and result side by side. A lesson goes on without an answer.

There is a widget to click, and a plain way: set ``guess``. Both work with ipywidgets 7.7 (Colab) and 8.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import ipywidgets as widgets

from ..errors import InputError
from .panel import paragraph

_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")  # other commas are decimal ones


class Prediction(widgets.VBox):
    """Ask for a guess: one of some choices, or a number.

    Attributes:
        question: what is asked.
        choices: the accepted answers; empty for a number.
        unit: of the number, for example "%".
    """

    def __init__(self, question: str, choices: Sequence[str] = (), *, unit: str = "") -> None:
        self.question, self.choices, self.unit = question, tuple(choices), unit
        if self.choices:
            self.control = widgets.RadioButtons(options=self.choices, index=None, layout={"width": "max-content"})
        else:
            self.control = widgets.Text(placeholder="a number", description=unit, layout={"width": "14em"})
        super().__init__([widgets.HTML(paragraph(html.escape(question))), self.control])

    def __repr__(self) -> str:
        return f"{self.question} (a widget, which shows where this notebook runs)"

    @property
    def guess(self) -> str | float | None:
        """Return the reader's answer; None if there is none.

        Raises:
            InputError: a number is asked for, and the answer is none.
        """
        value = self.control.value
        if self.choices or not (value or "").strip():
            return value or None
        return _number(value)

    @guess.setter
    def guess(self, value: str | float | None) -> None:
        """Answer without the widget."""
        if self.choices and value is not None and str(value) not in self.choices:
            raise InputError(f"The guess is {value!r}, but must be one of {', '.join(self.choices)}.")
        if self.choices:
            self.control.value = None if value is None else str(value)
        else:
            self.control.value = "" if value is None else f"{_number(value):.15g}"

    def compare(self, result: str | float) -> str:
        """Return guess and result side by side, and how far a number is off."""
        try:
            guess = self.guess
        except InputError as error:
            return f"{error} The result is {self._shown(result)}."
        if guess is None:
            return f"You made no guess. The result is {self._shown(result)}."
        both = f"Your guess: {self._shown(guess)}. The result: {self._shown(result)}."
        if self.choices:
            return f"{both} {'You were right.' if guess == str(result) else 'Why?'}"
        return f"{both} You are off by {self._shown(abs(guess - result))}."

    def _shown(self, value: str | float) -> str:
        if self.choices:
            return str(value)
        number = str(value) if isinstance(value, int) else f"{value:.3g}"
        return f"{number} {self.unit}".rstrip()


def _number(value: str | float) -> float:
    text = str(value).strip()
    decimal = "" if _THOUSANDS.fullmatch(text) else "."
    try:
        return float(text.replace(",", decimal))
    except ValueError:
        raise InputError(f"The guess is {value!r}, but must be a number.") from None
