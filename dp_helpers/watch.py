"""See a run learn: the same photo painted again and again while the model trains, with its CLIP score.

Place, seeds and so all noise are the same each time, so only the weights differ from one row of paintings to the next.
Training is not touched: a run that is watched ends bit for bit as one that is not.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image, PngImagePlugin

from . import guidance, models
from .catalog import Item
from .device import pick_device
from .errors import note
from .evaluation.metrics import clip_score
from .files import whole_file
from .inpaint import Painter
from .presets import Preset

SIDE = 256  # pixels of a kept painting, at most


@dataclass(frozen=True)
class Row:
    """The paintings of one moment."""

    step: int  # steps done
    images: list[Image.Image]  # the painted squares, one for each seed
    clip_score: float  # mean over the seeds

    @property
    def words(self) -> str:
        """Return what the row shows, in a sentence."""
        return f"{len(self.images)} paintings after {self.step} steps; their mean CLIP score is {self.clip_score:.3f}."


class Watch:
    """Paint an item into a photo at some steps of its fine-tuning: give it to `finetune.finetune` as ``watch``.

    Args:
        item: the product; its photos are what the CLIP score compares with.
        preset: models and settings of the paintings; ``validation_steps`` of the run says how often.
        photo: RGB, the photo to paint into.
        mask: mode "L", the photo's size, 255 = repaint.
        seeds: one painting for each.
        show: called with all rows so far after each new row, for example to draw them in a notebook.

    Attributes:
        rows: the paintings so far.
        folder: each row is saved here as PNG; None saves none. `finetune.finetune` sets it.
    """

    def __init__(
        self,
        item: Item,
        preset: Preset,
        photo: Image.Image,
        mask: Image.Image,
        *,
        seeds: Sequence[int] = (0, 1, 2),
        show: Callable[[list[Row]], None] | None = None,
    ) -> None:
        self.item, self.preset, self.photo, self.mask = item, preset, photo, mask
        self.seeds, self.show = list(seeds), show
        self.rows: list[Row] = []
        self.folder: Path | None = None
        self._base = guidance.Base(preset, pick_device())
        self._parts: dict[str, Any] = {}  # of the pipeline, but for the two modules that are trained

    def __call__(self, step: int, unet: torch.nn.Module, text_encoder: torch.nn.Module) -> dict[str, float]:
        """Paint one row with the weights of this step. Return its score, under the name that a tracker shows."""
        self._remember(step)
        painter = self._painter(unet, text_encoder)
        results = [painter(self.photo, self.mask, seed=seed) for seed in self.seeds]
        scores = [clip_score(result.image, self.item.photos, self.mask, self.preset) for result in results]
        row = Row(step, [_small(result.painted) for result in results], round(sum(scores) / len(scores), 4))
        self.rows.append(row)
        if self.folder is not None:
            _save(row, self.seeds, self.folder / f"step-{step:06d}.png")
        if self.show:
            self.show(self.rows)
        return {"clip_score": row.clip_score}

    @property
    def scores(self) -> list[dict[str, float]]:
        """Return step and CLIP score of each row, as run.json holds them."""
        return [{"step": row.step, "clip_score": row.clip_score} for row in self.rows]

    def _remember(self, step: int) -> None:
        """Forget the rows of another run, and read those that this run painted before it was interrupted."""
        if step == 0 or self.folder is None:
            self.rows = [row for row in self.rows if row.step < step]
            if step == 0 and self.folder is not None:
                shutil.rmtree(self.folder, ignore_errors=True)
        elif not self.rows or self.rows[-1].step >= step:
            saved = [_load(path) for path in sorted(self.folder.glob("step-*.png"))]
            self.rows = [row for row, _ in saved if row.step < step]
            if saved and saved[0][1] != self.seeds:
                self.seeds = saved[0][1]
                listed = ", ".join(map(str, self.seeds))
                note(f"The saved paintings have the seeds {listed}: the run goes on with these, so that rows compare.")

    def _painter(self, unet: torch.nn.Module, text_encoder: torch.nn.Module) -> Painter:
        trained = {"unet": unet, "text_encoder": text_encoder}
        if self._parts:
            pipe = StableDiffusionInpaintPipeline(**self._parts, **trained, requires_safety_checker=False)
        else:
            unchecked = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
            pipe = models.load(self.preset, "inpainting", StableDiffusionInpaintPipeline, **trained, **unchecked)
            pipe.vae.to(pick_device())
            self._parts = {name: part for name, part in pipe.components.items() if name not in trained}
        pipe.set_progress_bar_config(disable=True)
        return Painter(pipe, self.preset, self.item.prompt(self.preset.token), self.item.class_noun, self._base)


def _small(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.thumbnail((SIDE, SIDE), Image.LANCZOS)
    return image


def _save(row: Row, seeds: list[int], path: Path) -> None:
    """Save the paintings next to one another, with step, seeds and score in the text chunk ``dreampaint``."""
    width, height = row.images[0].size
    together = Image.new("RGB", (width * len(row.images), height))
    for number, image in enumerate(row.images):
        together.paste(image, (number * width, 0))
    text = PngImagePlugin.PngInfo()
    record = {"step": row.step, "seeds": seeds, "clip_score": row.clip_score}
    text.add_itxt("dreampaint", json.dumps(record))
    with whole_file(path) as temporary:
        together.save(temporary, pnginfo=text)


def _load(path: Path) -> tuple[Row, list[int]]:
    """Load a saved row, and the seeds of its paintings."""
    with Image.open(path) as image:
        record = json.loads(image.text["dreampaint"])
        count, width = len(record["seeds"]), image.width // len(record["seeds"])
        images = [image.crop((number * width, 0, (number + 1) * width, image.height)) for number in range(count)]
    return Row(record["step"], images, record["clip_score"]), record["seeds"]
