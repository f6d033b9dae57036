"""The one reader of pictures: any common file becomes a photo or a mask, or is refused in one sentence.

Photos come upright, and in their own colours (`colors.as_photo`). Masks are mode "L", 255 = repaint, 0 = keep.
"""

from __future__ import annotations

import io
import math
import warnings
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from .colors import as_photo, levels
from .errors import InputError, note
from .masks import binary

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "TIFF", "BMP", "HEIF", "AVIF")
MAX_MEGAPIXELS = 80
MIN_SIDE = 8  # pixels
MAX_ASPECT = 20  # the longer side of a photo in units of the shorter
_KINDS = (  # what the first bytes of a file that is no picture say that it is, and the way out
    (b"<svg", "an SVG drawing", "export it as PNG"),
    (b"<html", "a web page", "download the picture itself"),
    (b"<!doctype html", "a web page", "download the picture itself"),
    (b"%pdf", "a PDF document", "export its picture as PNG"),
    (b"pk\x03\x04", "a zip archive", "unpack it"),
    (b"version https://git-lfs", "a pointer of Git LFS", "run `git lfs pull`"),
    (b"ftypheic", "a HEIC photo", "install pillow-heif, or export it as JPEG"),
    (b"ftypheix", "a HEIC photo", "install pillow-heif, or export it as JPEG"),
    (b"ftypmif1", "a HEIC photo", "install pillow-heif, or export it as JPEG"),
    (b"ftypavif", "an AVIF photo", "export it as JPEG"),
    (b"ftypqt", "a video", "save one frame as JPEG"),
    (b"ftypisom", "a video", "save one frame as JPEG"),
    (b"ftypmp4", "a video", "save one frame as JPEG"),
)


def read_photo(path: str | Path) -> Image.Image:
    """Read a photo in its own colours, as `colors.as_photo` returns it, upright as its EXIF tag says.

    Raises:
        InputError: there is no such file, it is not a whole picture, or it is too large, too small or too narrow.
    """
    return decode_photo(_bytes(path), str(path))


def read_mask(path: str | Path, size: tuple[int, int], *, soft: bool = False) -> Image.Image:
    """Read a mask as mode "L", upright: 255 = repaint, 0 = keep.

    Args:
        path: any picture.
        size: (width, height) of its photo, which the mask must have.
        soft: keep its grey levels. Otherwise they are split at 128, and a line on stderr says so for a soft mask.

    Raises:
        InputError: no such file, another size than the photo, or nothing marked.
    """
    name = f"The mask {path}"
    mask = levels(_decode(_bytes(path), str(path)), name)
    check_mask_size(mask.size, size, name, "its photo")
    return mask if soft else split(mask, name)


def split(mask: Image.Image, name: str = "The mask") -> Image.Image:
    """Return the grey levels of a mask split at 128, as the values 0 and 255; say so if there are many between them.

    Raises:
        InputError: nothing is marked.
    """
    hard = binary(mask)
    check_marked(mask, hard, name)
    counts = mask.histogram()
    grey = sum(counts[16:240])
    if grey > sum(counts) / 2:
        note(
            f"{name} is grey for the most part, as a photo is: its levels are split at 128; a mask is a picture of its "
            "own, white where to paint and black elsewhere."
        )
    elif grey > sum(counts[128:]) / 20:  # fewer grey pixels are noise or a smooth edge
        note(f"{name} has soft edges: its grey levels are split at 128, because soft_mask is off.")
    return hard


def check_marked(mask: Image.Image, marked: Image.Image, name: str = "The mask") -> None:
    """Check that something of a mask's grey levels is ``marked``. ``name`` begins the error's sentence."""
    if marked.getbbox() is None:
        brightest = mask.getextrema()[1]
        found = f"has no white, its brightest level is {brightest} of 255" if brightest else "is empty"
        raise InputError(f"{name} {found}: paint the region to fill in white (255) on black (0).")


def check_mask_size(
    mask: tuple[int, int], photo: tuple[int, int], subject: str = "The mask", owner: str = "the photo"
) -> None:
    """Check that a mask has its photo's size. ``subject`` and ``owner`` name the two in the error's sentence."""
    if tuple(mask) != tuple(photo):
        turned = "turn the mask by 90 degrees" if tuple(mask) == tuple(photo)[::-1] else "make them the same size"
        sizes = f"{mask[0]} x {mask[1]} pixels but {owner} is {photo[0]} x {photo[1]}"
        raise InputError(f"{subject} is {sizes}: {turned}.")


def decode_photo(content: bytes, name: str) -> Image.Image:
    """Decode the contents of a picture file as `read_photo` does; ``name`` is the file's in errors."""
    image = _decode(content, name)
    if min(image.size) < MIN_SIDE or max(image.size) > MAX_ASPECT * min(image.size):
        raise InputError(
            f"{name} is {image.width} x {image.height} pixels: a photo needs {MIN_SIDE} pixels on its shorter side, "
            f"and at most {MAX_ASPECT} times as many on its longer one."
        )
    return as_photo(image, name)


def known_endings() -> set[str]:
    """Return the endings of the files that can be read here, such as ".jpg"."""
    formats = _formats()
    return {ending for ending, kind in Image.registered_extensions().items() if kind in formats}


@lru_cache(maxsize=1)
def _formats() -> list[str]:
    """Return the formats that can be read here; HEIC where pillow-heif is installed."""
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return [kind for kind in FORMATS if kind in Image.OPEN]


def _bytes(path: str | Path) -> bytes:
    if not Path(path).is_file():
        raise InputError(f"There is no picture {path}: check the path.")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check who may read it.") from error


def _decode(content: bytes, name: str) -> Image.Image:
    """Decode a whole picture, its first frame, and turn it upright."""
    if not content:
        raise InputError(f"{name} is empty (0 bytes): copy or download it again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries warn about odd tags; the size is checked here
            with Image.open(io.BytesIO(content), formats=_formats()) as image:
                if math.prod(image.size) > MAX_MEGAPIXELS * 1e6:
                    raise Image.DecompressionBombError
                deep = ";16" in str(image.tile)
                image.load()
                with suppress(Exception):  # a damaged EXIF block says nothing about the pixels
                    ImageOps.exif_transpose(image, in_place=True)
                picture = image.copy()
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name} has more than {MAX_MEGAPIXELS} megapixels: save it smaller; no model here paints so many."
        ) from error
    except UnidentifiedImageError as error:
        head = content[:1024].lower()
        found = [(kind, way_out) for mark, kind, way_out in _KINDS if mark in head]
        kind, way_out = found[0] if found else ("not a picture", "save it again as PNG or JPEG")
        raise InputError(f"{name} cannot be read as a picture: it is {kind}; {way_out}.") from error
    except MemoryError as error:
        raise InputError(f"{name} does not fit into memory: save it smaller.") from error
    except Exception as error:  # decoders raise many things for damaged files
        raise InputError(f"{name} is damaged or cut off: copy or download it again.") from error
    if deep and not picture.mode.startswith("I"):  # PIL has dropped the lower 8 bits; of the others `colors` tells
        note(f"{name} has more than 8 bits a channel: it is read with 8.")
    return picture
