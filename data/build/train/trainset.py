"""The rendered training set in memory, batches and crops of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .options import DEVICE

CLASSES = ["sofa", "armchair", "chair", "table", "lamp", "vase", "mug", "wall art", "t-shirt"]
COLORS = ["red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "brown", "black", "grey", "white"]
PATTERNS = ["plain", "striped", "checked", "dotted"]


class Trainset:
    """All shards of a folder: `images` (N, 128, 128, 3) uint8, `masks` (N, 128, 128) uint8 0/255, `metas` list of
    dicts.

    Reads what is there when it is made (a renderer may still be adding shards).
    """

    def __init__(self, folder: Path, limit: int | None = None):
        paths = sorted(p for p in Path(folder).glob("shard-*.npz") if ".part" not in p.name)[:limit]
        if not paths:
            raise SystemExit(f"no shards in {folder}: run `make data` first")
        images, masks, self.metas = [], [], []
        for number, path in enumerate(paths):
            with np.load(path) as shard:
                images.append(shard["image"])
                masks.append(shard["mask"])
                self.metas += [m | {"shard": number} for m in json.loads(str(shard["meta"]))]
        self.images, self.masks = np.concatenate(images), np.concatenate(masks)
        self.pixels, self.shapes = (
            torch.from_numpy(array).to(DEVICE) for array in (self.images, self.masks)
        )  # no copy on a CPU
        self.boxes = np.array([m["box"] for m in self.metas], np.float32)
        catalog = np.array([m["kind"] == "catalog" for m in self.metas])
        self.chances = np.where(catalog, 0.5 / max(1, catalog.sum()), 0.5 / max(1, (~catalog).sum()))
        self.chances /= self.chances.sum()  # to draw catalogue photos and scenes equally often
        groups: dict[tuple, list[int]] = {}
        for i, m in enumerate(self.metas):
            groups.setdefault((m["shard"], m["product"]), []).append(i)
        self.partners = [groups[m["shard"], m["product"]] for m in self.metas]

    def __len__(self) -> int:
        return len(self.metas)

    def batch(self, indices) -> torch.Tensor:
        """Return images (B, 3, H, W) in [-1, 1] on the device."""
        return self.pixels[torch.as_tensor(indices, device=DEVICE)].permute(0, 3, 1, 2).float().div_(127.5).sub_(1)

    def mask_batch(self, indices) -> torch.Tensor:
        """Return product masks (B, 1, H, W) in {0, 1} on the device."""
        return (self.shapes[torch.as_tensor(indices, device=DEVICE)] > 127).float()[:, None]


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) float in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_images(tensor: torch.Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] to (B, H, W, 3) uint8."""
    scaled = (tensor.float().clamp(-1, 1) + 1) * 127.5
    return scaled.round().byte().permute(0, 2, 3, 1).cpu().numpy()


def square(box, grow: float = 0.0) -> np.ndarray:
    """Return the square around a box [x0, y0, x1, y1]: its longer side, grown by a share. It may leave the picture."""
    x0, y0, x1, y1 = box
    side = max(x1 - x0, y1 - y0) * (1 + grow) / 2
    return np.array(
        [(x0 + x1) / 2 - side, (y0 + y1) / 2 - side, (x0 + x1) / 2 + side, (y0 + y1) / 2 + side], np.float32
    )


def crops(images: torch.Tensor, boxes, size: int = 128, flip=None) -> torch.Tensor:
    """Cut float boxes (B, 4) out of images (B, C, H, W) and resize each to `size`; border pixels are repeated."""
    height, width = images.shape[-2:]
    boxes = torch.as_tensor(boxes, dtype=torch.float32, device=images.device)
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = (boxes[:, 2] - boxes[:, 0]) / width
    if flip is not None:
        theta[:, 0, 0] *= torch.where(torch.as_tensor(flip, device=images.device), -1.0, 1.0)
    theta[:, 1, 1] = (boxes[:, 3] - boxes[:, 1]) / height
    theta[:, 0, 2] = (boxes[:, 0] + boxes[:, 2]) / width - 1
    theta[:, 1, 2] = (boxes[:, 1] + boxes[:, 3]) / height - 1
    grid = F.affine_grid(theta, (len(images), images.shape[1], size, size), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def article(words: str) -> str:
    """Put "a" or "an" before words."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def main_colors(meta: dict) -> set[str]:
    """The main colour; both colours of stripes and checks, which cover the same area, so that no eye could say which is
    meant.
    """
    return {meta["color"], meta["color2"]} if meta["pattern"] in ("striped", "checked") else {meta["color"]}


def color_targets(metas: list[dict]) -> torch.Tensor:
    """What a classifier of the main colour should say, (B, 12): all weight on one colour, or half on each of two."""
    rows = torch.tensor([[float(color in main_colors(meta)) for color in COLORS] for meta in metas])
    return rows / rows.sum(1, keepdim=True)
