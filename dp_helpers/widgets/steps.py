"""Watch a painting come into being: a slider over its denoising steps, several guidance scales side by side."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
from PIL import Image

from .. import denoising, inpaint
from ..errors import InputError
from .canvas import MaskCanvas
from .panel import WIDE, Panel, pictures_html, seed_control

MOST = 6  # guidance scales at once


class DenoisingPanel(Panel):
    """Paint with `denoising.watch`, once for each guidance scale, and look at the steps with a slider.

    ``result`` is a dictionary: guidance scale to what `denoising.watch` returns, a result and its steps.

    Args:
        painter: from `inpaint.load_painter`. Its progress bar is switched off, because the panel has its own.
        photo: RGB.
        mask: mode "L", 255 = repaint, or a `canvas.MaskCanvas`, whose mask is read at each click.
        guidance_scales: compared side by side, with the same seed.
    """

    def __init__(
        self,
        painter: inpaint.Painter,
        photo: Image.Image,
        mask: Image.Image | MaskCanvas,
        guidance_scales: tuple[float, ...] = (1.0, 3.0, 10.0),
    ) -> None:
        self.painter, self.photo, self.mask = painter, photo, mask
        painter.pipe.set_progress_bar_config(disable=True)
        settings = painter.preset.inpaint
        listed = ", ".join(f"{scale:g}" for scale in guidance_scales)
        controls = {
            "guidance_scales": widgets.Text(listed, description="guidance", **WIDE),
            "num_inference_steps": widgets.IntSlider(
                settings.num_inference_steps, min=2, max=100, description="steps", **WIDE
            ),
            "eta": widgets.FloatSlider(settings.eta, min=0, max=0.99, step=0.01, description="eta", **WIDE),
            "seed": seed_control(),
        }
        super().__init__("Paint and watch", controls)
        self.slider = widgets.IntSlider(1, min=1, max=1, description="step", **WIDE)
        self.slider.layout.display = "none"
        self.slider.observe(lambda _change: self.look(), names="value")
        self.children = [*self.children[:-1], self.slider, self.picture]

    def _work(self, parameters: dict[str, Any]) -> tuple[dict[float, Any], str, str]:
        scales, watched = _scales(parameters.pop("guidance_scales")), {}
        mask = self.mask.mask if isinstance(self.mask, MaskCanvas) else self.mask
        for number, scale in enumerate(scales):
            self._say(f"Painting with guidance {scale:g} ...")

            def progress(step: int, steps: int, before: int = number) -> None:
                self._step(before * steps + step, len(scales) * steps)

            watched[scale] = denoising.watch(
                self.painter, self.photo, mask, guidance_scale=scale, progress=progress, **parameters
            )
        self.result = watched
        steps = len(next(iter(watched.values()))[1])
        self.slider.max, self.slider.value, self.slider.layout.display = steps, steps, ""
        self.look()
        given = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
        code = f"result, steps = denoising.watch(painter, photo, mask, guidance_scale={scales[0]!r}, {given})"
        return watched, "Move the slider to look at each step. The same without the panel:", code

    def look(self) -> None:
        """Show the step that the slider stands at."""
        if not self.result:
            return
        steps = {scale: previews[self.slider.value - 1] for scale, (_, previews) in self.result.items()}
        step = next(iter(steps.values()))
        left = f"the noise of t = {step.timestep} is left" if step.timestep else "no noise is left"
        words = [f"guidance {scale:g}, step {step.number} of {step.steps}: {left}" for scale in steps]
        self.picture.value = pictures_html([each.image for each in steps.values()], words, "210px")


def _scales(text: str) -> list[float]:
    """Read the guidance scales that someone typed, "1, 3, 10", each once."""
    try:
        scales = list(dict.fromkeys(float(part) for part in text.replace(";", ",").split(",") if part.strip()))
    except ValueError as error:
        raise InputError(f"{text!r} is not a list of guidance scales: write for example 1, 3, 10.") from error
    if not 1 <= len(scales) <= MOST:
        raise InputError(f"{len(scales)} guidance scales came: give 1 to {MOST}, for example 1, 3, 10.")
    return scales
