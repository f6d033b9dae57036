"""Parametric products: nine class nouns, each a dict of numbers turned into parts with surfaces.

`random_spec(rng)` draws a product, `build(spec)` turns a spec into parts. A spec is plain data (JSON), so that a
catalogue item is a spec written down. The front of a product looks to -y, it stands on z = 0; sizes in metres.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field

import numpy as np

from meshes import Mesh, box, lathe, leg, outline, polygon, tube

COLORS = {
    "red": "#c8202c", "orange": "#ee7a1a", "yellow": "#f2cb24", "green": "#2f9144", "teal": "#149c9c",
    "blue": "#2452bd", "purple": "#7b35a8", "pink": "#f08fb4", "brown": "#7d4e2c", "black": "#232326",
    "grey": "#8d9096", "white": "#f1efe9",
}
PATTERNS = ("plain", "striped", "checked", "dotted")
EMBLEMS = ("disc", "square", "diamond", "triangle")          # the catalogue has others besides
WOODS = ("#8a5a33", "#b98a57", "#5b3a22", "#d9bd93", "#2c2622")
WHERE = {"sofa": "room", "armchair": "room", "chair": "room", "table": "room", "wall art": "wall",
         "lamp": "desk", "vase": "desk", "mug": "desk", "t-shirt": "mannequin"}
CLASS_NOUNS = tuple(WHERE)


@dataclass
class Surface:
    """What a part is made of: colours as sRGB hex, the pattern's period in metres, gloss 0 (cloth) to 1 (glaze)."""

    color: str
    pattern: str = "plain"
    color2: str = "#ffffff"
    period: float = 0.2
    gloss: float = 0.0


@dataclass
class Part:
    mesh: Mesh
    surface: Surface


@dataclass
class Product:
    parts: list[Part]
    size: tuple[float, float, float]
    body: list[Part] = field(default_factory=list)   # what wears it: the mannequin under a T-shirt


def shade(color: str, rng) -> str:
    """A near colour of the same name: hue, saturation and value moved a little."""
    r, g, b = (int(COLORS[color][i:i + 2], 16) / 255 for i in (1, 3, 5))
    h, s, v = colorsys.rgb_to_hsv(r, g, b)
    h = (h + rng.uniform(-0.012, 0.012)) % 1
    s = float(np.clip(s * rng.uniform(0.88, 1.1), 0, 1))
    v = float(np.clip(v * rng.uniform(0.88, 1.1), 0, 0.97))
    return "#" + "".join(f"{int(round(c * 255)):02x}" for c in colorsys.hsv_to_rgb(h, s, v))


def random_spec(rng) -> dict:
    """A product drawn at random: class noun, colours, pattern and shape numbers in [0, 1]."""
    noun = str(rng.choice(CLASS_NOUNS))
    color = str(rng.choice(list(COLORS)))
    color2 = str(rng.choice([c for c in COLORS if c != color and (color, c) not in (("grey", "white"), ("white", "grey"))]))
    if rng.random() < 0.4:
        color2 = "white" if color not in ("white", "grey", "yellow") else "black"
    spec = {"class_noun": noun, "color": color, "color2": color2,
            "pattern": str(rng.choice(PATTERNS, p=[0.4, 0.2, 0.2, 0.2])),
            "shade": shade(color, rng), "shade2": shade(color2, rng), "period": float(rng.uniform(0.8, 1.3)),
            "wood": str(rng.choice(WOODS)), "gloss": float(rng.choice([0.0, 0.6])) if noun not in ("t-shirt", "wall art") else 0.0,
            "shape": [round(float(x), 3) for x in rng.random(8)], "paint": {}}
    if rng.random() < 0.12:      # now and then one part in another colour, or an emblem, so that neither is unheard of
        spec["paint"][str(rng.choice(["seat", "back", "left", "right", "top", "leg0"]))] = spec["shade2"]
    if rng.random() < 0.12:
        spec["emblem"] = [str(rng.choice(EMBLEMS)), spec["shade2"]]
    return spec


class _Kit:
    """Collects the parts of one product under construction, choosing each part's surface by its name."""

    def __init__(self, spec: dict, period: float):
        self.spec, self.parts = spec, []
        self.main = Surface(spec["shade"], spec["pattern"], spec["shade2"], period * spec["period"], spec["gloss"])
        self.wood = Surface(spec["wood"], gloss=0.2)

    def add(self, mesh: Mesh, name: str, surface: Surface | None = None) -> None:
        paint = self.spec["paint"].get(name)
        self.parts.append(Part(mesh, Surface(paint) if paint else surface or self.main))

    def emblem(self, radius: float, place) -> None:
        if self.spec.get("emblem"):
            kind, color = self.spec["emblem"]
            self.parts.append(Part(polygon(outline(kind, radius), place), Surface(color)))


def _flat(x0: float, y0: float, z0: float):
    """Where an emblem lies on a front that is flat: centre (x0, z0) on the plane y = y0."""
    return lambda x, z: np.stack([x0 + x, np.full_like(x, y0 - 0.004), z0 + z], -1)


def _seating(spec: dict, kit: _Kit, seats: int) -> tuple[float, float, float]:
    s = spec["shape"]
    arm = 0.12 + 0.1 * s[1]
    width = (0.62 + 0.14 * s[0]) * seats * (1 if seats == 1 else 0.85) + 2 * arm * 0.7
    depth, seat, back = 0.8 + 0.1 * s[2], 0.42, 0.78 + 0.26 * s[3] * (1.3 if seats == 1 else 0.7)
    foot, soft = 0.1 + 0.08 * s[4], 0.03 + 0.05 * s[5]
    inner = width - 2 * arm
    kit.add(box((width - 0.04, depth - 0.04, seat - foot - 0.12), (0, 0, (seat + foot - 0.12) / 2), 0.03), "base")
    arm_top = seat + 0.1 + 0.16 * s[6]
    for side, name in ((-1, "left"), (1, "right")):
        kit.add(box((arm, depth, arm_top - foot), (side * (width - arm) / 2, 0, (arm_top + foot) / 2), soft), name)
    for i in range(seats):
        x = -inner / 2 + inner * (i + 0.5) / seats
        kit.add(box((inner / seats - 0.01, depth - 0.16, 0.15), (x, -0.07, seat - 0.05), 0.05), "seat")
        kit.add(box((inner / seats - 0.01, 0.2, back - seat + 0.05), (x, depth / 2 - 0.2, (back + seat) / 2 - 0.03), 0.06), "back")
    kit.add(box((inner + 0.02, 0.14, back - foot - 0.06), (0, depth / 2 - 0.08, (back + foot) / 2 - 0.03), soft), "back")
    for i, (x, y) in enumerate([(-1, -1), (1, -1), (1, 1), (-1, 1)]):
        kit.add(leg(x * (width / 2 - 0.08), y * (depth / 2 - 0.08), foot + 0.02, 0.03, 0.02), f"leg{i}", kit.wood)
    kit.emblem(min(0.15, inner / seats * 0.24), _flat(-inner / 2 + inner * 0.5 / seats, depth / 2 - 0.3, (back + seat) / 2 + 0.05))
    return width, depth, back


def _sofa(spec, kit):
    return _seating(spec, kit, 2 if spec["shape"][7] < 0.6 else 3)


def _armchair(spec, kit):
    return _seating(spec, kit, 1)


def _chair(spec, kit):
    s = spec["shape"]
    width, depth, seat, back = 0.42 + 0.08 * s[0], 0.42 + 0.06 * s[1], 0.45, 0.85 + 0.2 * s[2]
    frame = kit.wood if s[7] < 0.6 else kit.main
    thick = 0.03 + 0.05 * s[3]
    kit.add(box((width, depth, thick), (0, 0, seat - thick / 2), thick * 0.45), "seat")
    for i, (x, y) in enumerate([(-1, -1), (1, -1), (1, 1), (-1, 1)]):
        kit.add(leg(x * (width / 2 - 0.03), y * (depth / 2 - 0.03), seat - thick, 0.02 + 0.01 * s[4], 0.014, 0.05 * s[5]),
                f"leg{i}", frame)
    post = depth / 2 - 0.02
    for x, name in ((-1, "left"), (1, "right")):
        kit.add(tube(np.linspace([x * (width / 2 - 0.03), post, seat - 0.03], [x * (width / 2 - 0.03), post + 0.05, back], 4), 0.018),
                name, frame)
    if s[6] < 0.6:
        height = (back - seat) * (0.55 + 0.3 * s[4])
        kit.add(box((width - 0.03, 0.035, height), (0, post + 0.02, back - height / 2), 0.016), "back")
    else:
        for i in range(3):
            kit.add(box((width - 0.04, 0.03, (back - seat) * 0.18), (0, post + 0.02 + 0.01 * i, seat + (back - seat) * (0.35 + 0.28 * i)), 0.01), "back")
    kit.emblem(0.085, _flat(0, post - 0.005, back - 0.15))
    return width, depth, back


def _table(spec, kit):
    s = spec["shape"]
    round_top, pedestal = s[0] < 0.5, s[1] < 0.35
    width, height = 0.8 + 0.5 * s[2], 0.5 + 0.25 * s[3]
    depth = width if round_top else width * (0.55 + 0.3 * s[4])
    thick = 0.035 + 0.05 * s[5]
    frame = kit.wood if s[6] < 0.5 else kit.main
    if round_top:
        r = width / 2
        kit.add(lathe([(0.001, height), (r - 0.01, height), (r, height - 0.01), (r, height - thick), (0.001, height - thick)][::-1], 48), "top")
    else:
        kit.add(box((width, depth, thick), (0, 0, height - thick / 2), 0.012), "top")
        kit.add(box((width - 0.1, depth - 0.1, 0.09), (0, 0, height - thick - 0.045)), "left")
    if pedestal:
        kit.add(lathe([(0.3 * depth + 0.08, 0.0), (0.3 * depth + 0.08, 0.02), (0.06, 0.06), (0.045, height - 0.15), (0.12, height - thick)]), "leg0", frame)
    else:
        reach = 0.68 if round_top else 1.0
        for i, (x, y) in enumerate([(-1, -1), (1, -1), (1, 1), (-1, 1)]):
            kit.add(leg(x * (width / 2 - 0.06) * reach, y * (depth / 2 - 0.06) * reach, height - thick, 0.03 + 0.02 * s[7], 0.02,
                        0.03 * s[5]), f"leg{i}", frame)
    if not round_top:
        kit.emblem(0.045, _flat(0, -depth / 2 + 0.05, height - thick - 0.045))
    return width, depth, height


def _lamp(spec, kit):
    s = spec["shape"]
    height, low, high = 0.38 + 0.14 * s[0], 0.11 + 0.05 * s[1], 0.05 + 0.08 * s[2]
    shade_height = height * (0.36 + 0.12 * s[3])
    bottom = height - shade_height
    foot = kit.wood if s[4] < 0.5 else Surface("#4a4d52" if s[4] < 0.75 else "#d8c48f", gloss=0.6)
    kit.add(lathe([(low, bottom), (high, height), (high - 0.004, height), (low - 0.004, bottom + 0.002)]), "top")
    if s[5] < 0.5:
        z = np.linspace(0, bottom + 0.03, 14)
        r = 0.02 + (0.035 + 0.035 * s[6]) * np.sin(np.pi * np.clip(z / (bottom * 0.9), 0, 1)) ** 1.2
        kit.add(lathe(np.stack([r, z], 1)), "base", foot)
    else:
        kit.add(lathe([(0.001, 0.03), (0.075 + 0.03 * s[6], 0.022), (0.08 + 0.03 * s[6], 0.0)][::-1]), "base", foot)
        kit.add(tube(np.linspace([0, 0, 0.02], [0, 0, height - 0.02], 4), 0.011), "leg0", foot)

    def on_shade(x, z):
        z = z + bottom + shade_height * 0.48
        r = low + (high - low) * (z - bottom) / shade_height + 0.002
        return np.stack([x, -np.sqrt(np.maximum(r ** 2 - x ** 2, 0)), z], -1)
    kit.emblem(0.048, on_shade)
    return 2 * low, 2 * low, height


def _vase(spec, kit):
    s = spec["shape"]
    height, belly, neck = 0.22 + 0.16 * s[0], 0.06 + 0.05 * s[1], 0.025 + 0.03 * s[2]
    z = np.linspace(0, 1, 24)
    middle = 0.3 + 0.35 * s[3]
    r = neck + (belly - neck) * np.exp(-((z - middle) / (0.2 + 0.15 * s[4])) ** 2)
    r = r + 0.025 * s[5] * np.clip((z - 0.82) / 0.18, 0, 1) ** 2 + 0.012 * (z < 0.02)
    profile = np.stack([r, z * height], 1)
    kit.add(lathe(np.concatenate([[[0.001, 0]], profile, [[r[-1] - 0.006, height], [r[-1] * 0.7, height * 0.8]]])), "base")
    if s[6] > 0.7:
        for side, name in ((-1, "left"), (1, "right")):
            t = np.linspace(-0.5, 0.5, 12) * np.pi
            where = middle + 0.22
            kit.add(tube(np.stack([side * (np.interp(where, z, r) * 0.9 + 0.035 * np.cos(t)), 0 * t, height * where + 0.05 * np.sin(t)], 1), 0.008), name)

    def on_belly(x, zz):
        zz = zz + height * middle
        radius = np.interp(zz / height, z, r) + 0.0015
        return np.stack([x, -np.sqrt(np.maximum(radius ** 2 - x ** 2, 0)), zz], -1)
    kit.emblem(belly * 0.52, on_belly)
    return 2 * belly, 2 * belly, height


def _mug(spec, kit):
    s = spec["shape"]
    height, radius = 0.085 + 0.035 * s[0], 0.038 + 0.01 * s[1]
    flare = 1 - 0.22 * s[2]
    wall = [(0.001, 0.0), (radius * flare * 0.97, 0.0), (radius * flare, 0.004), (radius * (flare + 1) / 2, height / 2), (radius, height)]
    kit.add(lathe(wall), "base")
    kit.add(lathe([(radius, height), (radius - 0.004, height), (radius * flare - 0.004, 0.01), (0.001, 0.01)]), "top",
            Surface("#efece6" if s[3] < 0.7 else spec["shade2"], gloss=0.4))
    t = np.linspace(-0.5, 0.5, 14) * np.pi
    reach = 0.018 + 0.016 * s[4]
    handle = np.stack([radius * 0.9 + reach * 1.3 * np.cos(t), 0 * t, height * 0.52 + height * 0.33 * np.sin(t)], 1)
    kit.add(tube(handle, 0.0055 + 0.002 * s[5]), "right")

    def on_wall(x, z):
        z = z + height * 0.5
        r = radius * (flare + (1 - flare) * z / height) + 0.0008
        return np.stack([x, -np.sqrt(np.maximum(r ** 2 - x ** 2, 0)), z], -1)
    kit.emblem(0.021, on_wall)
    return 2 * radius + 2 * reach, 2 * radius, height


def _wall_art(spec, kit):
    s = spec["shape"]
    height, width = 0.5 + 0.3 * s[0], 0.5 + 0.5 * s[1]
    pieces = 3 if s[2] > 0.8 else 1
    rim = 0.025 + 0.03 * s[3]
    frame = kit.wood if s[4] < 0.6 else Surface("#26262a" if s[4] < 0.8 else "#e9e6df", gloss=0.2)
    each = width * (1.35 if pieces == 3 else 1) / pieces
    for i in range(pieces):
        x = (i - (pieces - 1) / 2) * each
        w = each - (0.04 if pieces == 3 else 0)
        kit.add(box((w, 0.03, height), (x, 0.01, height / 2)), "base", frame)
        kit.add(box((w - 2 * rim, 0.03, height - 2 * rim), (x, 0.0, height / 2)), ("left", "top", "right")[i] if pieces == 3 else "top")
    kit.emblem(min(each, height) * 0.24, _flat(0, -0.017, height / 2))
    return each * pieces, 0.04, height


def _t_shirt(spec, kit):
    s = spec["shape"]
    waist, chest, shoulder, hem = 0.155 + 0.02 * s[0], 0.18 + 0.015 * s[1], 0.2, -0.02 - 0.06 * s[2]
    z = np.array([hem, 0.1, 0.25, 0.38, 0.46, 0.505, 0.53, 0.54])
    r = np.array([waist + 0.015, waist, (waist + chest) / 2, chest, shoulder - 0.012, shoulder - 0.055, 0.1, 0.078])
    fine = np.linspace(hem, 0.54, 28)
    r, z = np.interp(fine, z, r), fine
    squash = 0.62
    kit.add(lathe(np.stack([r, z], 1), 48, squash), "base")
    length = 0.13 + 0.12 * s[3]
    for side, name in ((-1, "left"), (1, "right")):
        start = np.array([side * 0.1, 0, 0.468])
        bend = np.array([side * (shoulder - 0.02), 0, 0.432])
        way = np.array([side * 0.5, 0, -0.86])
        path = np.concatenate([np.linspace(start, bend, 5), bend + way * np.linspace(0.02, length, 6)[:, None]])
        kit.add(tube(path, np.concatenate([[0.035, 0.05, 0.058, 0.062, 0.064], np.linspace(0.064, 0.062, 6)]), 20), name)
    kit.add(tube([[0.08 * np.cos(a), 0.08 * squash * np.sin(a), 0.54] for a in np.linspace(0, 2 * np.pi, 25)], 0.008, 8), "top",
            Surface(spec["shade2"]) if s[4] > 0.6 else None)

    def on_chest(x, zz):
        zz = zz + 0.33
        radius = np.interp(zz, z, r) + 0.003
        return np.stack([x, -squash * np.sqrt(np.maximum(radius ** 2 - x ** 2, 0)), zz], -1)
    kit.emblem(0.075, on_chest)
    return 0.46, 0.25, 0.6


def mannequin(skin: str = "#d9b79a") -> list[Part]:
    """The mannequin that wears T-shirts: hips, torso, neck, head and arms, a little thinner than any shirt."""
    cloth = Surface(skin, gloss=0.15)
    hips = Surface("#3b4252")
    z = np.array([-0.3, -0.1, 0.02, 0.1, 0.25, 0.38, 0.45, 0.5, 0.53])
    r = np.array([0.165, 0.165, 0.15, 0.14, 0.15, 0.165, 0.17, 0.12, 0.05])
    parts = [Part(lathe(np.stack([r, z], 1)[2:], 40, 0.58), cloth), Part(lathe(np.stack([r, z], 1)[:4] + [0.003, 0], 40, 0.6), hips),
             Part(tube(np.linspace([0, 0, 0.48], [0, -0.01, 0.66], 5), [0.055, 0.05, 0.047, 0.047, 0.05]), cloth)]
    t = np.linspace(0.02, np.pi - 0.02, 16)
    parts.append(Part(lathe(np.stack([0.078 * np.sin(t), 0.74 - 0.115 * np.cos(t)], 1), 28, 1.1), cloth))
    for side in (-1, 1):
        path = np.array([[side * 0.155, 0, 0.46], [side * 0.22, 0, 0.36], [side * 0.27, 0, 0.25], [side * 0.29, -0.02, 0.12],
                         [side * 0.3, -0.06, 0.0], [side * 0.3, -0.1, -0.12]])
        parts.append(Part(tube(path, [0.052, 0.05, 0.045, 0.04, 0.036, 0.03], 16), cloth))
    return parts


_BUILDERS = {"sofa": (_sofa, 0.24), "armchair": (_armchair, 0.2), "chair": (_chair, 0.13), "table": (_table, 0.2),
             "lamp": (_lamp, 0.07), "vase": (_vase, 0.055), "mug": (_mug, 0.03), "wall art": (_wall_art, 0.2),
             "t-shirt": (_t_shirt, 0.1)}


def build(spec: dict) -> Product:
    """The parts of the product that `spec` describes (see `random_spec`), standing at the origin."""
    builder, period = _BUILDERS[spec["class_noun"]]
    kit = _Kit(spec, period)
    size = builder(spec, kit)
    body = mannequin(spec.get("skin", "#d9b79a")) if spec["class_noun"] == "t-shirt" else []
    return Product(kit.parts, size, body)


def describe(spec: dict) -> str:
    """The product in words: "striped red and white armchair", "plain blue mug"."""
    if spec["pattern"] == "plain":
        return f"plain {spec['color']} {spec['class_noun']}"
    return f"{spec['pattern']} {spec['color']} and {spec['color2']} {spec['class_noun']}"
