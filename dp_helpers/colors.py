"""The modes and colours of pictures: what a model sees of a photo, and what it paints in the photo's own colours.

A photo is RGB, RGBA, L or LA with 8 bits a channel, in its own colours: its ICC profile stays with it. Models see
`to_srgb` of it, and `like` brings what they paint back into the photo's own colours. So what is not painted keeps its
values. A mask is mode "L"; `levels` gives its grey levels.

What becomes 8 bits: of 16 bits the upper 8 are kept. Floating-point pictures and those of 32 bits count as 0 to 1, 0 to
255 or 0 to 65,535, by their largest value. CMYK, LAB, YCbCr and HSV become sRGB.
"""

from __future__ import annotations

import io
import math
from contextlib import suppress

import numpy as np
from PIL import Image, ImageCms

from .errors import InputError, note

_OWN_MODES = {"RGB": "RGB ", "RGBA": "RGB ", "L": "GRAY", "LA": "GRAY"}  # and the colour space of their profiles
_ALMOST = {"1": "L", "PA": "RGBA", "RGBX": "RGB", "RGBa": "RGBA", "La": "LA"}
_SRGB = ImageCms.createProfile("sRGB")
_INTENT, _FLAGS = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION


def as_photo(image: Image.Image, name: str = "The photo") -> Image.Image:
    """Return a picture as RGB, RGBA, L or LA in its own colours, with a colour profile only if it has a valid one.

    A line on stderr says what cannot stay as it is. ``name`` begins that line.
    """
    photo = image
    if not isinstance(image, Image.Image):
        raise InputError(f"{name} is {type(image).__name__}, but must be a PIL image: load it with catalog.load_photo.")
    if image.mode.startswith(("I", "F")):
        photo = _eight_bits(image, name)
        note(f"{name} has more than 8 bits a channel: it is read with 8.")
    elif image.has_transparency_data and image.mode not in ("RGBA", "LA"):
        photo = image.convert("LA" if image.mode in ("L", "1", "La") else "RGBA")
    elif image.mode == "P":
        photo = image.convert("RGB")
    elif image.mode in _ALMOST:
        photo = image.convert(_ALMOST[image.mode])
    elif image.mode not in _OWN_MODES:
        note(f"{name} is {image.mode}: it is read as sRGB.")
        return _converted(image)
    if not photo.info.get("icc_profile"):
        return photo
    profile, space = _profile(photo.info["icc_profile"]), _OWN_MODES[photo.mode]
    if profile is None or profile.profile.xcolor_space != space:
        note(f"{name} has a colour profile that does not fit it: it is taken as sRGB.")
        return _without_profile(photo)
    if not profile.profile.is_intent_supported(_INTENT, ImageCms.Direction.OUTPUT):
        note(f"{name} has a colour profile that is for reading alone: it is read as sRGB.")
        return _converted(photo)
    return photo


def to_srgb(photo: Image.Image) -> Image.Image:
    """Return any picture as RGB in sRGB, as models see it; transparent parts show white."""
    photo = as_photo(photo)
    return _converted(photo) if photo.info.get("icc_profile") else _without_profile(flatten(photo))


def like(photo: Image.Image, painted: Image.Image) -> Image.Image:
    """Return a painted RGB picture in the mode and the colours of a photo from `as_photo`, without transparency."""
    mode = photo.mode.removesuffix("A")
    if photo.info.get("icc_profile"):
        profile = _profile(photo.info["icc_profile"])
        options = {"outputMode": mode, "renderingIntent": _INTENT, "flags": _FLAGS}
        painted = ImageCms.profileToProfile(painted, _SRGB, profile, **options)
    return painted.convert(mode).convert(photo.mode)  # painted parts are opaque


def levels(mask: Image.Image, name: str = "The mask") -> Image.Image:
    """Return the grey levels of a mask as mode "L"; transparent counts as black.

    A drawing in another colour than white on a clear ground has no other meaning than its strokes, so these count as
    white, and a line on stderr says so. ``name`` begins that line.
    """
    if not isinstance(mask, Image.Image):
        raise InputError(f"{name} is {type(mask).__name__}, but must be a PIL image: load it with catalog.load_mask.")
    if mask.mode.startswith(("I", "F")):
        return _eight_bits(mask, name)
    if mask.mode in ("LAB", "La"):  # from which PIL makes no grey
        mask = _converted(mask) if mask.mode == "LAB" else mask.convert("LA")
    if not mask.has_transparency_data:
        return mask.convert("L")
    grey, drawn = flatten(mask, (0, 0, 0)).convert("L"), mask.convert("RGBA").getchannel("A")
    clearest, strongest = drawn.getextrema()
    if grey.getextrema()[1] >= 128 or clearest >= 16 or strongest < 16:
        return grey
    drawn = drawn.point(lambda value: value * 255 // strongest)
    share = sum(drawn.histogram()[128:]) / math.prod(drawn.size)
    note(f"{name} has no white on its clear ground: what is drawn there ({share:.0%} of it) counts as white.")
    return drawn


def flatten(image: Image.Image, color: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """Return the image as RGB; transparent parts show a plain ``color``."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    canvas = Image.new("RGBA", image.size, (*color, 255))
    return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Return a picture of 16 or 32 bits as mode "L"; see the module's first lines."""
    values = np.asarray(image)
    largest = values.max()
    if not 0 <= largest <= 65535 or values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{name} has values up to {largest}, but at most 65,535 are read: save it with 8 bits.")
    if image.mode.startswith("I;16"):
        eight = values >> 8
    elif values.dtype.kind == "f" and largest <= 1:
        eight = values * 255
    else:
        eight = values if largest <= 255 else values / 257
    made = Image.fromarray(np.asarray(eight).round().clip(0, 255).astype(np.uint8))
    made.info = {name: value for name, value in image.info.items() if name != "transparency"}  # a level of 65,536
    return made


def _profile(data: bytes) -> ImageCms.ImageCmsProfile | None:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(data))
    except (OSError, TypeError, ImageCms.PyCMSError):
        return None


def _converted(image: Image.Image) -> Image.Image:
    """Return a picture as RGB in sRGB, by its profile if it has one that fits."""
    opaque = flatten(image).convert(image.mode.removesuffix("A")) if image.mode in _OWN_MODES else image
    profile = _profile(image.info.get("icc_profile", b""))
    with suppress(ImageCms.PyCMSError):
        if image.mode == "LAB":
            profile = ImageCms.createProfile("LAB")
        if profile is not None:
            options = {"outputMode": "RGB", "renderingIntent": _INTENT, "flags": _FLAGS}
            return _without_profile(ImageCms.profileToProfile(opaque, profile, _SRGB, **options))
    return _without_profile(opaque.convert("RGB"))


def _without_profile(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.info.pop("icc_profile", None)
    return image
