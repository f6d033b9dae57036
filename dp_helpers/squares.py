"""The square that a model works on: find it, cut it out, pad to it, and paste it back.

Models paint squares of one size; photos have any size and shape. So a square around the mask is cut out of the
photo, painted at the model's resolution, scaled back, and pasted.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, the last two exclusive
SURROUNDINGS = 4 / 3  # least side of the painted square, in units of the mask's longer side
_WHITE = (255, 255, 255)
_PREMULTIPLIED = {"RGBA": "RGBa", "LA": "La"}  # colours times alpha


def pad_to_square(image: Image.Image, color: int | tuple[int, int, int] = _WHITE) -> Image.Image:
    """Put an image in the middle of a square canvas of its longer side."""
    side = max(image.size)
    if image.size == (side, side):
        return image
    canvas = Image.new(image.mode, (side, side), color)
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return canvas


def crop_from_square(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Undo `pad_to_square`: return the middle (width, height) of a square image."""
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))


def square_around(box: Box, size: tuple[int, int], scale: float) -> Box:
    """Return the square to paint: ``scale`` times the longer side of the mask's box, centred on the box.

    The square is moved into the photo, and shrunk to the photo's shorter side if it is larger. But it does not become
    smaller than ``SURROUNDINGS`` times the mask. Then it reaches beyond the shorter side, at most to the longer one. So
    at least a quarter of what the square shows of the photo is surroundings, or it shows the whole photo. The square
    grows smoothly with the mask.

    Args:
        box: of the mask.
        size: (width, height) of the photo.
        scale: 1 or more. Below ``SURROUNDINGS`` it shows fewer surroundings.
    """
    left, top, right, bottom = box
    longer = max(right - left, bottom - top)
    side = round(min(longer * scale, max(min(size), min(longer * SURROUNDINGS, max(size)))))
    corners = [
        _place((low + high) / 2, side, length) for low, high, length in ((left, right, size[0]), (top, bottom, size[1]))
    ]
    return corners[0], corners[1], corners[0] + side, corners[1] + side


def cut(image: Image.Image, box: Box, *, outside: int | None = None) -> Image.Image:
    """Crop a box that may reach beyond the image. There the edge pixels are repeated, or ``outside`` is taken."""
    left, top, right, bottom = box
    width, height = image.size
    before, after = (max(-top, 0), max(-left, 0)), (max(bottom - height, 0), max(right - width, 0))
    pad = [(before[0], after[0]), (before[1], after[1])] + [(0, 0)] * (len(image.getbands()) > 1)
    options = {"mode": "edge"} if outside is None else {"mode": "constant", "constant_values": outside}
    pixels = np.pad(np.asarray(image), pad, **options)
    top, left = top + before[0], left + before[1]
    part = Image.fromarray(pixels[top : top + box[3] - box[1], left : left + box[2] - box[0]])
    part.info = dict(image.info)  # its colour profile
    return part


def paste_back(image: Image.Image, painted: Image.Image, blend: Image.Image, box: Box) -> Image.Image:
    """Put the painted square into the photo. Where the blend is 0, the photo stays as it is.

    Args:
        image: the photo.
        painted: the square, in the photo's mode, of any size; it is scaled to ``box``.
        blend: mode "L", the photo's size: 255 takes the painted pixel, 0 the photo's own.
        box: where the square was cut out.
    """
    square = painted.resize((box[2] - box[0], box[3] - box[1]), Image.LANCZOS)
    layer = image.copy()
    layer.paste(square, box[:2])
    if image.mode in _PREMULTIPLIED:  # or the hidden colour of clear pixels would be a fringe
        layer, below = (each.convert(_PREMULTIPLIED[image.mode]) for each in (layer, image))
        layer = Image.composite(layer, below, blend).convert(image.mode)
        blend = blend.point(lambda value: 255 if value else 0)
    return Image.composite(layer, image, blend)


def _place(center: float, side: int, length: int) -> int:
    """Return the start of a stretch of ``side`` around ``center``, moved into 0..length, or centred if longer."""
    if side >= length:
        return (length - side) // 2
    return min(max(round(center - side / 2), 0), length - side)
