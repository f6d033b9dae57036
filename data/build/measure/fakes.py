"""Pictures that only look like products to a careless judge: what the judge must reject.

Works on crops (B, 3, S, S) in [-1, 1] with product masks (B, 1, S, S). The product is taken out by spreading its
surroundings over it; then something is put in its place: a rectangle, an ellipse or a blob in the product's own colours
or pattern, patches, half of the product, the product with its tiles shuffled, or the product with a part of another
one.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

KINDS = ("rectangle", "ellipse", "blob", "patches", "half", "shuffled", "mixed")


def without(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Return the pictures with the masked pixels replaced by a blur of their surroundings, coarser further inside."""
    hidden = F.max_pool2d(masks, 5, 1, 2) > 0.5  # with the product's soft edge, which would give it away
    weight = (~hidden).float()
    filled, empty = images * weight, hidden
    for size in (4, 8, 16, 32, 64):
        spread, share = (F.avg_pool2d(x, size) for x in (images * weight, weight))
        spread, share = (F.interpolate(x, images.shape[-2:], mode="bilinear") for x in (spread, share))
        filled = torch.where(empty & (share > 0.02), spread / share.clamp(min=1e-6), filled)
        empty = empty & (share <= 0.02)
    return filled


def surface(image: torch.Tensor, mask: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return a picture (3, S, S) filled with a piece of the product, mirrored again and again, or its main colours."""
    size = image.shape[-1]
    rows, columns = torch.nonzero(mask[0] > 0.5, as_tuple=True)
    middle = int(rng.integers(len(rows)))
    side = int(rng.integers(size // 8, size // 3))
    top, left = (int(v.clamp(0, size - side)) for v in (rows[middle] - side // 2, columns[middle] - side // 2))
    if rng.random() < 0.6:
        piece = image[:, top : top + side, left : left + side]
        piece = torch.cat([torch.cat([piece, piece.flip(2)], 2), torch.cat([piece, piece.flip(2)], 2).flip(1)], 1)
        return piece.repeat(1, size // piece.shape[1] + 1, size // piece.shape[2] + 1)[:, :size, :size]
    inside = image[:, mask[0] > 0.5]
    one, two = (inside[:, int(k)] for k in rng.integers(inside.shape[1], size=2))
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    period = int(rng.integers(6, 16))
    kind = rng.integers(4)
    columns, rows, half = x % period, y % period, period / 2
    other = {
        0: x < 0,
        1: columns < period // 2,
        2: (columns < period // 2) ^ (rows < period // 2),
        3: (columns - half) ** 2 + (rows - half) ** 2 < (period / 3.2) ** 2,
    }[int(kind)]
    return torch.where(other[None].to(image.device), two[:, None, None], one[:, None, None])


def outline(kind: str, mask: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return a mask (S, S) about as large as the product: a rectangle, an ellipse, a blob or patches."""
    size = mask.shape[-1]
    rows, columns = torch.nonzero(mask[0] > 0.5, as_tuple=True)
    y0, y1, x0, x1 = (float(v) for v in (rows.min(), rows.max(), columns.min(), columns.max()))
    y, x = torch.meshgrid(torch.arange(size, device=mask.device), torch.arange(size, device=mask.device), indexing="ij")
    if kind == "patches":
        found = torch.zeros(size, size, dtype=torch.bool, device=mask.device)
        for _ in range(int(rng.integers(2, 6))):
            a, b = np.sort(rng.uniform(y0, y1, 2)), np.sort(rng.uniform(x0, x1, 2))
            found |= (
                (y >= a[0])
                & (y <= a[0] + max(4, 0.7 * (a[1] - a[0])))
                & (x >= b[0])
                & (x <= b[0] + max(4, 0.7 * (b[1] - b[0])))
            )
        return found
    y0, y1, x0, x1 = (
        v + 0.12 * s * rng.uniform(-1, 1) for v, s in ((y0, y1 - y0), (y1, y1 - y0), (x0, x1 - x0), (x1, x1 - x0))
    )
    if kind == "rectangle":
        return (y >= y0) & (y <= y1) & (x >= x0) & (x <= x1)
    radius = (
        ((y - (y0 + y1) / 2) / ((y1 - y0) / 2 + 1)) ** 2 + ((x - (x0 + x1) / 2) / ((x1 - x0) / 2 + 1)) ** 2
    ).sqrt()
    if kind == "ellipse":
        return radius < 1
    angle = torch.atan2(y - (y0 + y1) / 2, x - (x0 + x1) / 2)
    wobble = sum(rng.uniform(0.05, 0.2) * torch.cos(k * angle + rng.uniform(0, 6.3)) for k in range(2, 6))
    return radius < 0.95 + wobble


def fakes(
    images: torch.Tensor, masks: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Return fake pictures, the masks of what was put in, and the kind of each."""
    empty, made, shapes = without(images, masks), [], []
    kinds = [str(kind) for kind in rng.choice(KINDS, len(images))]
    for i, kind in enumerate(kinds):
        image, mask = images[i], masks[i]
        if (mask > 0.5).sum() < 30:
            kinds[i] = kind = "nothing"
            made.append(empty[i])
            shapes.append(torch.zeros_like(mask[0], dtype=torch.bool))
            continue
        if kind in ("rectangle", "ellipse", "blob", "patches"):
            shape, content = outline(kind, mask, rng), surface(image, mask, rng)
        else:
            shape, content = _damaged(
                kind, image, mask, images[(i + 1) % len(images)], masks[(i + 1) % len(images)], rng
            )
        made.append(torch.where(shape, content, empty[i]))
        shapes.append(shape)
    return torch.stack(made), torch.stack(shapes)[:, None].float(), kinds


def _damaged(kind: str, image, mask, other, other_mask, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return shape (S, S) and content of half a product, of one with shuffled tiles, or of one mixed with another
    product.
    """
    product, size = mask[0] > 0.5, image.shape[-1]
    axis = int(rng.integers(2))
    places = torch.nonzero(product.any(axis)).flatten()
    low, high = int(places.min()), int(places.max())
    cut = int(low + (high - low) * rng.uniform(0.4, 0.6))
    line = torch.arange(size, device=image.device)
    first = (line < cut) if rng.random() < 0.5 else (line >= cut)
    first = first[None] if axis == 0 else first[:, None]
    if kind == "half":
        return product & first, image
    if kind == "mixed":
        second = other_mask[0] > 0.5
        return torch.where(first, product, second), torch.where(first, image, other)
    step = int(rng.choice([size // 4, size // 3]))
    shift = [int(s) for s in rng.integers(1, 3, 2) * step]
    tile = ((torch.arange(size, device=image.device)[:, None] // step + line[None] // step) % 2) == 0
    moved, moved_mask = torch.roll(image, shift, (1, 2)), torch.roll(product, shift, (0, 1))
    return torch.where(tile, product, moved_mask), torch.where(tile, image, moved)
