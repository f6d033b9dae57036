"""Painters that no method may lose to, to read its numbers against: paste-in, a wrong item, a coloured box.

More floors and ceilings need no painter, because they are pictures of a pair: `pairs.Pair.pictures`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from .. import baselines, inpaint, presets, segment
from ..catalog import Item
from ..presets import Preset

Painter = Callable[..., inpaint.Result]
MakePainter = Callable[[Item, Sequence[Image.Image]], Painter]


@dataclass
class BoxPainter:
    """Fills the mask with one colour, blended at its edge as painted squares are.

    Attributes:
        preset: supplies ``crop_scale`` and ``feather``.
        color: RGB, 0 to 255.
    """

    preset: Preset
    color: tuple[int, int, int]

    def __call__(self, image: Image.Image, mask_image: Image.Image, *, seed: int = 0, **settings: Any):
        """Fill the mask; arguments are those of `baselines.PastePainter`. Return an `inpaint.Result`."""
        chosen = presets.change(self.preset, inpaint=settings).inpaint
        square = inpaint.cut_square(image, mask_image, chosen, self.preset.resolution)
        return square.paste(Image.new("RGB", square.image.size, self.color), {"seed": seed, "color": list(self.color)})


def colored_box(preset: Preset, item: Item, object_masks: Sequence[Image.Image]) -> BoxPainter:
    """Return a painter of boxes in the mean colour of the item's photos, over the pixels of its object masks."""
    pixels = [np.asarray(photo)[np.asarray(mask) >= 128] for photo, mask in zip(item.photos, object_masks, strict=True)]
    return BoxPainter(preset, tuple(round(float(value)) for value in np.concatenate(pixels).mean(axis=0)))


def make_floors(preset: Preset, items: Sequence[Item]) -> dict[str, MakePainter]:
    """Return functions that make the painters for an item. The wrong item is the next one among ``items``.

    Args:
        preset: supplies ``crop_scale`` and ``feather``, and the object masks of the wrong item.
        items: of the gallery; near-twins among them are not taken for the wrong item.
    """
    items = [item for item in items if "twin_of" not in item.info]
    following = {item.name: other for item, other in zip(items, [*items[1:], *items[:1]], strict=True)}

    def pasted(item: Item, object_masks: Sequence[Image.Image]) -> Painter:
        return baselines.paste_in(preset, item, object_masks)

    def wrong(item: Item, _: Sequence[Image.Image]) -> Painter:
        other = following[item.name]
        return baselines.paste_in(preset, other, segment.object_masks(other, preset))

    def box(item: Item, object_masks: Sequence[Image.Image]) -> Painter:
        return colored_box(preset, item, object_masks)

    return {"paste-in": pasted} | ({"wrong-item": wrong} if len(items) > 1 else {}) | {"coloured-box": box}
