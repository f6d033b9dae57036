"""Pairs of an item and a context, with the true picture: what the benchmark paints and measures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .. import catalog
from ..catalog import Context, Item
from ..errors import InputError


@dataclass(frozen=True)
class Pair:
    """An item, a context, and what the truth looks like."""

    name: str
    item: Item
    context: Context
    mask: Image.Image  # to paint
    truth: Image.Image
    item_mask: Image.Image  # 255 where the true picture shows the item
    others: dict[str, Image.Image]  # the same scene with a near-twin ("twin-1") or the turned item ("turned-15")

    @property
    def pictures(self) -> dict[str, Image.Image]:
        """Return the pictures to measure that need no painter, by name."""
        return {"true-picture": self.truth, "untouched-photo": self.context.photo, **self.others}


def load_pairs(data: Path, items: Sequence[str] | None = None) -> list[Pair]:
    """Load the pairs of data/benchmark, of all items unless some are named.

    Raises:
        InputError: there is no pair of a named item, or no pair at all.
    """
    pairs, folders = [], sorted(path.parent for path in (data / "benchmark").glob("*/pair.json"))
    for folder in folders:
        about = json.loads((folder / "pair.json").read_text(encoding="utf-8"))
        if items and about["item"] not in items:
            continue
        context, true = (
            catalog.load_context(data / "contexts" / about["context"]),
            catalog.load_photo(folder / "truth.png"),
        )
        others = {
            path.stem: catalog.load_photo(path) for kind in ("twin", "turned") for path in folder.glob(f"{kind}-*.png")
        }
        item_mask = catalog.load_mask(folder / "mask.png", true.size)
        item, mask = catalog.load_item(data / "catalog" / about["item"]), context.masks["rectangle"]
        pairs.append(Pair(folder.name, item, context, mask, true, item_mask, others))
    missing = set(items or ()) - {pair.item.name for pair in pairs}
    if missing or not pairs:
        raise InputError(f"{data / 'benchmark'} holds no pair of {', '.join(sorted(missing)) or 'any item'}.")
    return pairs


def load_gallery_items(data: Path) -> list[Item]:
    """Load what retrieval searches: all items of data/catalog and all near-twins of data/twins."""
    folders = [path.parent for kind in ("catalog", "twins") for path in sorted((data / kind).glob("*/item.json"))]
    return [catalog.load_item(folder) for folder in folders]
