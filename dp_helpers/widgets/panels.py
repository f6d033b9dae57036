"""Panels of sliders and buttons for the settings that the lessons tweak. Each stands next to a plain call.

The work runs in a thread of its own. A kernel receives nothing from the page while the handler of a click runs, so
without the thread a click on "Stop" would arrive too late. The thread moves the progress bar and replaces the picture
after each step, through the callbacks that the plain calls offer. Only one panel works at a time, because panels may
share a pipeline. While a panel works, do not run a cell that uses the same pipeline.

The panels use only what ipywidgets 7.7 (Colab) and 8 have in common. Pictures travel as data URLs, because Colab drops
bytes that are sent while a widget opens. The user's text is escaped before it becomes HTML.
"""

from __future__ import annotations

import base64
import html
import io
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from PIL import Image

from .. import catalog, finetune, inpaint, plots, runs
from ..errors import InputError
from ..presets import Preset
from ..watch import Watch

_AT_WORK = threading.Lock()
_REDRAW = 2.0  # seconds between two pictures of the loss, because drawing one takes a while
_LABEL = {"description_width": "8em"}


class Panel(widgets.VBox):
    """Controls, a start and a stop button, a progress bar, a line of text and a picture. Subclasses do the work.

    Attributes:
        controls: the widgets, by the names of the plain call's arguments.
        result: returned by the last run that finished, or None.
    """

    def __init__(self, verb: str, controls: dict[str, widgets.Widget]) -> None:
        self.controls, self.result = controls, None
        self.start = widgets.Button(description=verb, button_style="primary")
        self.stop = widgets.Button(description="Stop", disabled=True)
        self.bar = widgets.IntProgress(value=0, min=0, max=1, layout=widgets.Layout(width="20em"))
        self.status, self.picture = widgets.HTML(), widgets.HTML()
        self._stopping, self._thread = threading.Event(), None
        self.start.on_click(self._on_start)
        self.stop.on_click(self._on_stop)
        buttons = widgets.HBox([self.start, self.stop, self.bar])
        super().__init__([*controls.values(), buttons, self.status, self.picture])

    def __repr__(self) -> str:
        return f"{type(self).__name__}: widgets, which show where this notebook runs"

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the values of the controls, as keyword arguments of the plain call."""
        values = {name: control.value for name, control in self.controls.items()}
        # A slider gives 10.000000000000002 for 10.
        return {name: round(value, 12) if isinstance(value, float) else value for name, value in values.items()}

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the work that a click started is done. Until then the kernel does not receive a "Stop"."""
        self._thread.join(timeout)

    def _work(self, parameters: dict[str, Any]) -> tuple[Any, str, str]:
        """Do the work in the panel's thread. Return the result, a sentence about it, and code to show ("" for none)."""
        raise NotImplementedError

    def _on_start(self, _button) -> None:
        if not _AT_WORK.acquire(blocking=False):
            self._say("A panel is at work already: wait until it is done, or stop it.")
            return
        self._stopping.clear()
        self.bar.value, self.picture.layout.visibility = 0, "hidden"  # it keeps its place, so the page does not jump
        self.start.disabled, self.stop.disabled = True, False
        self._say("Loading ...")
        # The parameters are read now. Changes made while the work goes on count for the next run.
        self._thread = threading.Thread(target=self._run, args=(self.parameters,), daemon=True)
        self._thread.start()

    def _on_stop(self, _button) -> None:
        self._stopping.set()
        self.stop.disabled = True
        self._say("Stopping after this step ...")

    def _run(self, parameters: dict[str, Any]) -> None:
        try:
            self.result, words, code = self._work(parameters)
            self._say(words, code)
        except _Stopped:
            self._say(f"Stopped after step {self.bar.value} of {self.bar.max}; nothing was kept.")
        except InputError as error:
            self._say(f"That did not work: {error}")
        except Exception as error:  # nobody would see a traceback in a thread
            said = str(error).strip().partition("\n")[0]
            self._say(f"That did not work: {said} ({type(error).__name__})")
        finally:
            self.start.disabled, self.stop.disabled = False, True
            _AT_WORK.release()

    def _step(self, step: int, steps: int) -> None:
        """Move the bar. Ends the work if "Stop" was clicked."""
        self.bar.max, self.bar.value = steps, step
        if self._stopping.is_set():
            raise _Stopped

    def _say(self, words: str, code: str = "") -> None:
        shown = f" <code>{html.escape(code)}</code>" if code else ""
        self.status.value = f"<p>{html.escape(words)}{shown}</p>"

    def _show(self, figure, words: str, place: widgets.HTML | None = None) -> None:
        """Show a figure in ``place``, the panel's picture unless given, with ``words`` as its alternative text."""
        place = self.picture if place is None else place
        buffer = io.BytesIO()
        figure.savefig(buffer, format="jpeg", dpi=72, facecolor="white")
        code = base64.b64encode(buffer.getvalue()).decode("ascii")
        place.value = f'<img alt="{html.escape(words)}" src="data:image/jpeg;base64,{code}">'
        place.layout.visibility = "visible"


class FinetunePanel(Panel):
    """Run `finetune.finetune` and show its loss; ``result`` is a `runs.Run`.

    Args:
        item, object_masks, preset, output_dir: as for `finetune.finetune`.
        watch: a `watch.Watch`. Its paintings are shown below the loss while the model learns.
    """

    def __init__(
        self,
        item: catalog.Item,
        object_masks: Sequence[Image.Image],
        preset: Preset,
        *,
        output_dir: str | Path | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._given, self._output_dir, self._watch = (item, object_masks, preset), output_dir, watch
        settings, most = preset.finetune, max(2000, preset.finetune.steps)
        controls = {
            "steps": widgets.BoundedIntText(settings.steps, min=1, max=most, description="steps", style=_LABEL),
            "learning_rate": widgets.FloatText(settings.learning_rate, description="learning rate", style=_LABEL),
            "seed": _seed(),
        }
        super().__init__("Fine-tune", controls)
        if watch is not None:
            self.paintings = widgets.HTML()
            self.children = (*self.children, self.paintings)
            watch.show = lambda rows: self._show(plots.watched(rows), rows[-1].words, self.paintings)

    def _work(self, parameters: dict[str, Any]) -> tuple[runs.Run, str, str]:
        item, losses, drawn, started = self._given[0], [], [0.0], [0.0]

        def watch(step: int, steps: int, loss: float) -> None:
            losses.append(loss)
            self._step(step, steps)
            if step == 1:
                started[0] = time.monotonic()
                self._say(f"Fine-tuning on {item.name} ...")
            if step == steps or time.monotonic() - drawn[0] > _REDRAW:
                self._show(plots.loss_curve(losses), f"Loss of {step} steps; the last is {loss:.3f}.")
                drawn[0] = time.monotonic()
                left = (drawn[0] - started[0]) / max(1, step - 1) * (steps - step)
                if 1 < step < steps:
                    self._say(f"Fine-tuning on {item.name}, about {left:.0f} s left.")

        self._say(f"Encoding the {len(item.photos)} photos of {item.name} ...")
        options = {"output_dir": self._output_dir, "progress": watch, "watch": self._watch}
        run = finetune.finetune(*self._given, **options, **parameters)
        place = f"saved in {run.folder}" if run.folder else "not saved"
        return (
            run,
            f"{len(losses)} steps in {run.seconds['train']:.0f} s, {place}. The prompt is now {run.prompt!r}.",
            "",
        )


class InpaintPanel(Panel):
    """Call a painter with the settings of the controls; ``result`` is an `inpaint.Result`.

    Args:
        painter: from `inpaint.load_painter`. Its progress bar is switched off, because the panel has its own. Its
            prompt and settings are the first values of the controls.
        photo: RGB. Like ``mask`` it can be replaced at any time.
        mask: mode "L", 255 = repaint, or a `canvas.MaskCanvas`, whose mask is read at each click.
    """

    def __init__(self, painter: inpaint.Painter, photo: Image.Image, mask: Any) -> None:
        self.painter, self.photo, self.mask = painter, photo, mask
        painter.pipe.set_progress_bar_config(disable=True)
        settings = painter.preset.inpaint
        wide = {"layout": widgets.Layout(width="32em"), "style": _LABEL}
        share = {"step": 0.01, **wide}
        controls = {
            "prompt": widgets.Text(painter.prompt or "", description="prompt", **wide),
            "guidance_scale": widgets.FloatSlider(
                settings.guidance_scale, min=1, max=20, step=0.5, description="guidance scale", **wide
            ),
            "num_inference_steps": widgets.IntSlider(
                settings.num_inference_steps, min=1, max=100, description="steps", **wide
            ),
            "eta": widgets.FloatSlider(settings.eta, min=0, max=0.99, description="eta", **share),
            "strength": widgets.FloatSlider(settings.strength, min=0.05, max=1, description="strength", **share),
            "seed": _seed(),
            "feather": widgets.FloatSlider(settings.feather, min=0, max=0.3, description="feather", **share),
        }
        super().__init__("Paint", controls)

    def _work(self, parameters: dict[str, Any]) -> tuple[inpaint.Result, str, str]:
        mask, name = (self.mask.mask, "canvas.mask") if hasattr(self.mask, "mask") else (self.mask, "mask")
        self._say("Painting ...")
        result = self.painter(self.photo, mask, progress=self._step, **parameters)
        self._show(plots.before_after(self.photo, mask, result.image), f"Photo, mask and result of {parameters}.")
        given = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
        return result, "The same without the panel:", f"painter(photo, {name}, {given})"


def _seed() -> widgets.BoundedIntText:
    return widgets.BoundedIntText(0, min=0, max=2**31 - 1, description="seed", style=_LABEL)


class _Stopped(Exception):
    """The button "Stop" was clicked."""
