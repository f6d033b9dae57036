"""The mask canvas: a widget that shows a photo and lets you paint the mask on it.

All drawing happens in the browser, in the sources of the folder canvas/. When the pointer lifts, the kernel receives
the mask once, as a PNG data URL, so the canvas works over a slow connection. Only text and numbers are synced. Binary
traits would be smaller, but Colab drops buffers that are sent while a widget opens.

    canvas = MaskCanvas(photo)                          # show it: a cell's last line
    canvas.observe(on_change, names="mask_data_url")    # called whenever the mask changes
    painter(photo, canvas.mask)

Without a widget, any mode "L" picture of the photo's size does the same, for example one from `masks.rectangle`.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from PIL import Image

from ..colors import to_srgb
from ..errors import InputError
from ..masks import binary
from ..pictures import check_mask_size

MAX_SIDE = 2048  # pixels: the longer side of the largest drawing; see MaskCanvas
TOOLS = ("brush", "eraser", "lasso", "polygon", "rectangle", "ellipse", "fill", "move")
SOURCES = tuple(
    f"{name}.js" for name in "shapes mask history look stage drawing pointers icons parts keyboard widget".split()
)
_BROWSER = Path(__file__).with_name("canvas")
_PNG = "data:image/png;base64,"
_JPEG = "data:image/jpeg;base64,"


class MaskCanvas(anywidget.AnyWidget):
    """Paint a mask onto a photo.

    A photo whose longer side is at most ``MAX_SIDE`` pixels is painted pixel by pixel. A larger photo is scaled to
    that side for showing and painting. Its mask is scaled back to the photo's own size by nearest neighbour, so its
    values stay 0 and 255.

    The button "Open" replaces the mask by a picture file of the photo's own size, and so does dropping the file
    on the photo. The file is read in the browser, by the rules of `pictures.read_mask`, which refuses empty ones. The
    button "Save" hands the mask to the browser as a PNG of the photo's own size; ``canvas.mask.save("mask.png")``
    does the same. Once `result` is set, the canvas shows it in place of the photo, with a slider for before and after.

    Args:
        photo: any PIL image. It is shown as it is, without rotation by EXIF (`catalog.load_photo` rotates).
        mask: a mask to begin with, for example ClipSeg's; see `set_mask`. None: nothing is marked.
        settings: values for the traits below, and ``layout`` as for any widget.

    Traits to set or observe, all synced with the browser:
        mask_data_url: the mask as a PNG data URL of the drawing's size; "" before the first one. What was cleared is a
            black PNG. Observe this trait; read the property `mask`.
        result_data_url: the result under the mask; "" shows the photo. Set the property `result`.
        tool: one of ``TOOLS``.
        subtract: whether the tools take away instead of adding.
        brush_size: diameter in pixels of the drawing.
        overlay_opacity: 0 to 1, of the colour that shows the mask. It never changes the mask.

    Raises:
        InputError: ``photo`` is not a picture, or ``mask`` does not fit it.
    """

    # A widget is one ES module, so the files are joined as they are: they share their names, and only the last exports.
    _esm = "\n".join((_BROWSER / name).read_text(encoding="utf-8") for name in SOURCES)
    _css = (_BROWSER / "canvas.css").read_text(encoding="utf-8")

    photo_data_url = traitlets.Unicode().tag(sync=True)
    mask_data_url = traitlets.Unicode().tag(sync=True)
    mask_width = traitlets.Int().tag(sync=True)  # pixels of the drawing, not of the widget on the screen
    mask_height = traitlets.Int().tag(sync=True)
    photo_width = traitlets.Int().tag(sync=True)  # pixels of the photo as given: the size of a mask file
    photo_height = traitlets.Int().tag(sync=True)
    result_data_url = traitlets.Unicode().tag(sync=True)
    subtract = traitlets.Bool(False).tag(sync=True)
    tool = traitlets.Enum(TOOLS, default_value="brush").tag(sync=True)
    brush_size = traitlets.Int(24, min=1).tag(sync=True)
    overlay_opacity = traitlets.Float(0.45, min=0, max=1).tag(sync=True)

    def __init__(self, photo: Image.Image, mask: Image.Image | None = None, **settings: Any) -> None:
        if not isinstance(photo, Image.Image) or min(photo.size) < 1:
            raise InputError(
                f"The photo must be a PIL image with at least one pixel, not {_describe(photo)}: "
                "open a file with catalog.load_photo."
            )
        self._photo, self._result = photo, None
        size = _drawing_size(photo.size)
        self._latest = ("", Image.new("L", photo.size, 0))  # a data URL, and its mask
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
        """Return the photo as it was given."""
        return self._photo

    @property
    def mask(self) -> Image.Image:
        """Return a copy of the mask: mode "L", the photo's size, 255 = repaint, 0 = keep. Assigning calls `set_mask`.

        Raises:
            InputError: ``mask_data_url`` was set by hand to something that is not a PNG data URL.
        """
        if self._latest[0] != self.mask_data_url:
            self._latest = (self.mask_data_url, _decode(self.mask_data_url, self._photo.size))
        return self._latest[1].copy()

    @mask.setter
    def mask(self, mask: Image.Image) -> None:
        self.set_mask(mask)

    def set_mask(self, mask: Image.Image) -> None:
        """Show a mask to edit. In the browser this can be undone like a stroke.

        Args:
            mask: a PIL image of the photo's size, of any mode; see `masks.binary`.

        Raises:
            InputError: not a PIL image, or another size than the photo.
        """
        self._latest = self._encode(mask)
        self.mask_data_url = self._latest[0]

    @property
    def result(self) -> Image.Image | None:
        """Return the picture that the canvas shows in place of the photo, or None. Assigning shows another.

        Raises:
            InputError: it is not a picture of the photo's size.
        """
        return self._result

    @result.setter
    def result(self, result: Image.Image | None) -> None:
        if result is not None and (not isinstance(result, Image.Image) or result.size != self._photo.size):
            raise InputError(
                f"The result must be a PIL image of the photo's size, {self._photo.width} x {self._photo.height} "
                f"pixels, not {_describe(result)}: give the `image` of a result that was painted into this photo."
            )
        self._result = result
        self.result_data_url = "" if result is None else _photo_data_url(result, _drawing_size(result.size))

    def _encode(self, mask: Image.Image) -> tuple[str, Image.Image]:
        if not isinstance(mask, Image.Image):
            raise InputError(
                f"The mask must be a PIL image, not {_describe(mask)}: "
                "open a file with catalog.load_mask, or convert an array with Image.fromarray."
            )
        check_mask_size(mask.size, self._photo.size)
        mask = binary(mask)
        return _data_url(mask.resize(_drawing_size(mask.size), Image.Resampling.NEAREST), _PNG, "PNG"), mask


def _drawing_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) in which a photo of this size is painted; see MaskCanvas."""
    scale = min(1.0, MAX_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _photo_data_url(photo: Image.Image, size: tuple[int, int]) -> str:
    """Encode the photo to look at: as JPEG, because it is sent whole when the widget opens."""
    shown = to_srgb(photo).resize(size, Image.Resampling.LANCZOS)
    # Without exif: a browser obeys the tag "rotated" and would turn the photo, but not the mask.
    return _data_url(shown, _JPEG, "JPEG", quality=92, subsampling=0, exif=b"")


def _data_url(image: Image.Image, prefix: str, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return prefix + base64.b64encode(buffer.getvalue()).decode("ascii")


def _decode(url: str, size: tuple[int, int]) -> Image.Image:
    """Decode a PNG data URL to a mask of (width, height); "" gives an empty one."""
    if not url:
        return Image.new("L", size, 0)
    try:
        if not url.startswith(_PNG):
            raise ValueError("not a PNG data URL")
        with Image.open(io.BytesIO(base64.b64decode(url[len(_PNG) :], validate=True))) as image:
            mask = binary(image)
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f'mask_data_url is not a picture: it must begin with "{_PNG}" and hold a whole PNG; set `mask` instead.'
        ) from error
    return mask if mask.size == size else mask.resize(size, Image.Resampling.NEAREST)


def _describe(thing: object) -> str:
    if isinstance(thing, Image.Image):
        return f"one of mode {thing.mode} and {thing.width} x {thing.height} pixels"
    return type(thing).__name__
