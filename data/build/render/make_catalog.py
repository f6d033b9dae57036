"""Render what people see: `data/catalog`, `data/contexts` and `data/benchmark`. `python -m
data.build.render.make_catalog`

Whatever exists is left alone, so that a killed run goes on where it stopped; delete a folder to make it anew.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from . import products, scenes
from .items import ITEMS

DATA = Path(__file__).resolve().parents[2]
SIZE, SAMPLES, SEED = 256, 25, 7
# Degrees. The yaws from 10 to 40 are held back for the novel-view test (a picture is only ever seen from near the
# front).
YAWS = {"photos": (-60, -42, -25, -8, 3, 50, 64), "heldout": (14, 25, 36)}
ART_YAWS = {"photos": (-28, -20, -12, -4, 16, 25), "heldout": (4, 10)}

# name, kind, nouns that fit, nominal size (width, depth, height), seed
CONTEXTS = [
    ("reading-corner", "room", ["armchair"], (0.95, 0.85, 0.9), 11),
    ("bay-room", "room", ["armchair"], (0.95, 0.85, 0.9), 12),
    ("living-room", "room", ["sofa"], (1.75, 0.85, 0.95), 13),
    ("garden-room", "room", ["sofa"], (1.75, 0.85, 0.95), 14),
    ("hallway", "room", ["chair"], (0.5, 0.5, 1.0), 15),
    ("kitchen", "room", ["chair"], (0.5, 0.5, 1.0), 16),
    ("sunroom", "room", ["table"], (0.95, 0.95, 0.6), 17),
    ("parlour", "room", ["table"], (0.95, 0.95, 0.6), 18),
    ("gallery-wall", "wall", ["wall art"], (0.9, 0.04, 0.65), 19),
    ("staircase-wall", "wall", ["wall art"], (0.9, 0.04, 0.65), 20),
    ("writing-desk", "desk", ["lamp", "vase"], (0.26, 0.26, 0.42), 21),
    ("sideboard", "desk", ["lamp", "vase"], (0.26, 0.26, 0.42), 22),
    ("coffee-table", "desk", ["mug"], (0.14, 0.1, 0.11), 23),
    ("workbench", "desk", ["mug"], (0.14, 0.1, 0.11), 24),
    ("mannequin-anna", "mannequin", ["t-shirt"], (0.46, 0.25, 0.6), 25),
    ("mannequin-ben", "mannequin", ["t-shirt"], (0.46, 0.25, 0.6), 26),
    ("mannequin-chris", "mannequin", ["t-shirt"], (0.46, 0.25, 0.6), 27),
]
PLAIN_SHIRTS = {25: "grey", 26: "white", 27: "brown"}


def save(image: np.ndarray | Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, optimize=True)


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def whole(folder: Path, make) -> None:
    """Run `make(part)` on a temporary folder and move it into place when it is whole."""
    if folder.exists():
        return
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    make(part)
    os.replace(part, folder)
    print(folder.relative_to(DATA), flush=True)


def make_item(item: dict, folder: Path) -> None:
    """A catalogue item: photos on white from several yaws, the held-back ones beside them, and item.json."""
    spec, rng = item["spec"], np.random.default_rng([SEED, sum(item["name"].encode())])
    thing, noun = products.build(spec), spec["class_noun"]
    for kind, yaws in (ART_YAWS if noun == "wall art" else YAWS).items():
        for number, yaw in enumerate(yaws, 1):
            setting = scenes.sweep(rng, thing.size, yaw, noun == "t-shirt", noun == "wall art")
            save(setting.photo(thing, SIZE, SAMPLES, thing.body), folder / kind / f"photo-{number}.png")
    write_json(folder / "item.json", item_info(item))


def item_info(item: dict) -> dict:
    """Return the contents of item.json. The yaws are those of the photos and of the held-back ones, in degrees."""
    spec, size = item["spec"], products.build(item["spec"]).size
    yaws = ART_YAWS if spec["class_noun"] == "wall art" else YAWS
    return {
        "title": item["title"],
        "class_noun": spec["class_noun"],
        "size_cm": [round(100 * v) for v in size],
        "details": item["details"],
        "color": spec["color"],
        **({} if spec["pattern"] == "plain" else {"color2": spec["color2"]}),
        "pattern": spec["pattern"],
        "yaws": list(yaws["photos"]),
        "heldout_yaws": list(yaws["heldout"]),
    }


def setting_of(context: tuple) -> tuple[scenes.Setting, list, products.Product | None]:
    """A context's setting, the body in it, and the plain shirt that the body wears at first."""
    name, kind, nouns, size, seed = context
    rng = np.random.default_rng([SEED, seed])
    body = scenes.shirt_body(rng) if kind == "mannequin" else []
    setting = scenes.around(rng, nouns[0], size)
    plain = None
    if body:
        color = PLAIN_SHIRTS[seed]
        plain = products.build(
            {
                **ITEMS[-1]["spec"],
                "pattern": "plain",
                "shade": products.COLORS[color],
                "paint": {},
                "emblem": None,
                "shape": [0.5] * 8,
            }
        )
    return setting, body, plain


def suggested_masks(region: np.ndarray, seed: int) -> dict[str, Image.Image]:
    """Masks (mode L, 255 = repaint) around `region`: a rectangle, an ellipse and one that looks drawn by hand."""
    rows, columns = np.nonzero(region.any(1))[0], np.nonzero(region.any(0))[0]
    x0, y0, x1, y1 = columns[0], rows[0], columns[-1], rows[-1]
    grow = 0.07 * max(x1 - x0, y1 - y0)
    cx, cy, rx, ry = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2 + grow, (y1 - y0) / 2 + grow
    masks = {name: Image.new("L", region.shape[::-1], 0) for name in ("rectangle", "ellipse", "drawn")}
    ImageDraw.Draw(masks["rectangle"]).rectangle([cx - rx, cy - ry, cx + rx, cy + ry], fill=255)
    ImageDraw.Draw(masks["ellipse"]).ellipse([cx - 1.3 * rx, cy - 1.3 * ry, cx + 1.3 * rx, cy + 1.3 * ry], fill=255)
    rng = np.random.default_rng([SEED, seed])
    t = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    wobble = 1 + sum(rng.uniform(0.01, 0.03) * np.sin(k * t + rng.uniform(0, 6.3)) for k in range(2, 8))
    squareness = 1.08 / np.maximum(np.abs(np.cos(t)) ** 3 + np.abs(np.sin(t)) ** 3, 1e-3) ** (1 / 3)
    outline = np.stack([cx + rx * wobble * squareness * np.cos(t), cy + ry * wobble * squareness * np.sin(t)], 1)
    ImageDraw.Draw(masks["drawn"]).polygon([tuple(p) for p in outline], fill=255)
    masks["drawn"] = masks["drawn"].filter(ImageFilter.GaussianBlur(3)).point(lambda v: 255 * (v > 127))
    return masks


def fitting(context: tuple) -> list[dict]:
    return [item for item in ITEMS if item["spec"]["class_noun"] in context[2]]


def make_context(context: tuple, folder: Path) -> None:
    """A context photo with suggested masks that hold any fitting item."""
    name, kind, nouns, _, seed = context
    setting, body, plain = setting_of(context)
    save(setting.photo(plain, SIZE, SAMPLES, body), folder / "photo.png")
    things = [products.build(item["spec"]) for item in fitting(context)] + ([plain] if plain else [])
    region = np.max([setting.mask(thing, SIZE, body) for thing in things], 0)
    for shape, mask in suggested_masks(region, seed).items():
        save(mask, folder / "masks" / f"{shape}.png")
    write_json(folder / "context.json", {"name": name, "kind": "room" if kind == "wall" else kind, "fits": nouns})


def make_pair(item: dict, context: tuple, folder: Path) -> None:
    """The true picture: the context's own camera and light, the item standing there, and its mask."""
    setting, body, _ = setting_of(context)
    thing = products.build(item["spec"])
    save(setting.photo(thing, SIZE, SAMPLES, body), folder / "truth.png")
    save(setting.mask(thing, SIZE, body), folder / "mask.png")
    write_json(folder / "pair.json", pair_info(item, context))


def pair_info(item: dict, context: tuple) -> dict:
    """Return the contents of pair.json. The yaw is the turn before the camera in degrees, as in the item's photos."""
    setting, _, _ = setting_of(context)
    x, y, _ = setting.origin - setting.place
    yaw = np.degrees(setting.turn - np.arctan2(x, -y))
    return {"item": item["name"], "context": context[0], "yaw": round(float(yaw), 1)}


def main() -> None:
    for item in ITEMS:
        whole(DATA / "catalog" / item["name"], lambda part, item=item: make_item(item, part))
    for context in CONTEXTS:
        whole(DATA / "contexts" / context[0], lambda part, context=context: make_context(context, part))
        for item in fitting(context):
            folder = DATA / "benchmark" / f"{item['name']}--{context[0]}"
            whole(folder, lambda part, item=item, context=context: make_pair(item, context, part))


if __name__ == "__main__":
    main()
