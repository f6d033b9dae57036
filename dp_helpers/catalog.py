"""Load and check items (catalogue photos) and contexts (the photo to paint into).

Photos become PIL images in RGB and sRGB, upright, transparency on white (`pictures`), and item photos are padded to a
square on white. Masks become PIL mode "L", 255 = repaint, 0 = keep.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from . import archives
from .colors import to_srgb
from .errors import InputError, note
from .listing import Listing, list_folder
from .pictures import known_endings, read_mask, read_photo
from .squares import pad_to_square


@dataclass(frozen=True)
class Item:
    """A catalogue item: its photos, each padded to a square, and what the catalogue says about it."""

    name: str
    class_noun: str
    photos: list[Image.Image]
    own_masks: list[Image.Image | None]  # the user's own object masks, see `listing`
    paths: list[Path]
    title: str = ""
    info: dict[str, Any] = field(default_factory=dict)  # contents of item.json

    def prompt(self, token: str) -> str:
        """Return the item's prompt, "a [token] [class noun]" (section 3.3)."""
        return f"a {token} {self.class_noun}"


@dataclass(frozen=True)
class Context:
    """A photo to paint into, with suggested masks by name."""

    name: str
    photo: Image.Image
    masks: dict[str, Image.Image]
    kind: str = ""
    fits: tuple[str, ...] = ()  # class nouns that make sense here


def load_item(folder: str | Path, class_noun: str | None = None) -> Item:
    """Load an item.

    Args:
        folder: holds ``photos/`` and ``item.json`` with at least ``class_noun``. With ``class_noun`` as an
            argument a plain folder of photos is enough. A file ``NAME.mask.png`` next to the photo NAME is its
            object mask. A line on stderr says what is left out and why. A zip archive of such a folder works as well.
        class_noun: the kind of product, for example "armchair"; wins over ``item.json``.

    Raises:
        InputError: no folder, no photo, an unreadable photo or mask, or no class noun.
    """
    folder = archives.unpack(folder) if archives.is_archive(folder) else Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no item folder {folder}: name a folder of photos or an item of data/catalog.")
    info = _load_json(folder / "item.json")
    noun = class_noun or info.get("class_noun") or ""
    if not isinstance(noun, str) or not noun.strip():
        raise InputError(
            f'{folder} has no class noun: write one into its item.json, for example {{"class_noun": "armchair"}}.'
        )
    listing = list_folder(folder / "photos" if (folder / "photos").is_dir() else folder)
    photos = [load_photo(path) for path in listing.photos]
    masks = [
        load_mask(listing.masks[path], photo.size) if path in listing.masks else None
        for path, photo in zip(listing.photos, photos, strict=True)
    ]
    _say(folder, listing, photos)
    return Item(
        name=folder.resolve().name,
        class_noun=" ".join(noun.split()),
        photos=[pad_to_square(photo) for photo in photos],
        own_masks=[mask and pad_to_square(mask, 0) for mask in masks],
        paths=listing.photos,
        title=" ".join(str(info.get("title") or "").split()),
        info=info,
    )


def load_context(folder: str | Path) -> Context:
    """Load a context: ``photo.png`` (or .jpg ...), ``masks/NAME.png`` and, if there is one, ``context.json``.

    Raises:
        InputError: no folder, no photo, or a mask of another size than the photo.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no context folder {folder}: name a folder with photo.png and masks/.")
    candidates = [path for path in _pictures(folder, "photo.*") if path.stem == "photo"]  # and no photo.mask.png
    if not candidates:
        raise InputError(f"{folder} holds no photo: put photo.png or photo.jpg there.")
    photo, info = load_photo(candidates[0]), _load_json(folder / "context.json")
    masks = {path.stem: load_mask(path, photo.size) for path in _pictures(folder / "masks", "[!.]*")}
    fits = info.get("fits", [])
    if not isinstance(fits, list) or not all(isinstance(noun, str) for noun in fits):
        raise InputError(f'{folder / "context.json"} has fits {fits!r}, but it must be a list such as ["armchair"].')
    return Context(folder.resolve().name, photo, masks, str(info.get("kind") or ""), tuple(fits))


def load_photo(path: str | Path) -> Image.Image:
    """Load a photo as models see it: RGB in sRGB, upright, with transparency on white.

    `pictures.read_photo` reads it in its own colours instead.

    Raises:
        InputError: as `pictures.read_photo`.
    """
    return to_srgb(read_photo(path))


def load_mask(path: str | Path, size: tuple[int, int]) -> Image.Image:
    """Load a mask as mode "L" with the values 0 and 255 (255 = repaint), as `pictures.read_mask` reads it.

    Args:
        path: any picture.
        size: (width, height) of its photo, which the mask must have.

    Raises:
        InputError: as `pictures.read_mask`.
    """
    return read_mask(path, size)


def _say(folder: Path, listing: Listing, photos: list[Image.Image]) -> None:
    """Say what is left out of an item's folder, and what is odd about its photos. Refuse a folder without photos."""
    if not photos:
        raise InputError(
            f"{folder} holds {listing}: fine-tuning needs photos of the product, better 5 to 8 from different angles; "
            "add some as JPEG, PNG or WebP."
        )
    if listing.left_out:
        note(f"{folder} holds {listing}.")
    if len(photos) == 1:
        note(f"{folder} holds one photo: the model cannot learn what the other sides look like; better 5 to 8.")
    first: dict[bytes, str] = {}
    for path, photo in zip(listing.photos, photos, strict=True):
        same = first.setdefault(hashlib.sha256(photo.tobytes()).digest(), path.name)
        if same != path.name:
            note(f"{folder}: {path.name} is the same picture as {same}; both are used.")


def _pictures(folder: Path, pattern: str) -> list[Path]:
    return sorted(path for path in folder.glob(pattern) if path.is_file() and path.suffix.lower() in known_endings())


def _load_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        info = json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply: keep it to one object.") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(info, dict):
        raise InputError(f'{path} must hold one JSON object such as {{"class_noun": "armchair"}}.')
    return info
