"""The things in the scenes around the product: pictures and windows, plants, books, balls, jars and screens."""

from __future__ import annotations

import numpy as np

from .kit import Part, Surface
from .meshes import box, lathe, tube
from .products import COLORS, WOODS

WALLS = (
    "#e8e2d6",
    "#dfe5e8",
    "#cfd9cf",
    "#e6d3c5",
    "#c9d3dd",
    "#f0ece4",
    "#b9c4bb",
    "#d8c9d9",
    "#a9b7c4",
    "#d9c08f",
    "#9fb3a3",
)
FLOORS = ("#a87f56", "#c9a97c", "#6f4d33", "#b9b4ab", "#8f8a83", "#d8d1c4", "#59626b")


def pick(rng, values):
    """One of the values, at random."""
    return values[int(rng.integers(len(values)))]


def wall_piece(rng, back: float, at) -> list[Part]:
    """A picture or a bright window on the back wall."""
    x, z = at
    w, h = rng.uniform(0.4, 0.8), rng.uniform(0.35, 0.6)
    glass = (
        Surface("#f4faff")
        if rng.random() < 0.4
        else Surface(
            pick(rng, list(COLORS.values())), str(rng.choice(["plain", "striped", "checked"])), pick(rng, WALLS), 0.2
        )
    )
    return [
        Part(box((w, 0.04, h), (x, back - 0.02, z + h / 2)), Surface(pick(rng, WOODS + ("#f0eee9",)))),
        Part(box((w - 0.08, 0.05, h - 0.08), (x, back - 0.02, z + h / 2)), glass),
    ]


def plant(rng, at) -> list[Part]:
    """A pot with a few leaves."""
    pot = lathe(np.array([(0.001, 0), (0.1, 0), (0.13, 0.25), (0.11, 0.25), (0.1, 0.2)]), center=(*at, 0))
    leaves = []
    for _ in range(7):
        a, lean, tall = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.3), rng.uniform(0.35, 0.8)
        t = np.linspace(0, 1, 7)[:, None]
        path = np.array([*at, 0.2]) + t * [0, 0, tall] + t**2 * [lean * np.cos(a), lean * np.sin(a), 0]
        leaves.append(
            Part(
                tube(path, 0.035 * np.sin(np.pi * np.linspace(0.12, 0.97, 7)), 8),
                Surface("#3f7a45" if rng.random() < 0.7 else "#6a9a4e"),
            )
        )
    return [Part(pot, Surface(pick(rng, ("#b5623f", "#e9e4da", "#50585f"))))] + leaves


def small_thing(rng, x: float, y: float, reach: float) -> list[Part]:
    """Books, a ball, a jar or a screen."""
    kind = int(rng.integers(4))
    surface = Surface(pick(rng, list(COLORS.values()) + list(WALLS)))
    if kind == 0:
        parts, z = [], 0.0
        for _ in range(int(rng.integers(2, 5))):
            thick = reach * rng.uniform(0.07, 0.13)
            mesh = box((reach * rng.uniform(0.4, 0.6), reach * 0.4, thick), (0, 0, thick / 2)).moved(
                (x, y, z), rng.uniform(-0.3, 0.3)
            )
            parts.append(Part(mesh, Surface(pick(rng, list(COLORS.values()) + list(WALLS)))))
            z += thick
        return parts
    if kind == 1:
        t = np.linspace(0.02, np.pi - 0.02, 14)
        r = reach * rng.uniform(0.12, 0.22)
        return [Part(lathe(np.stack([r * np.sin(t), r - r * np.cos(t)], 1), center=(x, y, 0)), surface)]
    if kind == 2:
        r, h = reach * rng.uniform(0.1, 0.18), reach * rng.uniform(0.3, 0.5)
        return [
            Part(
                lathe(np.array([(0.001, 0), (r, 0), (r, h), (0.7 * r, h * 1.1), (0.001, h * 1.1)]), center=(x, y, 0)),
                surface,
            )
        ]
    return [
        Part(box((reach * 0.9, reach * 0.05, reach * 0.6), (x, y, reach * 0.42)), Surface("#22252a")),
        Part(box((reach * 0.12, reach * 0.12, reach * 0.14), (x, y, reach * 0.07)), Surface("#8a8f96")),
    ]
