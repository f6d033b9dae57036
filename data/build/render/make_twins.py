"""Render what metrics are tested with: `python -m data.build.render.make_twins` makes data/twins and scenes of them.

A near-twin is an item with one detail changed. The bare twin is the item without its details: no emblem, no painted
part. The photos of a twin have the camera and the light of the item's own photos of the same names. Retrieval searches
`data/twins`.

Four kinds of scenes stand next to the true picture, with its camera and light. In an item's first pair `twin-N.png`
shows a near-twin, and `turned-15.png` and `turned-30.png` show the item turned by so many degrees. On a wall or a
mannequin nothing can be turned. In every pair `bare.png` shows the bare twin.

Whatever exists is left alone; delete a folder or picture to make it again.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from . import products, scenes
from .items import ITEMS
from .make_catalog import ART_YAWS, CONTEXTS, DATA, SAMPLES, SEED, SIZE, YAWS, save, setting_of, whole, write_json
from .products import COLORS

PHOTOS, ART_PHOTOS = (1, 3, 5, 7), (1, 3, 5, 6)  # which of the item's photos a twin has, too
TURNS = (15, 30)  # degrees

# For each item the twins: what has changed in words, and the changed entries of its spec. Entries of `paint` are
# added to the item's own; None takes one away. Round things are not turned into twins by moving a part around them.
TWINS = {
    "harlequin-armchair": [
        ("the right arm is yellow instead of the left one", {"paint": {"left": None, "right": COLORS["yellow"]}}),
        ("the left arm is green instead of yellow", {"paint": {"left": COLORS["green"]}}),
    ],
    "admiral-sofa": [
        ("a heart instead of the star", {"emblem": ["heart", COLORS["white"]]}),
        ("the left arm is white instead of the right one", {"paint": {"left": COLORS["white"], "right": None}}),
    ],
    "sunny-chair": [
        ("the red leg is the front right one", {"paint": {"leg0": COLORS["yellow"], "leg1": COLORS["red"]}}),
        ("the seat is green instead of purple", {"paint": {"seat": COLORS["green"]}}),
    ],
    "clover-table": [
        ("one leg is blue instead of orange", {"paint": {"leg1": COLORS["blue"]}}),
        ("the top is teal instead of green", {"color": "teal", "shade": COLORS["teal"]}),
    ],
    "lantern-lamp": [
        ("a star instead of the heart", {"emblem": ["star", COLORS["teal"]]}),
        ("the foot is purple instead of teal", {"paint": {"base": COLORS["purple"]}}),
    ],
    "lagoon-vase": [
        ("one handle is blue instead of red", {"paint": {"left": COLORS["blue"]}}),
        ("the stripes are purple instead of teal", {"color": "purple", "shade": COLORS["purple"]}),
    ],
    "sweetheart-mug": [
        ("a star instead of the heart", {"emblem": ["star", COLORS["red"]]}),
        ("the handle is blue instead of black", {"paint": {"right": COLORS["blue"]}}),
    ],
    "bumblebee-mug": [
        ("the handle is teal instead of pink", {"paint": {"right": COLORS["teal"]}}),
        ("white stripes instead of the black ones", {"color2": "white", "shade2": COLORS["white"]}),
    ],
    "trio-wall-art": [
        ("the red and the blue panel are exchanged", {"paint": {"left": COLORS["blue"], "right": COLORS["red"]}}),
        ("the panel in the middle is green instead of yellow", {"paint": {"top": COLORS["green"]}}),
    ],
    "polaris-wall-art": [
        ("a heart instead of the star", {"emblem": ["heart", COLORS["orange"]]}),
        ("the star is white instead of orange", {"emblem": ["star", COLORS["white"]]}),
    ],
    "captain-t-shirt": [
        ("the right sleeve is red instead of the left one", {"paint": {"left": None, "right": COLORS["red"]}}),
        ("the left sleeve is yellow instead of red", {"paint": {"left": COLORS["yellow"]}}),
    ],
    "signal-t-shirt": [
        ("a heart instead of the star", {"emblem": ["heart", COLORS["yellow"]]}),
        ("the left sleeve is white instead of the right one", {"paint": {"left": COLORS["white"], "right": None}}),
    ],
}


def twin_spec(spec: dict, changes: dict) -> dict:
    """Return the spec of a twin."""
    paint = {name: color for name, color in {**spec["paint"], **changes.get("paint", {})}.items() if color}
    return {**spec, **changes, "paint": paint}


def bare_spec(spec: dict) -> dict:
    """Return the spec of the bare twin."""
    return {**spec, "paint": {}, "emblem": None}


def make_twin(item: dict, change: str, spec: dict, folder: Path) -> None:
    """Render a twin's photos, and write its item.json with `twin_of` and `change`."""
    thing, noun = products.build(spec), spec["class_noun"]
    rng = np.random.default_rng([SEED, sum(item["name"].encode())])  # as in make_catalog.make_item
    yaws, wanted = (ART_YAWS, ART_PHOTOS) if noun == "wall art" else (YAWS, PHOTOS)
    for number, yaw in enumerate(yaws["photos"], 1):
        setting = scenes.sweep(rng, thing.size, yaw, noun == "t-shirt", noun == "wall art")
        if number in wanted:
            save(setting.photo(thing, SIZE, SAMPLES, thing.body), folder / "photos" / f"photo-{number}.png")
    about = {"title": item["title"], "class_noun": noun, "twin_of": item["name"], "change": change}
    write_json(folder / "item.json", about)


def make_scene(context: tuple, spec: dict, path: Path, turn: float = 0) -> None:
    """Render a product in the scene of a benchmark pair, turned by some degrees, unless the picture exists."""
    if path.exists():
        return
    setting, body, _ = setting_of(context)
    turned = dataclasses.replace(setting, turn=setting.turn + np.radians(turn))
    save(turned.photo(products.build(spec), SIZE, SAMPLES, body), path)
    print(path.relative_to(DATA), flush=True)


def make_twins(item: dict) -> None:
    """Render the photos of an item's near-twins and of its bare twin."""
    changed = [(change, twin_spec(item["spec"], changes)) for change, changes in TWINS[item["name"]]]
    named = {str(number): twin for number, twin in enumerate(changed, 1)}
    named["bare"] = (f"without {item['details']}", bare_spec(item["spec"]))
    for name, (change, spec) in named.items():
        folder = DATA / "twins" / f"{item['name']}-{name}"
        whole(folder, lambda part, change=change, spec=spec: make_twin(item, change, spec, part))


def make_scenes(item: dict, contexts: dict[str, tuple]) -> None:
    """Render the item's twins, and the item turned, into the scenes of its pairs."""
    for index, path in enumerate(sorted(DATA.glob(f"benchmark/{item['name']}--*/pair.json"))):
        context = contexts[json.loads(path.read_text(encoding="utf-8"))["context"]]
        make_scene(context, bare_spec(item["spec"]), path.with_name("bare.png"))
        for number, (_, changes) in enumerate(TWINS[item["name"]] if index == 0 else (), 1):
            make_scene(context, twin_spec(item["spec"], changes), path.with_name(f"twin-{number}.png"))
        for turn in TURNS if index == 0 and context[1] in ("room", "desk") else ():
            make_scene(context, item["spec"], path.with_name(f"turned-{turn}.png"), turn)


def main() -> None:
    contexts = {context[0]: context for context in CONTEXTS}
    for item in ITEMS:
        make_twins(item)
        make_scenes(item, contexts)


if __name__ == "__main__":
    main()
