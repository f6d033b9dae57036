"""Pairs of an item and a context: what the benchmark paints and measures.

Three layouts of a folder are known:

- that of data/, with ``benchmark/PAIR/pair.json`` and true pictures;
- products and photos of your own, without true pictures: ``catalog/ITEM/`` and ``contexts/NAME/``. Each item is painted
  into each context that fits it;
- the public MureCom benchmark (bcmi/DreamCom-Image-Composition), without true pictures: ``CATEGORY/fg1/`` holds the
  photos of an item and its masks, ``CATEGORY/bg/`` the backgrounds and their boxes. Items are called "CATEGORY-fg1".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from .. import catalog
from ..catalog import Context, Item
from ..errors import InputError
from ..masks import rectangle
from ..squares import pad_to_square


@dataclass(frozen=True)
class Pair:
    """An item, a context, and what the truth looks like."""

    name: str
    item: Item
    context: Context
    mask: Image.Image  # to paint
    truth: Image.Image | None = None
    item_mask: Image.Image | None = None  # 255 where the true picture shows the item
    others: dict[str, Image.Image] = field(default_factory=dict)  # in the scene: "bare", "twin-1", "turned-15"
    yaw: float | None = None  # how far the item is turned in the true picture, degrees, as on its photos

    @property
    def pictures(self) -> dict[str, Image.Image]:
        """Return the pictures to measure that need no painter, by name."""
        true = {} if self.truth is None else {"true-picture": self.truth}
        return {**true, "untouched-photo": self.context.photo, **self.others}


def load_pairs(data: Path, items: Sequence[str] = ()) -> list[Pair]:
    """Load the pairs of a folder, of all items unless some are named.

    Raises:
        InputError: there is no pair of a named item, or no pair at all.
    """
    if (data / "benchmark").is_dir():
        pairs = list(_benchmark_pairs(data, items))
    elif _categories(data):
        pairs = list(_murecom_pairs(data, items))
    else:
        pairs = list(_own_pairs(data, items))
    missing = set(items) - {pair.item.name for pair in pairs}
    if missing or not pairs:
        wanted = f"no pair of {', '.join(sorted(missing))}" if missing else "no pair of an item and a context"
        raise InputError(f"{data} holds {wanted}: name items of it, or a folder with catalog/ and contexts/.")
    return pairs


def load_gallery_items(data: Path, items: Sequence[str] = ()) -> list[Item]:
    """Load what retrieval searches: all items of the catalogue and all near-twins in twins/.

    An item with more views is found more easily. So an item that has twins keeps only the photos that all its twins
    have, too, by name. From MureCom all items of the named items' categories are loaded.
    """
    if _categories(data):
        wanted = {name.rpartition("-")[0] for name in items}
        return [
            item for folder in _categories(data) if not wanted or folder.name in wanted for item in _objects(folder)
        ]
    folders = [path.parent for kind in ("catalog", "twins") for path in sorted((data / kind).glob("*/item.json"))]
    found, views = [catalog.load_item(folder) for folder in folders], {}
    for item in found:
        if "twin_of" in item.info:
            own = {path.name for path in item.paths}
            views[item.info["twin_of"]] = views.get(item.info["twin_of"], own) & own
    return [_with_photos(item, views[item.name]) if views.get(item.name) else item for item in found]


def _benchmark_pairs(data: Path, items: Sequence[str]) -> Iterator[Pair]:
    for path in sorted((data / "benchmark").glob("*/pair.json")):
        folder, about = path.parent, json.loads(path.read_text(encoding="utf-8"))
        if items and about["item"] not in items:
            continue
        item = catalog.load_item(data / "catalog" / about["item"])
        context = catalog.load_context(data / "contexts" / about["context"])
        true = catalog.load_photo(folder / "truth.png")
        pictures = sorted(path for kind in ("bare", "twin-*", "turned-*") for path in folder.glob(f"{kind}.png"))
        others = {picture.stem: catalog.load_photo(picture) for picture in pictures}
        item_mask = catalog.load_mask(folder / "mask.png", true.size)
        yield Pair(folder.name, item, context, _mask(context), true, item_mask, others, about.get("yaw"))


def _own_pairs(data: Path, items: Sequence[str]) -> Iterator[Pair]:
    contexts = [catalog.load_context(path) for path in sorted((data / "contexts").glob("[!.]*")) if path.is_dir()]
    for path in sorted((data / "catalog").glob("*/item.json")):
        if items and path.parent.name not in items:
            continue
        item = catalog.load_item(path.parent)
        for context in contexts:
            if not context.fits or item.class_noun in context.fits:
                yield Pair(f"{item.name}--{context.name}", item, context, _mask(context))


def _murecom_pairs(data: Path, items: Sequence[str]) -> Iterator[Pair]:
    for folder in _categories(data):
        chosen = [item for item in _objects(folder, items)]
        for line in (folder / "bg" / "bbox.txt").read_text(encoding="utf-8").splitlines() if chosen else ():
            *_, name, left, top, right, bottom = line.split()  # the category may have several words
            photo = catalog.load_photo(folder / "bg" / name)
            mask = rectangle(photo.size, (int(left), int(top), int(right) + 1, int(bottom) + 1))
            context = Context(f"{folder.name}-{Path(name).stem}", photo, {"rectangle": mask})
            for item in chosen:
                yield Pair(f"{item.name}--{Path(name).stem}", item, context, mask)


def _categories(data: Path) -> list[Path]:
    return sorted(path.parent.parent for path in data.glob("*/bg/bbox.txt"))


def _objects(category: Path, items: Sequence[str] = ()) -> Iterator[Item]:
    """Load the items of a MureCom category, of all unless some are named."""
    for folder in sorted(category.glob("fg[0-9]")):
        name, noun = f"{category.name}-{folder.name}", category.name.replace("_", " ").lower()
        if not items or name in items:
            paths = sorted(folder.glob("*.jpg"))
            photos = [catalog.load_photo(path) for path in paths]
            masks = [
                catalog.load_mask(path.with_suffix(".png"), photo.size)
                for path, photo in zip(paths, photos, strict=True)
            ]
            squares, own = [pad_to_square(photo) for photo in photos], [pad_to_square(mask, 0) for mask in masks]
            yield Item(name, noun, squares, own, paths, title=noun)


def _mask(context: Context) -> Image.Image:
    """Return the mask to paint: the rectangle, or the first one where there is none."""
    if not context.masks:
        raise InputError(f"The context {context.name} has no mask: put one into its folder masks/.")
    return context.masks.get("rectangle") or next(iter(context.masks.values()))


def _with_photos(item: Item, names: set[str]) -> Item:
    """Return an item with the photos of some names alone."""
    kept = [index for index, path in enumerate(item.paths) if path.name in names]
    fields = {name: [getattr(item, name)[index] for index in kept] for name in ("photos", "own_masks", "paths")}
    return replace(item, **fields)
