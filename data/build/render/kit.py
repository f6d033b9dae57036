"""What products are assembled with: surfaces, parts, and the kit that chooses a part's surface by its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .meshes import Mesh, outline, polygon


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


class Kit:
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


def flat(x0: float, y0: float, z0: float):
    """Where an emblem lies on a front that is flat: centre (x0, z0) on the plane y = y0."""
    return lambda x, z: np.stack([x0 + x, np.full_like(x, y0 - 0.004), z0 + z], -1)
