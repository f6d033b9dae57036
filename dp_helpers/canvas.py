"""The mask canvas: a widget that shows a photo and on which one paints what is to be repainted.

All drawing happens in the browser, by the sources in the folder canvas/. The kernel hears of it once, as a PNG data
URL, when the pointer lifts, and nothing depends on a fast way to the kernel. What is synced is plain: text, whole
numbers, fractions. Binary traits would be smaller, but Colab drops buffers that are sent when a widget opens.

    canvas = MaskCanvas(photo)                          # show it: a cell's last line
    canvas.observe(on_change, names="mask_data_url")    # called whenever the mask changes
    inpaint.inpaint(pipe, image=photo, mask_image=canvas.mask, ...)

The same without a widget: any mode "L" picture of the photo's size, for example from `masks.rectangle`.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from PIL import Image

from .errors import InputError

MAX_SIDE = 2048  # pixels: the longer side of the largest drawing; see MaskCanvas
TOOLS = ("brush", "eraser", "rectangle", "ellipse", "move")
MASK_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
SOURCES = ("mask.js", "history.js", "stage.js", "pointers.js", "parts.js", "widget.js")
_BROWSER = Path(__file__).with_name("canvas")
_PNG = "data:image/png;base64,"
_JPEG = "data:image/jpeg;base64,"


class MaskCanvas(anywidget.AnyWidget):
    """Paint a mask onto a photo.

    A photo whose longer side is at most ``MAX_SIDE`` pixels is painted pixel by pixel. A larger one is scaled
    to that side for showing and painting, and its mask is scaled back to the photo's own size by nearest
    neighbour, so that it stays 0 or 255.

    The button "Open mask" puts a picture's file of the photo's own size in place of the mask, and so does dropping the
    file on the photo; it is read in the browser, as `set_mask` and `catalog.load_mask` would.

    Args:
        photo: any PIL image. It is shown as it is: no rotation by EXIF (`catalog.load_photo` does that).
        mask: a mask to begin with and to mend, for example of ClipSeg; see `set_mask`. None: nothing is marked.
        settings: values for the traits below, and ``layout`` as for any widget.

    Traits that people set or observe, all synced with the browser:
        mask_data_url: the mask as a PNG data URL of the drawing's size, "" when nothing was marked yet. Observe
            this one; read `mask`.
        tool: one of ``TOOLS``.
        brush_size: diameter in pixels of the drawing.
        overlay_opacity: 0 to 1, of the colour that shows the mask; never changes the mask.

    Raises:
        InputError: ``photo`` is no picture, or ``mask`` is none that fits.
    """

    # A widget is one ES module: the files share their names, only the last one exports, and nothing else is done to them.
    _esm = "\n".join((_BROWSER / name).read_text(encoding="utf-8") for name in SOURCES)
    _css = (_BROWSER / "canvas.css").read_text(encoding="utf-8")

    photo_data_url = traitlets.Unicode().tag(sync=True)
    mask_data_url = traitlets.Unicode().tag(sync=True)
    mask_width = traitlets.Int().tag(sync=True)  # pixels of the drawing, not of the widget on the screen
    mask_height = traitlets.Int().tag(sync=True)
    photo_width = traitlets.Int().tag(sync=True)  # pixels of the photo as it was given: a mask file must have them
    photo_height = traitlets.Int().tag(sync=True)
    tool = traitlets.Enum(TOOLS, default_value="brush").tag(sync=True)
    brush_size = traitlets.Int(24, min=1).tag(sync=True)
    overlay_opacity = traitlets.Float(0.55, min=0, max=1).tag(sync=True)

    def __init__(self, photo: Image.Image, mask: Image.Image | None = None, **settings: Any) -> None:
        if not isinstance(photo, Image.Image) or min(photo.size) < 1:
            raise InputError(
                f"The photo must be a PIL image with at least one pixel, not {_describe(photo)}: "
                "open a file with catalog.load_photo."
            )
        self._photo = photo
        size = _drawing_size(photo.size)
        self._latest = ("", Image.new("L", photo.size, 0))  # a data URL, and the mask that it stands for
        if mask is not None:
            self._latest = self._encode(mask)
        settings.setdefault("brush_size", max(4, round(min(size) / 10)))
        super().__init__(
            photo_data_url=_photo_data_url(photo, size),
            mask_data_url=self._latest[0],
            mask_width=size[0],
            mask_height=size[1],
            photo_width=photo.width,
            photo_height=photo.height,
            **settings,
        )

    @property
    def photo(self) -> Image.Image:
        """The photo as it was given."""
        return self._photo

    @property
    def mask(self) -> Image.Image:
        """The mask: mode "L", the photo's own size, 255 = repaint, 0 = keep, and nothing between.

        Assigning is `set_mask`. What is got is a copy: changing it does not change what is shown.

        Raises:
            InputError: ``mask_data_url`` was set by hand to something that is no PNG data URL.
        """
        if self._latest[0] != self.mask_data_url:
            self._latest = (self.mask_data_url, _decode(self.mask_data_url, self._photo.size))
        return self._latest[1].copy()

    @mask.setter
    def mask(self, mask: Image.Image) -> None:
        self.set_mask(mask)

    def set_mask(self, mask: Image.Image) -> None:
        """Show a mask to mend. In the browser it can be undone like a stroke.

        Args:
            mask: a PIL image of the photo's size, one of the modes ``MASK_MODES``. Grey is split at the middle;
                what is transparent counts as black.

        Raises:
            InputError: no PIL image, another mode, or another size than the photo.
        """
        self._latest = self._encode(mask)
        self.mask_data_url = self._latest[0]

    def _encode(self, mask: Image.Image) -> tuple[str, Image.Image]:
        if not isinstance(mask, Image.Image) or mask.mode not in MASK_MODES:
            raise InputError(
                f"The mask must be a PIL image of mode {', '.join(MASK_MODES)}, not {_describe(mask)}: "
                "open a file with catalog.load_mask, or convert an array with Image.fromarray."
            )
        if mask.size != self._photo.size:
            raise InputError(
                f"The mask is {mask.width} x {mask.height} pixels but the photo is "
                f"{self._photo.width} x {self._photo.height}: make them the same size."
            )
        mask = _binary(mask)
        return _data_url(mask.resize(_drawing_size(mask.size), Image.Resampling.NEAREST), _PNG, "PNG"), mask


def _drawing_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) in which a photo of this size is painted; see MaskCanvas."""
    scale = min(1.0, MAX_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _photo_data_url(photo: Image.Image, size: tuple[int, int]) -> str:
    """The photo to look at: JPEG, since it is sent whole when the widget opens."""
    if photo.has_transparency_data:
        white = Image.new("RGBA", photo.size, (255, 255, 255, 255))
        photo = Image.alpha_composite(white, photo.convert("RGBA"))
    shown = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    # exif: were the tag "rotated" sent along, the browser would turn the photo, and the mask would lie elsewhere.
    return _data_url(shown, _JPEG, "JPEG", quality=92, subsampling=0, exif=b"")


def _data_url(image: Image.Image, prefix: str, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return prefix + base64.b64encode(buffer.getvalue()).decode("ascii")


def _decode(url: str, size: tuple[int, int]) -> Image.Image:
    """A mask of a (width, height) from a PNG data URL, or an empty one from ""."""
    if not url:
        return Image.new("L", size, 0)
    try:
        if not url.startswith(_PNG):
            raise ValueError("no PNG data URL")
        with Image.open(io.BytesIO(base64.b64decode(url[len(_PNG) :], validate=True))) as image:
            mask = _binary(image)
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f'mask_data_url is no picture: it must begin with "{_PNG}" and hold a whole PNG; set `mask` instead.'
        ) from error
    return mask if mask.size == size else mask.resize(size, Image.Resampling.NEAREST)


def _binary(mask: Image.Image) -> Image.Image:
    """Mode "L", 0 or 255: grey is split at the middle, transparent counts as black."""
    if mask.has_transparency_data:
        black = Image.new("RGBA", mask.size, (0, 0, 0, 255))
        mask = Image.alpha_composite(black, mask.convert("RGBA"))
    return mask.convert("L").point(lambda value: 255 if value >= 128 else 0)


def _describe(thing: object) -> str:
    if isinstance(thing, Image.Image):
        return f"one of mode {thing.mode} and {thing.width} x {thing.height} pixels"
    return type(thing).__name__
