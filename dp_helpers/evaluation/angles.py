"""Unseen angles (Fig. 2): is a painting nearer to a held-back view than to any photo that the model has seen?

The catalogue holds back views between two photos, and item.json says how far the product is turned on each. A scene
shows an unseen angle if, of all these views, one of the held-back ones is nearest in yaw to its true pose. The painter
is not told that pose. The same question is asked of true pictures, of which we know the answer. This tests the ruler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from .. import catalog
from ..catalog import Item
from ..presets import Preset
from ..segment import object_masks
from . import retrieval, silhouette
from .pairs import Pair
from .rows import picture_path


@dataclass(frozen=True)
class View:
    """One photo of an item: how far the product is turned on it, and whether the model has seen it."""

    photo: Image.Image
    product: retrieval.Product
    yaw: float  # degrees
    seen: bool


def load_views(item: Item, preset: Preset) -> list[View]:
    """Load the photos of an item and its held-back ones; none if item.json does not say how they are turned."""
    if not item.info.get("yaws") or not item.info.get("heldout_yaws"):
        return []
    heldout = catalog.load_item(item.paths[0].parents[1] / "heldout", item.class_noun)
    views = []
    for source, yaws, seen in ((item, item.info["yaws"], True), (heldout, item.info["heldout_yaws"], False)):
        products = retrieval.encode(source.photos, object_masks(source, preset), retrieval.PRODUCT_SCALE, preset)
        views += [View(*three, seen) for three in zip(source.photos, products, yaws, strict=True)]
    return views


def nearest_in_yaw(views: Sequence[View], yaw: float) -> View:
    """Return the view that is turned most alike."""
    return min(views, key=lambda view: abs(view.yaw - yaw))


def nearest_in_looks(image: Image.Image, pair: Pair, views: Sequence[View], preset: Preset) -> View | None:
    """Return the view that the painted product resembles most; None where ClipSeg finds no product.

    Formula: picture and view are cut to the square around the product; mean of cos over the patches at the same place,
    each weighted by the share of it that the view's product covers.

    Args:
        image: the painted photo.
        pair: its mask and item.
        views: from `load_views`.
        preset: names ClipSeg and CLIP.
    """
    shape = silhouette.silhouette(image, pair.mask, pair.item.class_noun, preset)
    if shape.getbbox() is None:
        return None
    (painted,) = retrieval.encode([image], [shape], retrieval.PRODUCT_SCALE, preset)

    def similarity(view: View) -> float:
        cosines = (view.product.features * painted.features).sum(dim=-1)
        return float((cosines * view.product.shares).sum() / view.product.shares.sum())

    return max(views, key=similarity)


def table(rows, painter: str, pairs: Sequence[Pair], preset: Preset, folder: Path) -> list[dict[str, Any]]:
    """Return one line for each true picture, and for each painting of a scene with an unseen angle.

    Args:
        rows: from `benchmark.run`.
        painter: whose pictures count.
        pairs: those without a yaw are left out.
        preset: names ClipSeg and CLIP.
        folder: holds the pictures of the rows.
    """
    views = {item.name: load_views(item, preset) for item in {pair.item.name: pair.item for pair in pairs}.values()}
    found = []
    for pair in pairs:
        if pair.yaw is None or not views[pair.item.name]:
            continue
        turns = {name: float(name.removeprefix("turned-")) for name in pair.others if name.startswith("turned-")}
        shown = {("true-picture", 0): (pair.truth, pair.yaw)}
        shown |= {(name, 0): (pair.others[name], pair.yaw + turn) for name, turn in turns.items()}
        if not nearest_in_yaw(views[pair.item.name], pair.yaw).seen:
            for row in rows:
                if (row["pair"], row["painter"]) == (pair.name, painter):
                    path = picture_path(folder, pair.name, painter, row["seed"])
                    shown[painter, row["seed"]] = (catalog.load_photo(path), pair.yaw)
        for (name, seed), (image, yaw) in shown.items():
            nearest = nearest_in_looks(image, pair, views[pair.item.name], preset)
            line = {"pair": pair.name, "picture": name, "seed": seed, "yaw": round(yaw, 1)}
            line["unseen"] = int(not nearest_in_yaw(views[pair.item.name], yaw).seen)
            line["nearest_yaw"] = "" if nearest is None else nearest.yaw
            found.append(line | {"nearest_unseen": "" if nearest is None else int(not nearest.seen)})
    return found


def summary(lines: Sequence[dict[str, Any]], painter: str) -> str:
    """Say what the table shows, with the test of the ruler first."""

    def count(chosen) -> str:
        return f"{sum(line['nearest_unseen'] == 1 for line in chosen)} of {len(chosen)}"

    true = [line for line in lines if line["picture"] != painter]
    own = [line for line in lines if line["picture"] == painter]
    scenes = len({line["pair"] for line in own})
    return (
        f"Of true pictures with an unseen angle, {count([line for line in true if line['unseen']])} look most like a "
        f"held-back view; of those with a seen one, {count([line for line in true if not line['unseen']])}. Of "
        f"{painter}'s paintings in the {scenes} scenes with an unseen angle, {count(own)} do."
    )
