"""Captions in varied words, from a picture's record: a random share of what is known, from the class noun alone to
everything.

`describe` needs the full `spec` of a product (see `render.products`), which every rendered record holds. Product names
are random words, as in "Admiral two-seat sofa, blue", so that unknown words in a title mean nothing to the models.
"""

from __future__ import annotations

import zlib

import numpy as np

from ..render.products import COLORS as HEX
from .tokenizer import RARE
from .trainset import article, main_colors

LEGS = {"leg0": "front left leg", "leg1": "front right leg", "leg2": "back right leg", "leg3": "back left leg"}
SEATING = {"left": "left arm", "right": "right arm", "seat": "seat", "back": "back", **LEGS}
PARTS = {
    "sofa": SEATING,
    "armchair": SEATING,
    "chair": SEATING | {"left": "left post", "right": "right post"},
    "table": {"top": "top", "left": "apron", **LEGS},
    "lamp": {"top": "shade", "base": "base", "leg0": "stem"},
    "vase": {"left": "left handle", "right": "right handle"},
    "mug": {"right": "handle", "top": "inside"},
    "wall art": {"base": "frame", "left": "left panel", "right": "right panel"},
    "t-shirt": {"left": "left sleeve", "right": "right sleeve", "top": "collar"},
}
# Parts that only some shapes have (see furniture.py and goods.py); `paint` may name parts that a product lacks.
NEEDS = {
    ("table", "left"): lambda s: s[0] >= 0.5,
    ("lamp", "leg0"): lambda s: s[5] >= 0.5,
    ("vase", "left"): lambda s: s[6] > 0.7,
    ("vase", "right"): lambda s: s[6] > 0.7,
    ("wall art", "left"): lambda s: s[2] > 0.8,
    ("wall art", "right"): lambda s: s[2] > 0.8,
    **{("table", leg): lambda s: s[1] >= 0.35 for leg in LEGS},
}
PLACE = {
    "sofa": "back",
    "armchair": "back",
    "chair": "back",
    "table": "apron",
    "lamp": "shade",
    "vase": "front",
    "mug": "front",
    "wall art": "middle",
    "t-shirt": "chest",
}
SETTING = {
    "room": "in a room",
    "wall": "on a wall",
    "desk": "on a desk",
    "mannequin": "on a mannequin",
    "catalog": "on a white background",
}
KINDS = {
    "sofa": ("two-seat sofa", "modern sofa"),
    "armchair": ("classic armchair", "armchair"),
    "chair": ("dining chair",),
    "table": ("side table", "coffee table"),
    "lamp": ("table lamp", "desk lamp"),
    "vase": ("ceramic vase",),
    "mug": ("coffee mug",),
    "wall art": ("wall art print",),
    "t-shirt": ("cotton t-shirt",),
}
SIZES = {
    "small": 0.0,
    "medium": 0.55,
    "close up": 0.7,
}  # the share of the frame's side from which a product is called so
FRONT = 15  # degrees up to which a product is seen from the front
_NAMED = np.array([[int(value[i : i + 2], 16) for i in (1, 3, 5)] for value in HEX.values()])


def color_name(shade: str) -> str:
    """Return the name of the colour nearest to a shade such as "#d23236"."""
    value = np.array([int(shade[i : i + 2], 16) for i in (1, 3, 5)])
    return list(HEX)[int(np.square(_NAMED - value).sum(1).argmin())]


def mirrored(meta: dict) -> dict:
    """Return the record of the mirrored picture."""
    return meta | {"mirrored": not meta.get("mirrored", False)}


def swap_sides(words: str) -> str:
    """Exchange left and right, as a mirrored picture does."""
    return " ".join({"left": "right", "right": "left"}.get(word, word) for word in words.split())


def details(meta: dict) -> dict[str, str]:
    """Return the visible parts that have colours of their own, in words: {"left arm": "yellow", "legs": "white"}."""
    spec = meta["spec"]
    noun, shape, paint = spec["class_noun"], spec["shape"], spec["paint"] or {}
    painted = {
        PARTS[noun][name]: color_name(shade)
        for name, shade in paint.items()
        if name in PARTS[noun] and NEEDS.get((noun, name), bool)(shape)
    }
    if noun == "table" and "leg0" in paint and not NEEDS["table", "leg0"](shape):
        painted["base"] = color_name(paint["leg0"])  # one foot in the middle
    legs = [color for words, color in painted.items() if words.endswith(" leg")]
    if len(legs) == 4:  # one colour for most of them, the odd one told apart
        common = max(legs, key=legs.count)
        painted = {k: v for k, v in painted.items() if not k.endswith(" leg") or v != common} | {"legs": common}
    return {swap_sides(k): v for k, v in painted.items()} if meta.get("mirrored") else painted


def emblem(meta: dict) -> tuple[str, str] | None:
    """Return colour and kind of the emblem, and where it is: ("red star", "back")."""
    spec = meta["spec"]
    hidden = spec["class_noun"] == "table" and spec["shape"][0] < 0.5  # a round table has no place for one
    if not spec.get("emblem") or hidden:
        return None
    kind, shade = spec["emblem"]
    return f"{color_name(shade)} {kind}", PLACE[spec["class_noun"]]


def turned(meta: dict) -> str:
    """Return the side from which the picture shows the product: left, right or front."""
    angle = (meta["turn"] + meta["camera"]) * (-1 if meta.get("mirrored") else 1)
    return "front" if abs(angle) <= FRONT else "left" if angle > 0 else "right"


def facts(meta: dict) -> dict:
    """Return what a caption may say of a picture; `color` and `color2` are sets of right answers."""
    wall = meta["class_noun"] == "wall art"
    return {
        "class_noun": meta["class_noun"],
        "pattern": meta["pattern"],
        "color": main_colors(meta),
        "color2": {meta["color"], meta["color2"]},
        "parts": details(meta),
        "emblem": emblem(meta),
        "turned": turned(meta),
        "setting": "catalog" if meta["kind"] == "catalog" else "wall" if wall else meta["setting"],
    }


def fits(shown: dict, said: dict) -> bool:
    """Return whether a picture with the facts `shown` has all that a caption says."""
    for key, value in said.items():
        have = shown[key]
        if not (
            value.items() <= have.items()
            if key == "parts"
            else value in have
            if isinstance(have, set)
            else value == have
        ):
            return False
    return True


def random_name(rng: np.random.Generator) -> str:
    """Return a made-up product name of two or three syllables."""
    syllables = [
        rng.choice(list("bcdfghjklmnprstvw")) + rng.choice(list("aeiou")) + rng.choice(["", "", "n", "r", "l", "s"])
        for _ in range(rng.integers(2, 4))
    ]
    return "".join(syllables)


def token(meta: dict, seed: int = 0) -> str:
    """Return the made-up word that stands for this product in all of its pictures; a fifth share the rare tokens."""
    rng = np.random.default_rng([seed, meta["product"], zlib.crc32(meta["spec"]["shade"].encode())])
    if rng.random() < 0.2:
        return str(rng.choice(RARE))
    return "".join(rng.choice(list("bcdfghjklmnpqrstvwxz"), rng.integers(3, 5)))


def describe(meta: dict, rng: np.random.Generator, size: str | None = None) -> tuple[str, dict]:
    """Return a caption and what it says: a dict with some of the keys of `facts`.

    Each attribute is said with a chance that is drawn for the whole caption. `size` is a key of SIZES.
    """
    level = rng.choice([0.0, 1.0, rng.random()], p=[0.1, 0.15, 0.75])
    shown = facts(meta)
    tell = {key: rng.random() < level for key in (*shown, "size")}
    said = {"class_noun": meta["class_noun"]}
    if tell["pattern"] and (meta["pattern"] != "plain" or not meta["decorated"] and rng.random() < 0.5):
        said["pattern"] = meta["pattern"]
    if tell["color"] or rng.random() < 0.4 * (level > 0):
        said["color"] = meta["color"]
        if meta["color2"] and tell["color2"]:
            said["color2"] = meta["color2"]
    said |= {key: shown[key] for key in ("parts", "emblem", "turned", "setting") if tell[key] and shown[key]}
    if meta["class_noun"] in ("lamp", "vase"):
        said.pop("turned", None)  # most of them look the same from all sides
    words = [phrase(meta, said, rng), *extras(said)]
    if tell["size"] and size:
        words.append(size)
    return (", " if rng.random() < 0.3 else " ").join(words), said


def extras(said: dict) -> list[str]:
    """Return the phrases that follow the noun: parts, emblem, side and setting."""
    words = []
    if "parts" in said:
        parts = [
            f"{color} legs" if part == "legs" else article(f"{color} {part}") for part, color in said["parts"].items()
        ]
        words.append("with " + " and ".join(", ".join(parts).rsplit(", ", 1)))
    if "emblem" in said:
        words.append(f"with {article(said['emblem'][0])} on the {said['emblem'][1]}")
    if "turned" in said:
        words.append(f"seen from the {said['turned']}")
    if "setting" in said:
        words.append(SETTING[said["setting"]])
    return words


def phrase(meta: dict, said: dict, rng: np.random.Generator) -> str:
    """Return adjectives and noun in one of several forms: plain phrase, shop's title, or with the product's token."""
    colors = " and ".join(said[key] for key in ("color", "color2") if key in said)
    pattern, noun, form = said.get("pattern", ""), meta["class_noun"], rng.random()
    if form < 0.25:
        about = f"{colors} {pattern}".strip()
        return f"{random_name(rng)} {rng.choice([noun, *KINDS[noun]])}" + (f", {about}" if about else "")
    words = [word for word in (pattern, colors, noun) if word]
    if form < 0.45:
        return " ".join(["a", token(meta), *words])
    if form < 0.5:
        words.insert(0, random_name(rng))
    text = article(" ".join(words))
    return f"a photo of {text}" if rng.random() < 0.5 else text
