"""Load and check items (catalogue photos) and contexts (the photo to paint into).

Photos become PIL images in RGB: upright as the EXIF tag says, transparency on white, and item photos padded to a
square on white. Masks become PIL mode "L", 255 = repaint, 0 = keep.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .errors import InputError
from .masks import binary
from .squares import flatten, pad_to_square

MIN_PHOTOS = 2  # a single view does not show what stays the same from view to view
MASK_ENDING = ".mask.png"


@dataclass(frozen=True)
class Item:
    """A catalogue item: its photos, each padded to a square, and what the catalogue says about it."""

    name: str
    class_noun: str
    photos: list[Image.Image]
    own_masks: list[Image.Image | None]  # the user's own object masks, from files NAME.mask.png
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
            object mask.
        class_noun: the kind of product, for example "armchair"; wins over ``item.json``.

    Raises:
        InputError: no folder, fewer than two photos, an unreadable photo, or no class noun.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no item folder {folder}: name a folder of photos or an item of data/catalog.")
    info = _load_json(folder / "item.json")
    noun = " ".join((class_noun or str(info.get("class_noun") or "")).split())
    if not noun:
        raise InputError(
            f'{folder} has no class noun: write one into its item.json, for example {{"class_noun": "armchair"}}.'
        )
    paths = _photo_paths(folder / "photos" if (folder / "photos").is_dir() else folder)
    photos = [load_photo(path) for path in paths]
    masks = [_own_mask(path, photo.size) for path, photo in zip(paths, photos, strict=True)]
    return Item(
        name=folder.resolve().name,
        class_noun=noun,
        photos=[pad_to_square(photo) for photo in photos],
        own_masks=[mask and pad_to_square(mask, 0) for mask in masks],
        paths=paths,
        title=str(info.get("title", "")),
        info=info,
    )


def load_context(folder: str | Path) -> Context:
    """Load a context: ``photo.png`` (or .jpg ...), ``masks/*.png`` and, if there is one, ``context.json``.

    Raises:
        InputError: no folder, no photo, or a mask of another size than the photo.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no context folder {folder}: name a folder with photo.png and masks/.")
    candidates = sorted(path for path in folder.glob("photo.*") if _is_image(path))
    if not candidates:
        raise InputError(f"{folder} holds no photo: put photo.png or photo.jpg there.")
    photo, info = load_photo(candidates[0]), _load_json(folder / "context.json")
    masks = {path.stem: load_mask(path, photo.size) for path in sorted((folder / "masks").glob("[!.]*.png"))}
    return Context(folder.resolve().name, photo, masks, str(info.get("kind", "")), tuple(info.get("fits", ())))


def load_photo(path: str | Path) -> Image.Image:
    """Load a photo as RGB, upright, with transparency on white, from any format that PIL reads.

    Raises:
        InputError: there is no such file, or it is not a picture.
    """
    image = _open(path)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):  # 16 bits a channel: PIL clips, it does not scale
        image = Image.fromarray((np.asarray(image, dtype=np.float32) / 257).clip(0, 255).astype(np.uint8))
    return flatten(image)


def load_mask(path: str | Path, size: tuple[int, int]) -> Image.Image:
    """Load a mask as mode "L" with the values 0 and 255 (255 = repaint), as `masks.binary` makes it.

    Args:
        path: any picture.
        size: (width, height) of its photo, which the mask must have.

    Raises:
        InputError: no such file, another size than the photo, or nothing marked.
    """
    image = _open(path)
    if image.size != tuple(size):
        raise InputError(
            f"The mask {path} is {image.width} x {image.height} pixels "
            f"but its photo is {size[0]} x {size[1]}: make them the same size."
        )
    mask = binary(image)
    if mask.getbbox() is None:
        raise InputError(f"The mask {path} is empty: paint the region to fill in white (255) on black (0).")
    return mask


def _photo_paths(folder: Path) -> list[Path]:
    """Return the photos of a folder by name, without hidden files, folders, masks and everything else."""
    paths = sorted(path for path in folder.iterdir() if _is_image(path))
    found = f"{len(paths)} photo{'' if len(paths) == 1 else 's'}"
    if len(paths) < MIN_PHOTOS:
        raise InputError(
            f"{folder} holds {found}, but fine-tuning needs at least {MIN_PHOTOS} (better 5 to 8) "
            "from different angles: add some as PNG, JPEG or WebP."
        )
    return paths


def _is_image(path: Path) -> bool:
    known = Image.registered_extensions().get(path.suffix.lower()) in Image.OPEN
    hidden = path.name.startswith(".")
    return known and not hidden and path.is_file() and not path.name.endswith(MASK_ENDING)


def _own_mask(photo: Path, size: tuple[int, int]) -> Image.Image | None:
    path = photo.with_name(photo.stem + MASK_ENDING)
    return load_mask(path, size) if path.is_file() else None


def _open(path: str | Path) -> Image.Image:
    if not Path(path).is_file():
        raise InputError(f"There is no picture {path}: check the path.")
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture: save it again as PNG or JPEG.") from error


def _load_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(info, dict):
        raise InputError(f'{path} must hold one JSON object such as {{"class_noun": "armchair"}}.')
    return info
