"""Small products and clothes: lamp, vase, mug and T-shirt, and the mannequin that wears it. See furniture.py."""

from __future__ import annotations

import numpy as np

from .kit import Part, Surface
from .meshes import lathe, tube


def lamp(spec, kit):
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
        return np.stack([x, -np.sqrt(np.maximum(r**2 - x**2, 0)), z], -1)

    kit.emblem(0.048, on_shade)
    return 2 * low, 2 * low, height


def vase(spec, kit):
    s = spec["shape"]
    height, belly, neck = 0.22 + 0.16 * s[0], 0.06 + 0.05 * s[1], 0.025 + 0.03 * s[2]
    z = np.linspace(0, 1, 24)
    middle = 0.3 + 0.35 * s[3]
    r = neck + (belly - neck) * np.exp(-(((z - middle) / (0.2 + 0.15 * s[4])) ** 2))
    r = r + 0.025 * s[5] * np.clip((z - 0.82) / 0.18, 0, 1) ** 2 + 0.012 * (z < 0.02)
    profile = np.stack([r, z * height], 1)
    kit.add(
        lathe(np.concatenate([[[0.001, 0]], profile, [[r[-1] - 0.006, height], [r[-1] * 0.7, height * 0.8]]])), "base"
    )
    if s[6] > 0.7:
        for side, name in ((-1, "left"), (1, "right")):
            t = np.linspace(-0.5, 0.5, 12) * np.pi
            where = middle + 0.22
            kit.add(
                tube(
                    np.stack(
                        [
                            side * (np.interp(where, z, r) * 0.9 + 0.035 * np.cos(t)),
                            0 * t,
                            height * where + 0.05 * np.sin(t),
                        ],
                        1,
                    ),
                    0.008,
                ),
                name,
            )

    def on_belly(x, zz):
        zz = zz + height * middle
        radius = np.interp(zz / height, z, r) + 0.0015
        return np.stack([x, -np.sqrt(np.maximum(radius**2 - x**2, 0)), zz], -1)

    kit.emblem(belly * 0.52, on_belly)
    return 2 * belly, 2 * belly, height


def mug(spec, kit):
    s = spec["shape"]
    height, radius = 0.085 + 0.035 * s[0], 0.038 + 0.01 * s[1]
    flare = 1 - 0.22 * s[2]
    wall = [
        (0.001, 0.0),
        (radius * flare * 0.97, 0.0),
        (radius * flare, 0.004),
        (radius * (flare + 1) / 2, height / 2),
        (radius, height),
    ]
    kit.add(lathe(wall), "base")
    kit.add(
        lathe([(radius, height), (radius - 0.004, height), (radius * flare - 0.004, 0.01), (0.001, 0.01)]),
        "top",
        Surface("#efece6" if s[3] < 0.7 else spec["shade2"], gloss=0.4),
    )
    t = np.linspace(-0.5, 0.5, 14) * np.pi
    reach = 0.018 + 0.016 * s[4]
    handle = np.stack([radius * 0.9 + reach * 1.3 * np.cos(t), 0 * t, height * 0.52 + height * 0.33 * np.sin(t)], 1)
    kit.add(tube(handle, 0.0055 + 0.002 * s[5]), "right")

    def on_wall(x, z):
        z = z + height * 0.5
        r = radius * (flare + (1 - flare) * z / height) + 0.0008
        return np.stack([x, -np.sqrt(np.maximum(r**2 - x**2, 0)), z], -1)

    kit.emblem(0.021, on_wall)
    return 2 * radius + 2 * reach, 2 * radius, height


def t_shirt(spec, kit):
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
        kit.add(
            tube(path, np.concatenate([[0.035, 0.05, 0.058, 0.062, 0.064], np.linspace(0.064, 0.062, 6)]), 20), name
        )
    kit.add(
        tube([[0.08 * np.cos(a), 0.08 * squash * np.sin(a), 0.54] for a in np.linspace(0, 2 * np.pi, 25)], 0.008, 8),
        "top",
        Surface(spec["shade2"]) if s[4] > 0.6 else None,
    )

    def on_chest(x, zz):
        zz = zz + 0.33
        radius = np.interp(zz, z, r) + 0.003
        return np.stack([x, -squash * np.sqrt(np.maximum(radius**2 - x**2, 0)), zz], -1)

    kit.emblem(0.075, on_chest)
    return 0.46, 0.25, 0.6


def mannequin(skin: str = "#d9b79a") -> list[Part]:
    """The mannequin that wears T-shirts: hips, torso, neck, head and arms, a little thinner than any shirt."""
    cloth = Surface(skin, gloss=0.15)
    hips = Surface("#3b4252")
    z = np.array([-0.3, -0.1, 0.02, 0.1, 0.25, 0.38, 0.45, 0.5, 0.53])
    r = np.array([0.165, 0.165, 0.15, 0.14, 0.15, 0.165, 0.17, 0.12, 0.05])
    parts = [
        Part(lathe(np.stack([r, z], 1)[2:], 40, 0.58), cloth),
        Part(lathe(np.stack([r, z], 1)[:4] + [0.003, 0], 40, 0.6), hips),
        Part(tube(np.linspace([0, 0, 0.48], [0, -0.01, 0.66], 5), [0.055, 0.05, 0.047, 0.047, 0.05]), cloth),
    ]
    t = np.linspace(0.02, np.pi - 0.02, 16)
    parts.append(Part(lathe(np.stack([0.078 * np.sin(t), 0.74 - 0.115 * np.cos(t)], 1), 28, 1.1), cloth))
    for side in (-1, 1):
        path = np.array(
            [
                [side * 0.155, 0, 0.46],
                [side * 0.22, 0, 0.36],
                [side * 0.27, 0, 0.25],
                [side * 0.29, -0.02, 0.12],
                [side * 0.3, -0.06, 0.0],
                [side * 0.3, -0.1, -0.12],
            ]
        )
        parts.append(Part(tube(path, [0.052, 0.05, 0.045, 0.04, 0.036, 0.03], 16), cloth))
    return parts
