"""Panels of widgets for what people tweak in the lessons. Each stands beside a plain call that does the same.

The work runs in a thread of its own: while a click's handler runs, a kernel hears nothing from the page, so a "Stop"
would come too late. The thread moves the progress bar and swaps the picture after each step, by the very callbacks
that the plain calls offer. One panel works at a time, since they may share a pipeline; do not run a cell that uses the
same pipeline meanwhile.

Only what ipywidgets 7.7 (Colab) and 8 have in common is used. Pictures travel as data URLs, not as bytes: Colab drops
those that are sent while a widget opens. Words of people are escaped before they become HTML.
"""

from __future__ import annotations

import base64
import html
import io
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from PIL import Image

from . import catalog, finetune, inpaint, plots
from .errors import InputError
from .presets import Preset

_AT_WORK = threading.Lock()
_REDRAW = 2.0  # seconds between two pictures of the loss: drawing one takes a good part of a tiny model's step
_LABEL = {"description_width": "8em"}


class Panel(widgets.VBox):
    """Controls, a start and a stop button, progress, a line of words and a picture. A subclass says what is done.

    Attributes:
        controls: the widgets by the names of the plain call's arguments.
        result: what the last whole run gave, or None.
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
        """What the controls say, as the keyword arguments of the plain call. Sliders say 10.000000000000002 for 10."""
        values = {name: control.value for name, control in self.controls.items()}
        return {name: round(value, 12) if isinstance(value, float) else value for name, value in values.items()}

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the work that a click began is done. Meanwhile the kernel hears no "Stop"."""
        self._thread.join(timeout)

    def _work(self, parameters: dict[str, Any]) -> tuple[Any, str, str]:
        """Do the work with ``parameters``, in the panel's thread; return the result, what to say of it, and code if any."""
        raise NotImplementedError

    def _on_start(self, _button) -> None:
        if not _AT_WORK.acquire(blocking=False):
            self._say("A panel is at work already: wait until it is done, or stop it.")
            return
        self._stopping.clear()
        self.bar.value, self.picture.layout.visibility = 0, "hidden"  # it keeps its place: the page does not jump
        self.start.disabled, self.stop.disabled = True, False
        self._say("Loading ...")
        # The parameters are read here: what is changed while the work goes on counts for the next run.
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
        except Exception as error:  # a traceback in a thread would be seen by nobody
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

    def _show(self, figure, words: str) -> None:
        """Show a figure, with ``words`` for those who cannot see it."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="jpeg", dpi=72, facecolor="white")
        code = base64.b64encode(buffer.getvalue()).decode("ascii")
        self.picture.value = f'<img alt="{html.escape(words)}" src="data:image/jpeg;base64,{code}">'
        self.picture.layout.visibility = "visible"


class FinetunePanel(Panel):
    """`finetune.finetune` with its loss to watch; ``result`` is a `finetune.FineTuned`.

    Args:
        item, object_masks, preset, output_dir: as for `finetune.finetune`.
    """

    def __init__(
        self, item: catalog.Item, object_masks: Sequence[Image.Image], preset: Preset, *, output_dir: str | Path | None = None
    ) -> None:
        self._given, self._output_dir = (item, object_masks, preset), output_dir
        numbers, most = preset.finetune, max(2000, preset.finetune.steps)
        controls = {
            "steps": widgets.BoundedIntText(numbers.steps, min=1, max=most, description="steps", style=_LABEL),
            "learning_rate": widgets.FloatText(numbers.learning_rate, description="learning rate", style=_LABEL),
            "seed": _seed(),
        }
        super().__init__("Fine-tune", controls)

    def _work(self, parameters: dict[str, Any]) -> tuple[finetune.FineTuned, str, str]:
        item, losses, drawn = self._given[0], [], [0.0]

        def watch(step: int, steps: int, loss: float) -> None:
            losses.append(loss)
            self._step(step, steps)
            if step == 1:
                self._say(f"Fine-tuning on {item.name} ...")
            if step == steps or time.monotonic() - drawn[0] > _REDRAW:
                self._show(plots.loss_curve(losses), f"Loss of {step} steps; the last is {loss:.3f}.")
                drawn[0] = time.monotonic()

        self._say(f"Encoding the {len(item.photos)} photos of {item.name} ...")
        tuned = finetune.finetune(*self._given, output_dir=self._output_dir, progress=watch, **parameters)
        place = f"saved in {tuned.folder}" if tuned.folder else "not saved"
        return tuned, f"{len(losses)} steps in {tuned.seconds['train']:.0f} s, {place}. The prompt is now {tuned.prompt!r}.", ""


class InpaintPanel(Panel):
    """`inpaint.inpaint` with its numbers to turn; ``result`` is an `inpaint.Result`.

    Args:
        pipe: from `inpaint.load_pipeline`. Its own progress bar is switched off: the panel has one.
        photo: RGB. Like ``mask`` it can be set anew at any time.
        mask: mode "L", 255 = repaint, or a `canvas.MaskCanvas`, whose mask is read at each click.
        prompt: to begin with.
        preset: gives the numbers to begin with.
    """

    def __init__(self, pipe, photo: Image.Image, mask: Any, prompt: str, preset: Preset) -> None:
        self.pipe, self.photo, self.mask, self.preset = pipe, photo, mask, preset
        pipe.set_progress_bar_config(disable=True)
        numbers = preset.inpaint
        wide = {"layout": widgets.Layout(width="32em"), "style": _LABEL}
        share = {"step": 0.01, **wide}
        controls = {
            "prompt": widgets.Text(prompt, description="prompt", **wide),
            "guidance_scale": widgets.FloatSlider(
                numbers.guidance_scale, min=1, max=20, step=0.5, description="guidance scale", **wide
            ),
            "num_inference_steps": widgets.IntSlider(numbers.num_inference_steps, min=1, max=100, description="steps", **wide),
            "eta": widgets.FloatSlider(numbers.eta, min=0, max=0.99, description="eta", **share),
            "strength": widgets.FloatSlider(numbers.strength, min=0.05, max=1, description="strength", **share),
            "seed": _seed(),
            "feather": widgets.FloatSlider(numbers.feather, min=0, max=0.3, description="feather", **share),
        }
        super().__init__("Paint", controls)

    def _work(self, parameters: dict[str, Any]) -> tuple[inpaint.Result, str, str]:
        mask, name = (self.mask.mask, "canvas.mask") if hasattr(self.mask, "mask") else (self.mask, "mask")
        self._say("Painting ...")
        result = inpaint.inpaint(self.pipe, self.photo, mask, preset=self.preset, progress=self._step, **parameters)
        self._show(plots.before_after(self.photo, mask, result.image), f"Photo, mask and result of {parameters}.")
        given = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
        return result, "The same without the panel:", f"inpaint.inpaint(pipe, photo, {name}, preset=preset, {given})"


class UploadPanel(widgets.VBox):
    """A button to upload photos from the reader's own machine; ``images`` holds them, as RGB and upright."""

    def __init__(self, on_images: Callable[[list[Image.Image]], None] | None = None) -> None:
        self.images: list[Image.Image] = []
        self.button = widgets.FileUpload(accept="image/*", multiple=False, description="Choose a photo", layout={"width": "14em"})
        self.status, self._on_images = widgets.HTML(), on_images
        self.button.observe(self._on_upload, names="value")
        super().__init__([self.button, self.status])

    __repr__, _say = Panel.__repr__, Panel._say

    def _on_upload(self, change) -> None:
        try:
            images = uploaded_images(change["new"])
            self.images = images
            self._say("; ".join(f"{image.width} x {image.height} pixels" for image in images) + " arrived.")
            if self._on_images and images:
                self._on_images(images)
        except InputError as error:
            self._say(f"That did not work: {error}")


def uploaded_images(value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Image.Image]:
    """The pictures in the ``value`` of a FileUpload widget, as `catalog.load_photo` gives them.

    Args:
        value: of ipywidgets 7, a dict of name: {"content": bytes, ...}; or of ipywidgets 8, a tuple of
            {"name": ..., "content": memoryview, ...}.

    Raises:
        InputError: names the file that is no picture.
    """
    files = value.items() if isinstance(value, Mapping) else [(file["name"], file) for file in value]
    return [_read(name, bytes(file["content"])) for name, file in files]


def _read(name: str, content: bytes) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload"
        path.write_bytes(content)
        try:
            return catalog.load_photo(path)
        except InputError as error:
            raise InputError(f"{name} cannot be read as a picture: save it anew as PNG or JPEG.") from error


def _seed() -> widgets.BoundedIntText:
    return widgets.BoundedIntText(0, min=0, max=2**31 - 1, description="seed", style=_LABEL)


class _Stopped(Exception):
    """The button "Stop" was clicked."""
