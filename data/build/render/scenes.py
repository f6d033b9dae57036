"""Settings for products: rooms, desks and mannequin studios, and the white sweep of catalogue photos.

A `Setting` holds what stands around the product, the lights and the camera, and where the product stands; the same
setting is rendered without the product (a context photo) and with it (the true picture).
"""

from __future__ import annotations

from dataclasses import dataclass

import mitsuba as mi
import numpy as np

from . import render
from .goods import mannequin
from .kit import Part, Surface
from .meshes import box, lathe
from .products import COLORS, WHERE, Product
from .props import FLOORS, WALLS, pick, plant, small_thing, wall_piece


@dataclass
class Setting:
    kind: str
    around: list[Part]
    lights: dict
    origin: np.ndarray
    target: np.ndarray
    fov: float
    place: np.ndarray
    turn: float
    exposure: float = 1.0

    def put(self, parts: list[Part]) -> list[Part]:
        """The parts moved to where the product stands in this setting."""
        return [Part(p.mesh.moved(self.place, self.turn), p.surface) for p in parts]

    def view(self, size: int, samples: int, seed: int = 0) -> dict:
        return render.camera(self.origin, self.target, self.fov, size, samples, seed)

    def photo(
        self, product: Product | None, size: int, samples: int, body: list[Part] = (), seed: int = 0
    ) -> np.ndarray:
        """The picture, sRGB uint8, with the product (None: without); `body` wears it."""
        parts = self.around + self.put(list(body) + (product.parts if product else []))
        return render.picture(parts, self.lights, self.view(size, samples, seed), self.exposure)

    def mask(self, product: Product, size: int, body: list[Part] = ()) -> np.ndarray:
        """The product's visible pixels, 0 or 255."""
        return render.mask(self.put(product.parts), self.around + self.put(list(body)), self.view(size, 4))


def area_light(center, size: float, power: float, look_at, warmth: float = 0.0) -> dict:
    """A square lamp; `warmth` from -1 (sky) to 1 (bulb)."""
    tint = np.array([1 + 0.18 * warmth, 1.0, 1 - 0.28 * warmth]) * power
    to_world = mi.ScalarTransform4f().look_at(
        origin=[float(v) for v in center], target=[float(v) for v in look_at], up=[0, 1, 0.01]
    ) @ mi.ScalarTransform4f().scale(size / 2)
    return {
        "type": "rectangle",
        "to_world": to_world,
        "emitter": {"type": "area", "radiance": {"type": "rgb", "value": tint.tolist()}},
    }


def _sky(power: float, warmth: float = 0.0) -> dict:
    return {
        "type": "constant",
        "radiance": {"type": "rgb", "value": [power * (1 + 0.06 * warmth), power, power * (1 - 0.1 * warmth)]},
    }


def _wall_surface(rng) -> Surface:
    color, other = pick(rng, WALLS), pick(rng, WALLS)
    pattern = str(rng.choice(["plain", "striped", "dotted", "tiles"], p=[0.66, 0.16, 0.1, 0.08]))
    return Surface(color, pattern, other, rng.uniform(0.15, 0.4))


def room(rng, size, hang: bool = False, distance: float | None = None) -> Setting:
    """A corner of a room with the product on the floor (or, with `hang`, on the back wall).

    `size` is the product's (width, depth, height) in metres: the camera stands back as far as it needs.
    """
    width, depth, height = size
    reach = max(width, height * 1.15, depth)
    back = depth / 2 + (0.0 if hang else rng.uniform(0.05, 0.5))
    side = float(rng.choice([-1, 1])) * rng.uniform(0.9, 1.9) * max(reach, 0.9)
    wall = _wall_surface(rng)
    floor = Surface(
        pick(rng, FLOORS),
        str(rng.choice(["planks", "tiles", "plain"], p=[0.5, 0.25, 0.25])),
        "#4d4138",
        rng.uniform(0.5, 0.9),
    )
    parts = [
        Part(box((14, 14, 0.1), (0, 0, -0.05)), floor),
        Part(box((14, 0.1, 6), (0, back + 0.05, 3)), wall),
        Part(box((0.1, 14, 6), (side + 0.05 * np.sign(side), 0, 3)), wall),
        Part(box((14, 0.03, 0.1), (0, back - 0.015, 0.05)), Surface("#f0eee9")),
        Part(box((0.03, 14, 0.1), (side - 0.015 * np.sign(side), 0, 0.05)), Surface("#f0eee9")),
    ]
    if not hang:
        if rng.random() < 0.45:
            rug = Surface(
                pick(rng, list(COLORS.values()) + list(WALLS)),
                str(rng.choice(["plain", "striped", "checked"])),
                pick(rng, WALLS),
                0.3,
            )
            w = rng.uniform(1.0, 1.6) * max(width, 0.7)
            mesh = (
                box((w * 1.3, w, 0.02), (0, -0.25, 0.01))
                if rng.random() < 0.6
                else lathe([(0.001, 0.02), (w * 0.75, 0.02), (w * 0.75, 0.0)][::-1])
            )
            parts.append(Part(mesh.moved((rng.uniform(-0.3, 0.3), 0, 0), rng.uniform(-0.2, 0.2)), rug))
        if rng.random() < 0.5:
            parts += wall_piece(rng, back, (rng.uniform(-0.5, 0.5) * reach, height + rng.uniform(0.35, 0.6)))
        if rng.random() < 0.35:
            parts += plant(rng, (np.sign(-side) * (width / 2 + rng.uniform(0.3, 0.6)), back - 0.3))
    place = np.array([0, back - 0.03, rng.uniform(1.2, 1.5) - height / 2]) if hang else np.zeros(3)
    fov = rng.uniform(36, 48)
    fill = rng.uniform(0.5, 0.8) if not hang else rng.uniform(0.38, 0.62)
    distance = distance or reach / (2 * np.tan(np.radians(fov) / 2) * fill)
    yaw = np.radians(rng.uniform(-24, 24))
    middle = place + [rng.uniform(-0.15, 0.15) * reach, 0, height / 2 + rng.uniform(-0.08, 0.14) * reach]
    eye = middle + distance * np.array([np.sin(yaw), -np.cos(yaw), 0])
    eye[0] = np.clip(eye[0], -abs(side) + 0.2, abs(side) - 0.2)
    eye[2] = middle[2] + distance * rng.uniform(0.05, 0.3) if not hang else middle[2]
    warmth = rng.uniform(-0.6, 1)
    lamp = np.array([rng.uniform(-2, 2), -rng.uniform(0.6, 2.6), rng.uniform(2.2, 3.4)]) * max(reach, 0.8)
    power = 4.2 * rng.uniform(0.7, 1.3) * (np.linalg.norm(lamp) / (1.2 * max(reach, 0.8))) ** 2
    power *= 0.45 if hang else 1.0
    lights = {
        "sky": _sky(rng.uniform(0.35, 0.6), warmth),
        "lamp": area_light(lamp, 1.3 * max(reach, 0.8), power / 1.7, place, warmth),
    }
    return Setting(
        "room", parts, lights, eye, middle, fov, place, np.radians(rng.uniform(-40, 40)) if not hang else 0.0
    )


def desk(rng, size) -> Setting:
    """A table top before a wall, with a few small things around the product."""
    width, depth, height = size
    reach = max(width, height)
    back = reach * rng.uniform(1.0, 1.9)
    top = Surface(
        pick(rng, FLOORS + ("#e9e5dc", "#3c3f45")), str(rng.choice(["planks", "plain"])), "#4d4138", reach * 1.6, 0.0
    )
    parts = [
        Part(box((reach * 14, reach * 10, 0.1), (0, back - reach * 5, -0.05)), top),
        Part(box((reach * 30, 0.1, reach * 16), (0, back + 0.4, 0)), _wall_surface(rng)),
    ]
    for side in rng.permutation([-1, 1])[: int(rng.integers(0, 3))]:
        x, y = side * reach * rng.uniform(0.75, 1.1), back - reach * rng.uniform(0.3, 0.6)
        parts += small_thing(rng, x, y, reach)
    fov = rng.uniform(34, 44)
    distance = reach / (2 * np.tan(np.radians(fov) / 2) * rng.uniform(0.5, 0.78))
    yaw = np.radians(rng.uniform(-24, 24))
    middle = np.array([rng.uniform(-0.15, 0.15) * reach, 0, height / 2 + rng.uniform(-0.08, 0.12) * reach])
    eye = middle + distance * np.array([np.sin(yaw), -np.cos(yaw), rng.uniform(0.12, 0.5)])
    warmth = rng.uniform(-0.6, 1)
    lamp = np.array([rng.uniform(-2, 2), -rng.uniform(1.0, 2.4), rng.uniform(2.6, 3.4)]) * reach
    power = 2.6 * rng.uniform(0.7, 1.3) * (np.linalg.norm(lamp) / (1.2 * reach)) ** 2
    lights = {
        "sky": _sky(rng.uniform(0.4, 0.7), warmth),
        "lamp": area_light(lamp, 1.3 * reach, power / 1.7 * 1.6, (0, 0, 0), warmth),
    }
    return Setting("desk", parts, lights, eye, middle, fov, np.zeros(3), np.radians(rng.uniform(-50, 50)))


def studio(rng) -> Setting:
    """A plain backdrop behind a mannequin, seen from hip to head or closer."""
    wall = Surface(
        pick(rng, WALLS + ("#6f7f8d", "#b98f7a", "#7f8f7f")),
        str(rng.choice(["plain", "plain", "striped"])),
        pick(rng, WALLS),
        0.5,
    )
    parts = [Part(box((12, 0.1, 8), (0, rng.uniform(0.5, 1.2), 0)), wall)]
    fov = rng.uniform(30, 40)
    middle = np.array([rng.uniform(-0.05, 0.05), 0, 0.32 + rng.uniform(-0.04, 0.1)])
    distance = 1.05 / (2 * np.tan(np.radians(fov) / 2)) * rng.uniform(0.85, 1.15)
    yaw = np.radians(rng.uniform(-12, 12))
    eye = middle + distance * np.array([np.sin(yaw), -np.cos(yaw), rng.uniform(-0.03, 0.2)])
    warmth = rng.uniform(-0.5, 0.9)
    lamp = np.array([rng.uniform(-1.6, 1.6), -1.6, rng.uniform(1.0, 2.0)])
    lights = {
        "sky": _sky(rng.uniform(0.45, 0.7), warmth),
        "lamp": area_light(lamp, 0.9, 6.5 * rng.uniform(0.7, 1.2), middle, warmth),
    }
    return Setting("mannequin", parts, lights, eye, middle, fov, np.zeros(3), np.radians(rng.uniform(-30, 30)))


def around(rng, class_noun: str, size) -> Setting:
    """A random setting that makes sense for the class noun."""
    where = WHERE[class_noun]
    if where == "mannequin":
        return studio(rng)
    return desk(rng, size) if where == "desk" else room(rng, size, hang=where == "wall")


def sweep(rng, size, yaw: float, mannequin_view: bool = False, hang: bool = False) -> Setting:
    """The white sweep of a catalogue photo, the product turned by `yaw` degrees: soft light, a contact shadow."""
    width, depth, height = size
    reach = max(width, height, depth) if not mannequin_view else 1.05
    fov, fill = 30, rng.uniform(0.68, 0.8)
    middle = np.array([0, 0, height / 2]) if not mannequin_view else np.array([0, 0, 0.3])
    distance = reach * (1 + 0.25 * min(depth / max(width, height), 1)) / (2 * np.tan(np.radians(fov) / 2) * fill)
    rise = 0.03 if hang or mannequin_view else rng.uniform(0.14, 0.32)
    # A picture stays on its wall, and the camera walks around it; all else turns before the camera.
    walk, turn = (np.radians(-yaw), 0.0) if hang else (0.0, np.radians(yaw))
    eye = middle + distance * np.array([np.sin(walk), -np.cos(walk), rise])
    white = Surface("#ffffff")
    wall = 0.03 if hang else reach * 8
    parts = [Part(box((reach * 60, 0.05, reach * 60), (0, wall + 0.025, 0)), white)]
    if not (mannequin_view or hang):
        parts.append(Part(box((reach * 60, reach * 60, 0.05), (0, 0, -0.025)), white))
    lamp = np.array([rng.uniform(-1.2, 1.2), -1.6, 2.4]) * reach
    lights = {"sky": _sky(0.95), "lamp": area_light(lamp, 1.6 * reach, 3.0, (0, 0, 0))}
    return Setting("catalog", parts, lights, eye, middle, fov, np.zeros(3), turn, 1.12)


def shirt_body(rng) -> list[Part]:
    """A mannequin in one of several skins."""
    return mannequin(pick(rng, ("#e3bf9f", "#c99870", "#8f5f3f", "#5f3f2c", "#d8d3ca", "#e8d0bd")))
