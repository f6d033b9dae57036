"""Parametric products: nine class nouns, each a dict of numbers turned into parts with surfaces.

`random_spec(rng)` draws a product, `build(spec)` turns a spec into parts. A spec is plain data (JSON), so that a
catalogue item is a spec written down. The front of a product looks to -y, it stands on z = 0; sizes in metres.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field

import numpy as np

from . import furniture, goods
from .kit import Kit, Part

COLORS = {
    "red": "#c8202c",
    "orange": "#ee7a1a",
    "yellow": "#f2cb24",
    "green": "#2f9144",
    "teal": "#149c9c",
    "blue": "#2452bd",
    "purple": "#7b35a8",
    "pink": "#f08fb4",
    "brown": "#7d4e2c",
    "black": "#232326",
    "grey": "#8d9096",
    "white": "#f1efe9",
}
PATTERNS = ("plain", "striped", "checked", "dotted")
EMBLEMS = ("disc", "square", "diamond", "triangle")  # the catalogue has others besides
MORE_EMBLEMS = (*EMBLEMS, "trefoil", "clover", "flower", "arrow")
LEGS = ("leg0", "leg1", "leg2", "leg3")
# What `decorate` may paint: parts that leave enough of the main colour for it to stay the main colour.
PAINTABLE = {
    "sofa": ("left", "right", "seat", "legs", *LEGS),
    "armchair": ("left", "right", "seat", "legs", *LEGS),
    "chair": ("left", "right", "seat", "legs", *LEGS),
    "table": ("left", "legs", *LEGS),
    "lamp": ("base", "leg0"),
    "vase": ("left", "right"),
    "mug": ("right", "top"),
    "wall art": ("left", "right", "base"),
    "t-shirt": ("left", "right", "top"),
}
WOODS = ("#8a5a33", "#b98a57", "#5b3a22", "#d9bd93", "#2c2622")
WHERE = {
    "sofa": "room",
    "armchair": "room",
    "chair": "room",
    "table": "room",
    "wall art": "wall",
    "lamp": "desk",
    "vase": "desk",
    "mug": "desk",
    "t-shirt": "mannequin",
}
CLASS_NOUNS = tuple(WHERE)


@dataclass
class Product:
    parts: list[Part]
    size: tuple[float, float, float]
    body: list[Part] = field(default_factory=list)  # what wears it: the mannequin under a T-shirt


def shade(color: str, rng) -> str:
    """A near colour of the same name: hue, saturation and value moved a little."""
    r, g, b = (int(COLORS[color][i : i + 2], 16) / 255 for i in (1, 3, 5))
    h, s, v = colorsys.rgb_to_hsv(r, g, b)
    h = (h + rng.uniform(-0.012, 0.012)) % 1
    s = float(np.clip(s * rng.uniform(0.88, 1.1), 0, 1))
    v = float(np.clip(v * rng.uniform(0.88, 1.1), 0, 0.97))
    return "#" + "".join(f"{int(round(c * 255)):02x}" for c in colorsys.hsv_to_rgb(h, s, v))


def random_spec(rng) -> dict:
    """A product drawn at random: class noun, colours, pattern and shape numbers in [0, 1]."""
    noun = str(rng.choice(CLASS_NOUNS))
    color = str(rng.choice(list(COLORS)))
    color2 = str(
        rng.choice([c for c in COLORS if c != color and (color, c) not in (("grey", "white"), ("white", "grey"))])
    )
    if rng.random() < 0.4:
        color2 = "white" if color not in ("white", "grey", "yellow") else "black"
    spec = {
        "class_noun": noun,
        "color": color,
        "color2": color2,
        "pattern": str(rng.choice(PATTERNS, p=[0.4, 0.2, 0.2, 0.2])),
        "shade": shade(color, rng),
        "shade2": shade(color2, rng),
        "period": float(rng.uniform(0.8, 1.3)),
        "wood": str(rng.choice(WOODS)),
        "gloss": float(rng.choice([0.0, 0.6])) if noun not in ("t-shirt", "wall art") else 0.0,
        "shape": [round(float(x), 3) for x in rng.random(8)],
        "paint": {},
    }
    if rng.random() < 0.12:  # now and then one part in another colour, or an emblem, so that neither is unheard of
        spec["paint"][str(rng.choice(["seat", "back", "left", "right", "top", "leg0"]))] = spec["shade2"]
    if rng.random() < 0.12:
        spec["emblem"] = [str(rng.choice(EMBLEMS)), spec["shade2"]]
    return spec


def decorate(spec: dict, rng) -> dict:
    """The same product with up to three of its parts in other colours, and often an emblem, as catalogue items have
    them.
    """
    noun, others = spec["class_noun"], [c for c in COLORS if c not in (spec["color"], spec["color2"])]

    def paint() -> str:
        return spec["shade2"] if rng.random() < 0.4 else shade(str(rng.choice(others)), rng)

    count = min(int(rng.choice(4, p=[0.15, 0.35, 0.3, 0.2])), len(PAINTABLE[noun]))
    painted = {}
    for name in sorted(
        rng.choice(PAINTABLE[noun], count, replace=False), key="legs".__ne__
    ):  # one leg may differ from the rest
        color = paint()
        painted |= dict.fromkeys(LEGS if name == "legs" else [str(name)], color)
    emblem = [str(rng.choice(MORE_EMBLEMS)), paint()] if rng.random() < 0.4 or not painted else None
    return {**spec, "paint": painted, "emblem": emblem}


def decorated(spec: dict) -> bool:
    """Whether parts of it have other colours, or it wears an emblem."""
    return bool(spec["paint"] or spec.get("emblem"))


_BUILDERS = {
    "sofa": (furniture.sofa, 0.24),
    "armchair": (furniture.armchair, 0.2),
    "chair": (furniture.chair, 0.13),
    "table": (furniture.table, 0.2),
    "lamp": (goods.lamp, 0.07),
    "vase": (goods.vase, 0.055),
    "mug": (goods.mug, 0.03),
    "wall art": (furniture.wall_art, 0.2),
    "t-shirt": (goods.t_shirt, 0.1),
}


def build(spec: dict) -> Product:
    """The parts of the product that `spec` describes (see `random_spec`), standing at the origin."""
    builder, period = _BUILDERS[spec["class_noun"]]
    kit = Kit(spec, period)
    size = builder(spec, kit)
    body = goods.mannequin(spec.get("skin", "#d9b79a")) if spec["class_noun"] == "t-shirt" else []
    return Product(kit.parts, size, body)


def describe(spec: dict) -> str:
    """The product in words: "striped red and white armchair", "plain blue mug", "blue mug" if it is decorated."""
    if spec["pattern"] == "plain":
        return f"{'' if decorated(spec) else 'plain '}{spec['color']} {spec['class_noun']}"
    return f"{spec['pattern']} {spec['color']} and {spec['color2']} {spec['class_noun']}"
