"""What a folder of photos holds: the photos, their masks, and what is left out and why.

A mask is named after its photo: ``front.mask.png`` for ``front.jpg``. Other endings, ``front_mask``, ``front-mask`` and
capital letters will do, too. Where two photos are called ``front``, ``front.jpg.mask.png`` belongs to one of them.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError
from .pictures import known_endings

MASK_ENDING = ".mask.png"
_MASK_STEM = re.compile(r"(.+)[._ -]mask", re.IGNORECASE)
_IGNORED = {"item.json", "context.json", "thumbs.db", "desktop.ini"}
_MOST_NAMED = 8  # of the files that are left out
_WHY = {
    "a HEIC photo: install pillow-heif, or export it as JPEG": ".heic .heif .hif",
    "an AVIF photo: export it as JPEG": ".avif",
    "a raw photo: export it as JPEG": ".dng .cr2 .cr3 .nef .arw .raf .rw2 .orf",
    "a drawing: export it as PNG": ".svg .psd .xcf .ai .eps .pdf",
    "a video: save one frame as JPEG": ".mov .mp4 .avi .webm",
    "an archive: unpack it": ".zip .rar .7z .tar .gz",
}


@dataclass(frozen=True)
class Listing:
    """The files of one folder. Hidden files and those that systems leave behind are not in it."""

    photos: list[Path]
    masks: dict[Path, Path]  # of photos
    left_out: dict[str, str]  # the reason, by the file's name

    def __str__(self) -> str:
        count, own = len(self.photos), len(self.masks)
        used = f"{count} photo{'' if count == 1 else 's'}" + (f", {own} with a mask of its own" if own else "")
        named = [f"{name} ({why})" for name, why in self.left_out.items()]
        if len(named) > _MOST_NAMED:
            named[_MOST_NAMED:] = [f"and {len(named) - _MOST_NAMED} more"]
        return f"{used}; left out: {', '.join(named)}" if named else used


def list_folder(folder: Path) -> Listing:
    """List the photos of a folder by name, with their masks.

    Raises:
        InputError: it is not clear which of two photos a mask belongs to, or the folder cannot be read.
    """
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be read ({error.strerror}): check who may read it.") from error
    photos, masks, left_out = [], [], {}
    for path in paths:
        if path.name.startswith(".") or path.name.lower() in _IGNORED:
            continue
        if not path.is_file() or path.suffix.lower() not in known_endings():
            left_out[path.name] = _why(path)
        else:
            (masks if _MASK_STEM.fullmatch(path.stem) else photos).append(path)
    owned: dict[Path, Path] = {}
    # Those that end with .mask.png come first, because they win.
    for mask in sorted(masks, key=lambda path: not path.name.endswith(MASK_ENDING)):
        photo = _photo_of(mask, photos)
        if photo is None:
            left_out[mask.name] = _orphan(mask, photos)
        elif photo in owned:
            left_out[mask.name] = f"{owned[photo].name} is the mask of {photo.name}"
        else:
            owned[photo] = mask
    return Listing(photos, owned, left_out)


def mask_names(photos: list[Path]) -> list[str]:
    """Return the names that the masks of some photos must have."""
    stems = [path.stem.lower() for path in photos]
    return [(path.stem if stems.count(path.stem.lower()) == 1 else path.name) + MASK_ENDING for path in photos]


def _photo_of(mask: Path, photos: list[Path]) -> Path | None:
    """Return the photo that a mask is named after, if there is one."""
    name = _MASK_STEM.fullmatch(mask.stem)[1].lower()
    by_name = [photo for photo in photos if photo.name.lower() == name]
    found = by_name or [photo for photo in photos if photo.stem.lower() == name]
    if len(found) > 1:
        both = " and ".join(photo.name for photo in found)
        raise InputError(
            f"{mask} could be the mask of {both}: name it after one of them, for example {found[0].name}{MASK_ENDING}."
        )
    return found[0] if found else None


def _orphan(mask: Path, photos: list[Path]) -> str:
    name = _MASK_STEM.fullmatch(mask.stem)[1]
    near = difflib.get_close_matches(name, [photo.stem for photo in photos], 1)
    return f"a mask without a photo {name}" + (f", did you mean {near[0]}?" if near else ": rename it if it is a photo")


def _why(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    found = [why for why, endings in _WHY.items() if path.suffix.lower() in endings.split()]
    return found[0] if found else "not a picture"
