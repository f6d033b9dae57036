"""Small parametric meshes, z up, metres: the bricks that products and scenes are made of.

Every mesh is a `Mesh(vertices (V, 3), normals (V, 3), uvs (V, 2), faces (F, 3))`; UVs are in metres along the
surface, so that a pattern has the same size on every part that wears it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Mesh:
    vertices: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    faces: np.ndarray

    def moved(self, offset=(0, 0, 0), turn=0.0, tilt=0.0) -> Mesh:
        """Turned by `tilt` about x, then by `turn` about z (radians), then moved by `offset`."""
        c, s, ct, st = np.cos(turn), np.sin(turn), np.cos(tilt), np.sin(tilt)
        rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
        return Mesh(self.vertices @ rotation.T + np.asarray(offset), self.normals @ rotation.T, self.uvs, self.faces)


def merge(meshes: list[Mesh]) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return Mesh(
        *(np.concatenate([getattr(m, name) for m in meshes]) for name in ("vertices", "normals", "uvs")),
        np.concatenate([m.faces + start for m, start in zip(meshes, starts, strict=True)]),
    )


def write_ply(mesh: Mesh, path: Path) -> Path:
    """Write a binary PLY with normals and UVs, the form that Mitsuba reads fastest."""
    vertex = np.zeros(len(mesh.vertices), dtype=[(n, "<f4") for n in ("x", "y", "z", "nx", "ny", "nz", "u", "v")])
    columns = np.concatenate([mesh.vertices, mesh.normals, mesh.uvs], 1)
    for i, name in enumerate(vertex.dtype.names):
        vertex[name] = columns[:, i]
    face = np.zeros(len(mesh.faces), dtype=[("n", "u1"), ("v", "<i4", (3,))])
    face["n"], face["v"] = 3, mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertex)}",
        *(f"property float {n}" for n in vertex.dtype.names),
        f"element face {len(face)}",
        "property list uchar int vertex_index",
        "end_header",
        "",
    ]
    path.write_bytes("\n".join(header).encode() + vertex.tobytes() + face.tobytes())
    return path


def surface(points: np.ndarray, uvs: np.ndarray, closed: bool = False) -> Mesh:
    """A smooth sheet through a grid of points (n, m, 3); `closed` joins the last column to the first smoothly.

    The outside is where the columns' direction crossed with the rows' direction points.
    """
    along = np.gradient(points, axis=0)
    if closed:
        ring = points[:, :-1]
        around = np.roll(ring, -1, 1) - np.roll(ring, 1, 1)
        around = np.concatenate([around, around[:, :1]], 1)
    else:
        around = np.gradient(points, axis=1)
    normals = np.cross(around, along)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-9
    n, m = points.shape[:2]
    index = np.arange(n * m).reshape(n, m)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, 1:].ravel(), index[1:, :-1].ravel()
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return Mesh(points.reshape(-1, 3), normals.reshape(-1, 3), uvs.reshape(-1, 2), faces)


def box(size, center=(0, 0, 0), radius: float = 0.0, steps: int = 5) -> Mesh:
    """A box with rounded edges: `size` (x, y, z) around `center`."""
    half = np.asarray(size, float) / 2
    radius = min(radius, half.min() * 0.999)
    line = np.linspace(-1, 1, steps if radius > 0 else 2)
    sides = []
    for axis in range(3):
        for sign in (-1, 1):
            u, v = np.meshgrid(line, line, indexing="ij")
            cube = np.zeros((len(line), len(line), 3))
            i, j = [(1, 2), (2, 0), (0, 1)][axis]
            cube[..., axis], cube[..., i], cube[..., j] = sign, sign * u, v
            # Half of the grid's lines go into the rounded edge, the others are spread over the flat part.
            inner = half - radius
            points = np.sign(cube) * np.minimum(np.abs(cube) ** 0.5, 1) * half if radius > 0 else cube * half
            core = np.clip(points, -inner, inner)
            away = points - core
            away[..., axis] = np.where(away[..., axis] == 0, sign * 1e-6, away[..., axis])
            away /= np.linalg.norm(away, axis=-1, keepdims=True)
            points = core + away * radius if radius > 0 else points
            uv_axes = [(1, 2), (0, 2), (0, 1)][axis]
            uvs = points[..., uv_axes]
            sheet = surface(points, uvs)
            sheet.normals = away.reshape(-1, 3)
            sheet.vertices = sheet.vertices + np.asarray(center)
            sides.append(sheet)
    return merge(sides)


def lathe(profile, segments: int = 40, squash: float = 1.0, center=(0, 0, 0)) -> Mesh:
    """A surface of revolution about z through `profile` [(radius, z), ...]; `squash` flattens it along y."""
    profile = np.asarray(profile, float)
    angle = np.linspace(0, 2 * np.pi, segments + 1) + np.pi / 2  # the seam of the pattern is at the back
    r, z = profile[:, :1], profile[:, 1:]
    points = np.stack([r * np.cos(angle), squash * r * np.sin(angle), z + 0 * angle], -1) + np.asarray(center)
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    girth = profile[:, 0].max() * (angle - 3 * np.pi / 2)
    uvs = np.stack(np.broadcast_arrays(girth[None], length[:, None]), -1)
    mesh = surface(points, uvs, closed=True)
    lying = np.abs(mesh.normals[:, 2]) > 0.95  # a top wears its pattern flat
    mesh.uvs[lying] = mesh.vertices[lying, :2]
    return mesh


def tube(path, radius, segments: int = 14, squash: float = 1.0) -> Mesh:
    """A tube of one radius, or one for each point, along `path` (n, 3)."""
    path = np.asarray(path, float)
    radius = np.broadcast_to(np.asarray(radius, float), len(path))
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    helper = np.where(np.abs(tangent[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    side = np.cross(tangent, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, tangent)
    angle = np.linspace(0, 2 * np.pi, segments + 1)[None, :, None]
    points = path[:, None] + radius[:, None, None] * (
        np.cos(angle) * side[:, None] - squash * np.sin(angle) * up[:, None]
    )
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    uvs = np.stack(np.broadcast_arrays(radius.max() * angle[0, None, :, 0], length[:, None]), -1)
    mesh = surface(points, uvs, closed=True)
    return mesh


def leg(x, y, height, top: float, bottom: float | None = None, splay: float = 0.0) -> Mesh:
    """A round leg from the floor up to `height`, leaning outwards by `splay` metres."""
    foot = np.array([x + np.sign(x) * splay, y + np.sign(y) * splay, 0.0])
    ends = np.linspace(foot, [x, y, height], 4)
    return tube(ends, np.linspace(top if bottom is None else bottom, top, 4), segments=10)


def polygon(outline, place) -> Mesh:
    """A flat shape laid on a surface: `outline` (n, 2) in metres, `place(x, z)` -> the 3D points (n, 3)."""
    outline = np.asarray(outline, float)
    rings = np.stack([outline * t for t in (1e-3, 0.5, 1.0)])
    rings = np.concatenate([rings, rings[:, :1]], 1)
    points = place(rings[..., 0], rings[..., 1])
    mesh = surface(points, rings)
    flip = mesh.normals @ np.array([0, -1, 0]) < 0
    mesh.normals[flip] *= -1
    return mesh


def outline(kind: str, radius: float) -> np.ndarray:
    """The outline (n, 2) of an emblem: square, diamond, triangle, star, heart, cross, arrow, trefoil, clover, flower or
    disc.
    """
    t = np.linspace(0, 2 * np.pi, 33)[:-1]
    if kind == "heart":
        xz = (
            np.stack([16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)], 1)
            / 16
        )
    elif kind == "star":
        t = np.linspace(0, 2 * np.pi, 11)[:-1]
        xz = np.stack([np.sin(t), np.cos(t)], 1) * np.where(np.arange(10) % 2, 0.45, 1.1)[:, None]
    elif kind in ("square", "diamond", "triangle"):
        t = {
            "square": np.pi / 4 + np.arange(4) * np.pi / 2,
            "diamond": np.arange(4) * np.pi / 2,
            "triangle": np.arange(3) * 2 * np.pi / 3,
        }[kind]
        xz = np.stack([np.sin(t), np.cos(t)], 1)
    elif kind == "cross":
        a = 0.33
        xz = np.array(
            [[a, 1], [a, a], [1, a], [1, -a], [a, -a], [a, -1], [-a, -1], [-a, -a], [-1, -a], [-1, a], [-a, a], [-a, 1]]
        )
    elif kind == "arrow":
        xz = np.array([[0, 1], [0.9, 0.1], [0.35, 0.1], [0.35, -1], [-0.35, -1], [-0.35, 0.1], [-0.9, 0.1]])
    else:
        petals = {"trefoil": 3, "clover": 4, "flower": 6}.get(kind, 0)
        t = np.linspace(0, 2 * np.pi, 73)[:-1]
        xz = np.stack([np.sin(t), np.cos(t)], 1) * ((0.8 + 0.3 * np.cos(petals * t))[:, None] if petals else 1)
    return xz * radius
