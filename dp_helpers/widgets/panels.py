"""Panels of sliders and buttons for fine-tuning and painting. Each stands next to a plain call."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from PIL import Image

from .. import baselines, catalog, denoising, finetune, inpaint, plots, runs
from ..presets import Preset
from ..training.checkpoints import FOLDER as CHECKPOINTS
from ..watch import Row, Watch
from .canvas import MaskCanvas
from .download import Download, zipped
from .panel import WIDE, NumberField, Panel, figure_html, picture_html, pictures_html, row, seed_control

_REDRAW = 2.0  # seconds between two pictures of the loss, because drawing one takes a while
_PREVIEWS = 6  # how often the canvas shows the painting while it is painted
_KEPT = 12  # paintings in the history
_ROWS = 3  # of the watch's paintings, the latest


class FinetunePanel(Panel):
    """Run `finetune.finetune` and show its loss; ``result`` is a `runs.Run`.

    Args:
        item, preset, output_dir: as for `finetune.finetune`.
        object_masks: as for `finetune.finetune`. A `canvas.MaskCanvas` among them is read at each click.
        watch: a `watch.Watch`. Its paintings are shown below the loss while the model learns.
    """

    def __init__(
        self,
        item: catalog.Item,
        object_masks: Sequence[Image.Image | MaskCanvas],
        preset: Preset,
        *,
        output_dir: str | Path | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.item, self.object_masks, self.preset = item, object_masks, preset
        self.output_dir, self.watch = output_dir, watch
        settings = preset.finetune
        controls = {
            "steps": NumberField(settings.steps, "steps"),
            "learning_rate": NumberField(settings.learning_rate, "learning rate"),
            "seed": seed_control(),
        }
        super().__init__("Fine-tune", controls)
        self.download, self.paintings = Download("Download the run"), widgets.HTML()
        self.children = [*self.children, self.paintings, self.download]
        self._digest = ""  # of what the last click began
        if watch is not None:
            watch.show = self._show_rows

    def _goes_on(self, object_masks: Sequence[Image.Image], parameters: dict[str, Any]) -> bool:
        """Return whether a run with a folder goes on; delete its checkpoints if the last click began another one."""
        if self.output_dir is None:
            return False
        pixels = b"".join(image.tobytes() for image in (*self.item.photos, *object_masks))
        before, self._digest = self._digest, hashlib.sha256(pixels + repr(parameters).encode()).hexdigest()
        if before != self._digest:
            shutil.rmtree(runs.check_run_folder(self.output_dir, self.item) / CHECKPOINTS, ignore_errors=True)
        return True

    def _kept(self) -> str:
        there = self.output_dir is not None and any((Path(self.output_dir) / CHECKPOINTS).glob("*"))
        return "a click with the same settings and masks goes on from its last state" if there else super()._kept()

    def _show_rows(self, rows: list[Row]) -> None:
        """Show the latest paintings of the watch, each row in a line."""
        lines = [pictures_html(row.images, [row.words] * len(row.images), "128px") for row in rows[-_ROWS:]]
        self.paintings.value = "".join(lines)

    def _work(self, parameters: dict[str, Any]) -> tuple[runs.Run, str, str]:
        item, losses, drawn = self.item, [], [0.0]

        def report(step: int, steps: int, loss: float) -> None:
            losses.append(loss)
            self._step(step, steps)
            if len(losses) == 1:
                self._say(f"Fine-tuning on {item.name} ...")
            if step == steps or time.monotonic() - drawn[0] > _REDRAW:
                self.picture.value = figure_html(plots.loss_curve(losses))
                drawn[0] = time.monotonic()

        self._say(f"Encoding the {len(item.photos)} photos of {item.name} ...")
        object_masks = [_mask_of(mask) for mask in self.object_masks]
        options = {"output_dir": self.output_dir, "resume": self._goes_on(object_masks, parameters)}
        options |= {"progress": report, "watch": self.watch}
        run = finetune.finetune(item, object_masks, self.preset, **options, **parameters)
        if run.folder:
            self.download.offer(f"{run.folder.resolve().name}.zip", lambda: zipped(run.folder))
        place = f"saved in {run.folder}" if run.folder else "not saved"
        return (
            run,
            f"{len(losses)} steps in {run.seconds['train']:.0f} s, {place}. The prompt is now {run.prompt!r}. "
            "In the next cell the run is the panel's `result`.",
            "",
        )


class InpaintPanel(Panel):
    """Call a painter with the settings of the controls; ``result`` is an `inpaint.Result`.

    The last paintings stay as small pictures. A click on the button below one makes it the ``result`` again.

    Args:
        painter: from `inpaint.load_painter`. Its progress bar is switched off, because the panel has its own. Its
            prompt and settings are the first values of the controls.
        photo: RGB; see `replace`.
        mask: mode "L", 255 = repaint, or a `canvas.MaskCanvas`, whose mask is read at each click. The canvas is shown
            next to the result. It shows the painting while it is painted, and the result with a slider for before and
            after.
        paste: from `baselines.paste_in`. With it the painting can also start over one of the product's photos.
    """

    def __init__(
        self,
        painter: inpaint.Painter,
        photo: Image.Image,
        mask: Image.Image | MaskCanvas,
        *,
        paste: baselines.PastePainter | None = None,
    ) -> None:
        self.painter, self.photo, self.mask, self.paste = painter, photo, mask, paste
        self.history: list[inpaint.Result] = []
        self._photos: dict[int, Image.Image] = {}  # of the paintings in the history, by their id
        painter.pipe.set_progress_bar_config(disable=True)
        settings = painter.preset.inpaint
        share = {"step": 0.01, **WIDE}
        controls = {
            "prompt": widgets.Text(painter.prompt or "", description="prompt", **WIDE),
            "guidance_scale": widgets.FloatSlider(
                settings.guidance_scale, min=1, max=20, step=0.5, description="guidance scale", **WIDE
            ),
            "autoguidance_scale": widgets.FloatSlider(
                settings.autoguidance_scale, min=1, max=10, step=0.5, description="autoguidance", **WIDE
            ),
            "num_inference_steps": widgets.IntSlider(
                settings.num_inference_steps, min=1, max=100, description="steps", **WIDE
            ),
            "eta": widgets.FloatSlider(settings.eta, min=0, max=0.99, description="eta", **share),
            "strength": widgets.FloatSlider(settings.strength, min=0.05, max=1, description="strength", **share),
            "seed": seed_control(),
            "feather": widgets.FloatSlider(settings.feather, min=0, max=0.3, description="feather", **share),
        }
        if paste:
            photos = [(f"over photo {index + 1}", index) for index in range(paste.variants)]
            choices = [("from noise", None), *photos]
            controls["start"] = widgets.Dropdown(options=choices, value=None, description="start", **WIDE)
            controls["start"].observe(self._on_start_chosen, names="value")
        super().__init__("Paint", controls)
        self.download, self.strip = Download("Download the picture"), row([])
        self.place = row([])
        self.place.layout.align_items = "flex-start"
        self.picture.layout = widgets.Layout(flex="1 1 340px", max_width="682px")
        self.children = [*self.children[:-1], self.place, self.download, self.strip]
        self._arrange()

    def replace(self, photo: Image.Image, mask: Image.Image | MaskCanvas) -> None:
        """Go on with another photo and its mask. The history stays."""
        self.photo, self.mask = photo, mask
        self._arrange()

    def _on_start_chosen(self, change) -> None:
        """Set a strength that fits: over a photo, a strength of 1 would leave nothing of it. A lower one stays."""
        strength = self.controls["strength"]
        if change["new"] is None:
            strength.value = self.painter.preset.inpaint.strength
        elif strength.value == 1:
            strength.value = baselines.STRENGTH_OVER_PASTE

    def _arrange(self) -> None:
        """Put the canvas, if there is one, and the result next to one another."""
        canvas = self.mask if isinstance(self.mask, MaskCanvas) else None
        if canvas:
            canvas.layout = widgets.Layout(flex="1 1 340px", max_width="682px", margin="0 12px 8px 0")
        self.place.children = [canvas, self.picture] if canvas else [self.picture]

    def _work(self, parameters: dict[str, Any]) -> tuple[inpaint.Result, str, str]:
        self._say("Painting ...")
        photo, mask, steps = self.photo, self.mask, parameters["num_inference_steps"]  # another photo may come
        name = "canvas.mask" if isinstance(mask, MaskCanvas) else "mask"
        given = {key: repr(value) for key, value in parameters.items()}
        options = {"progress": self._step, **parameters}
        if parameters.get("start") is not None:
            options["start"] = self.paste(photo, _mask_of(mask), variant=parameters["start"]).image
            given["start"] = f"paste(photo, {name}, variant={parameters['start']}).image"
        if isinstance(mask, MaskCanvas):
            result = self._paint_on(mask, photo, every=-(-steps // _PREVIEWS), **options)
        else:
            result = self.painter(photo, mask, **options)
        self.history = [*self.history, result][-_KEPT:]
        photos = self._photos | {id(result): photo}
        self._photos = {id(each): photos[id(each)] for each in self.history if id(each) in photos}
        self.choose(result)
        words = "In the next cell this is the panel's `result`. The same without the panel:"
        listed = ", ".join(f"{key}={value}" for key, value in given.items())
        return result, words, f"painter(photo, {name}, {listed})"

    def _paint_on(self, canvas: MaskCanvas, photo: Image.Image, **options: Any) -> inpaint.Result:
        """Paint under the canvas's mask, and show on the canvas how the painting comes into being."""

        def show(step: denoising.Step) -> None:
            canvas.result = step.paste()

        try:
            return denoising.watch(self.painter, photo, canvas.mask, show=show, **options)[0]
        except BaseException:
            fits = self.result and self._photos.get(id(self.result)) is photo
            canvas.result = self.result.image if fits else None  # the last good one
            raise

    def choose(self, result: inpaint.Result) -> None:
        """Make one of the paintings the ``result``, and show it."""
        self.result, seed = result, result.parameters["seed"]
        if isinstance(self.mask, MaskCanvas) and self._photos.get(id(result)) is self.photo:
            self.mask.result = result.image
        self.picture.value = picture_html(result.image, f"Result with seed {seed}: {result.parameters['prompt']}")
        self.download.offer(f"dreampaint-seed-{seed}.png", lambda: _png(result))
        self.strip.children = [self._thumbnail(each) for each in self.history] if len(self.history) > 1 else []

    def _thumbnail(self, result: inpaint.Result) -> widgets.Widget:
        image, seed = result.image.copy(), result.parameters["seed"]
        image.thumbnail((192, 192), Image.LANCZOS)
        chosen = "primary" if result is self.result else ""
        button = widgets.Button(
            description=f"seed {seed}", button_style=chosen, layout=widgets.Layout(width="96px", margin="0 12px 8px 0")
        )
        button.on_click(lambda _button: self.choose(result))
        words = f"guidance {result.parameters['guidance_scale']:g}, {result.parameters['num_inference_steps']} steps"
        return widgets.VBox([widgets.HTML(picture_html(image, words, "96px")), button])


def _mask_of(mask: Image.Image | MaskCanvas) -> Image.Image:
    return mask.mask if isinstance(mask, MaskCanvas) else mask


def _png(result: inpaint.Result) -> bytes:
    """Return a result as the PNG that `inpaint.save_result` writes, with its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        return inpaint.save_result(result, Path(folder) / "result.png").read_bytes()
