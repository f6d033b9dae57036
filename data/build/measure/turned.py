"""How far two true pictures of one item lie apart: `python -m data.build.measure.turned`

In a room or on a desk nothing says which way the product is to look (on a wall or a mannequin it does). Here the
benchmark items of rooms and desks stand once more in their own photos, in their own light, turned by some degrees, and
are compared with the true picture as benchmark.py compares a painted one: what a painter without a fault, who guesses
the turn, would score.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
from PIL import Image

from ..render.items import ITEMS
from ..render.make_catalog import CONTEXTS, DATA, SAMPLES, SIZE, setting_of
from ..render.products import build
from .benchmark import color_difference

TURNS = (-30, -15, 15, 30)  # degrees


def main() -> None:
    contexts, items = {c[0]: c for c in CONTEXTS}, {item["name"]: item for item in ITEMS}
    found: dict[int, list[float]] = {turn: [] for turn in TURNS}
    for folder in sorted((DATA / "benchmark").iterdir()):
        pair = json.loads((folder / "pair.json").read_text())
        context = contexts[pair["context"]]
        if context[1] not in ("room", "desk"):
            continue
        setting, body, _ = setting_of(context)
        thing = build(items[pair["item"]]["spec"])
        truth, where = Image.open(folder / "truth.png").convert("RGB"), Image.open(folder / "mask.png")
        for turn in TURNS:
            turned = dataclasses.replace(setting, turn=setting.turn + np.radians(turn))
            picture = Image.fromarray(turned.photo(thing, SIZE, SAMPLES, body))
            found[turn].append(color_difference(picture, truth, where))
        print(folder.name, [round(found[turn][-1], 1) for turn in TURNS], flush=True)
    print("mean CIEDE2000 on the item:", {turn: round(float(np.mean(values)), 1) for turn, values in found.items()})


if __name__ == "__main__":
    main()
