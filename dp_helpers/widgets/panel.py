"""What all panels share: controls, a start and a stop button, a progress bar with the time left, text, a picture.

The work runs in a thread of its own. A kernel receives nothing from the page while the handler of a click runs, so
without the thread a click on "Stop" would arrive too late. The thread moves the progress bar and replaces the picture
after each step, through the callbacks that the plain calls offer. Only one panel works at a time, because panels may
share a pipeline. While a panel works, do not run a cell that uses the same pipeline.

The panels use only what ipywidgets 7.7 (Colab) and 8 have in common. Pictures travel as data URLs, because Colab drops
bytes that are sent while a widget opens. The user's text is escaped before it becomes HTML. Pictures have no white
paper of their own and letters take the page's colour, so that they fit a light and a dark theme.
"""

from __future__ import annotations

import base64
import html
import io
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets
from matplotlib.figure import Figure
from PIL import Image

from ..colors import to_srgb
from ..errors import InputError
from .upload import told

_AT_WORK = threading.Lock()
LABEL = {"description_width": "8em"}
_BUTTON = {"width": "auto", "min_width": "7em"}  # two of them fit next to one another on a phone
WIDE = {"layout": {"width": "32em", "max_width": "98%"}, "style": LABEL}  # each widget makes a layout of its own of it


class SliderNames(anywidget.AnyWidget):
    """Names the sliders around it for screen readers. ipywidgets only writes a label next to them. It shows nothing."""

    _esm = Path(__file__).with_name("files").joinpath("names.js").read_text(encoding="utf-8")


class Panel(widgets.VBox):
    """Controls, a start and a stop button, a progress bar, a line of text and a picture. Subclasses do the work.

    The picture of the last run that finished stays until the next one is there, also after "Stop" or an error.

    Attributes:
        controls: the widgets, by the names of the plain call's arguments.
        result: returned by the last run that finished, or None. Use it in the next cell.
        on_done: called with each result, or None.
    """

    def __init__(self, verb: str, controls: dict[str, widgets.Widget]) -> None:
        self.controls, self.result = controls, None
        self.on_done: Callable[[Any], None] | None = None
        self.start = widgets.Button(description=verb, button_style="primary", layout=_BUTTON)
        self.stop = widgets.Button(description="Stop", disabled=True, layout=_BUTTON)
        self.bar = widgets.IntProgress(value=0, min=0, max=1, layout=widgets.Layout(width="16em", max_width="98%"))
        self.count, self.status, self.picture = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self._stopping, self._thread, self._begun = threading.Event(), None, None
        self.start.on_click(self._on_start)
        self.stop.on_click(self._on_stop)
        buttons = row([self.start, self.stop, self.bar, self.count])
        super().__init__([SliderNames(), *controls.values(), buttons, self.status, self.picture])

    def __repr__(self) -> str:
        return f"{type(self).__name__}: widgets, which show where this notebook runs"

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the values of the controls, as keyword arguments of the plain call.

        Raises:
            InputError: a field for a number holds something else.
        """
        values = {
            name: control.number if isinstance(control, NumberField) else control.value
            for name, control in self.controls.items()
        }
        # A slider gives 10.000000000000002 for 10.
        return {name: round(value, 12) if isinstance(value, float) else value for name, value in values.items()}

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the work that a click started is done. Until then the kernel does not receive a "Stop"."""
        self._thread.join(timeout)

    def _work(self, parameters: dict[str, Any]) -> tuple[Any, str, str]:
        """Do the work in the panel's thread. Return the result, a sentence about it, and code to show ("" for none)."""
        raise NotImplementedError

    def _on_start(self, _button) -> None:
        try:
            # They are read now. Changes made while the work goes on count for the next run.
            parameters = self.parameters
        except InputError as error:
            self._say(told(error))
            return
        if not _AT_WORK.acquire(blocking=False):
            self._say("A panel is at work already: wait until it is done, or stop it.")
            return
        self._stopping.clear()
        self.bar.value, self.count.value, self._begun = 0, "", None
        self.start.disabled, self.stop.disabled = True, False
        self._say("Loading ...")
        self._thread = threading.Thread(target=self._run, args=(parameters,), daemon=True)
        self._thread.start()

    def _on_stop(self, _button) -> None:
        if self.stop.disabled:  # the work ended before the click arrived
            return
        self._stopping.set()
        self.stop.disabled = True
        self._say("Stopping after this step ...")

    def _run(self, parameters: dict[str, Any]) -> None:
        try:
            result, words, code = self._work(parameters)
            self.result = result
            if self.on_done:
                self.on_done(result)
            self._say(words, code)
        except _Stopped:
            self._say(f"Stopped after step {self.bar.value} of {self.bar.max}; {self._kept()}.")
        except Exception as error:  # nobody would see a traceback in a thread
            self._say(told(error))
        finally:
            self.start.disabled, self.stop.disabled = False, True
            _AT_WORK.release()

    def _kept(self) -> str:
        """Say what a stopped work has left."""
        return "nothing was kept"

    def _step(self, step: int, steps: int) -> None:
        """Move the bar and tell the time left. Ends the work if "Stop" was clicked."""
        now = time.monotonic()
        self._begun = self._begun or (now, step)
        self.bar.max, self.bar.value = steps, step
        began, first = self._begun
        left = f", {duration((now - began) / (step - first) * (steps - step))} left" if first < step < steps else ""
        self.count.value = f"step {step} of {steps}{left}"
        if self._stopping.is_set():
            raise _Stopped

    def _say(self, words: str, code: str = "") -> None:
        said = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(words))
        shown = f" <code>{html.escape(code)}</code>" if code else ""
        self.status.value = paragraph(said + shown, 'role="status"')


class _Stopped(Exception):
    """The button "Stop" was clicked."""


def duration(seconds: float) -> str:
    """Return a time span in words, rounded up: "8 s", "3 min 20 s"."""
    whole = max(1, int(seconds + 0.999))
    whole = whole if whole < 30 else -(-whole // 10) * 10
    minutes, rest = divmod(whole, 60)
    return " ".join(f"{number} {unit}" for number, unit in ((minutes, "min"), (rest, "s")) if number)


def paragraph(code: str, attributes: str = "") -> str:
    """Return a paragraph of HTML. Without a line height, its lines stand as far apart as buttons."""
    return f'<p {attributes} style="margin: 6px 0; line-height: 1.45;">{code}</p>'


def row(children: Sequence[widgets.Widget]) -> widgets.Box:
    """Put widgets next to one another, and below one another where the page is narrow."""
    layout = widgets.Layout(display="flex", flex_flow="row wrap", align_items="center", max_width="100%")
    return widgets.Box(list(children), layout=layout)


class NumberField(widgets.Text):
    """A field for a number. It keeps what is typed; ipywidgets' own fields go back to the old number without a word."""

    value = traitlets.CUnicode(help="what is typed").tag(sync=True)

    def __init__(self, value: float, description: str) -> None:
        super().__init__(value, description=description, style=LABEL, layout={"max_width": "98%"})
        self._kind = type(value)

    @property
    def number(self) -> float:
        """Return the number, of the type of the first one.

        Raises:
            InputError: it is no number, or not a whole one where the first one was.
        """
        try:
            return self._kind(self.value)
        except ValueError as error:
            wanted = "a whole number, for example 3" if self._kind is int else "a number, for example 0.002"
            raise InputError(f"{self.description} is {self.value!r}, but must be {wanted}.") from error


def seed_control() -> NumberField:
    """Return the control of a seed."""
    return NumberField(0, "seed")


def picture_html(image: Image.Image, words: str, width: str = "100%") -> str:
    """Return a picture as HTML, with ``words`` as its alternative text and below it."""
    buffer = io.BytesIO()
    to_srgb(image).save(buffer, "JPEG", quality=92, subsampling=0)
    code, text = base64.b64encode(buffer.getvalue()).decode("ascii"), html.escape(words)
    style = "display: block; width: 100%; border-radius: 6px;"
    return (
        f'<figure style="margin: 0 12px 8px 0; width: {width}; max-width: 100%;">'
        f'<img style="{style}" alt="{text}" src="data:image/jpeg;base64,{code}">'
        f'<figcaption style="line-height: 1.5;">{text}</figcaption></figure>'
    )


def pictures_html(images: Sequence[Image.Image], words: Sequence[str], width: str = "200px") -> str:
    """Return pictures next to one another, as many as the page is wide."""
    figures = [picture_html(image, text, width) for image, text in zip(images, words, strict=True)]
    return f'<div style="display: flex; flex-wrap: wrap;">{"".join(figures)}</div>'


def figure_html(figure: Figure) -> str:
    """Return a chart as inline SVG. Its black becomes the text colour of the page, its paper is left out.

    It is drawn smaller than in a lesson, so that its letters can be read on a phone.
    """
    figure.set_size_inches(5.2, 3.4)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True)
    svg = buffer.getvalue()[buffer.getvalue().index("<svg") :]
    svg = re.sub(r"#(000000|595959)", "currentColor", svg)  # ink, and the grey of single steps, which is thin
    size = 'role="img" style="fill: currentColor; width: 100%; max-width: 480px; height: auto;"'
    return svg.replace("<svg", f'<svg aria-label="{html.escape(figure.get_label())}" {size}', 1)
