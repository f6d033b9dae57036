"""The judge of painted pictures: a small convolutional net trained on true renders and on fakes (fakes.py), never on
paintings.

It sees a square crop around a box, as `measure` cuts them out of painted pictures. It names the class or rejects the
picture, names main colour, pattern and the two colours of a pattern, and draws the product's outline. `silhouette`
compares the outline with the nearest rendered outline of a class. Trained judges are cached in work/judge and, without
fakes, in work/judge-no-fakes: the first generation's judge, which calls a coloured box a product.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..train.options import DEVICE
from ..train.trainer import train
from ..train.trainset import CLASSES, COLORS, PATTERNS, Trainset, color_targets, crops, square
from .fakes import fakes

SIZE, OUTLINE = 64, 32
REJECTED = "none"


class Judge(nn.Module):
    """Crops (B, 3, 64, 64) in [-1, 1] to class, colour, pattern and palette scores and an outline (B, 1, 32, 32)."""

    def __init__(self):
        super().__init__()
        widths = (24, 48, 96, 128)
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 3, 2, 1),
                nn.GroupNorm(8, b),
                nn.SiLU(),
                nn.Conv2d(b, b, 3, 1, 1),
                nn.GroupNorm(8, b),
                nn.SiLU(),
            )
            for a, b in zip((3, *widths), widths, strict=False)
        )
        self.sides = nn.ModuleList(nn.Conv2d(width, 32, 1) for width in widths)
        self.last = nn.Conv2d(32, 1, 3, 1, 1)
        sizes = {"class": len(CLASSES) + 1, "color": len(COLORS), "pattern": len(PATTERNS), "palette": len(COLORS)}
        self.heads = nn.ModuleDict({name: nn.Linear(128 * 16, size) for name, size in sizes.items()})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        features = []
        for level in self.levels:
            features.append(x := level(x))
        flat = F.dropout(x.flatten(1), 0.2, self.training)
        drawn = self.sides[-1](features[-1])
        for side, feature in zip(reversed(self.sides[:-1]), reversed(features[:-1]), strict=True):
            drawn = F.interpolate(drawn, scale_factor=2.0) + side(feature)
        return {name: head(flat) for name, head in self.heads.items()} | {"outline": self.last(F.silu(drawn))}


def cut(images: torch.Tensor, boxes: np.ndarray, grow=0.15, flip=None) -> torch.Tensor:
    """Return square crops (B, C, 64, 64) around boxes (B, 4) of pictures (B, C, H, W)."""
    grow = np.broadcast_to(grow, len(boxes))
    return crops(images, np.stack([square(b, g) for b, g in zip(boxes, grow, strict=True)]), SIZE, flip)


def _batch(data: Trainset, count: int, rng: np.random.Generator):
    """Return crops, product masks and records, moved and flipped at random."""
    index = rng.integers(len(data), size=count)
    boxes = data.boxes[index]
    side = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True)
    boxes = boxes + np.tile(rng.uniform(-0.08, 0.08, (count, 2)), 2) * side
    stack = torch.cat([data.batch(index), data.mask_batch(index)], 1)
    stack = cut(stack, boxes, rng.uniform(0, 0.35, count), rng.random(count) < 0.5)
    return stack[:, :3], (stack[:, 3:] > 0.5).float(), [data.metas[i] for i in index]


def _loss(model: Judge, data: Trainset, count: int, with_fakes: bool, rng: np.random.Generator):
    """Return the cross-entropy of class, colour, pattern, palette and outline; a third of the pictures are fakes."""
    x, masks, metas = _batch(data, count, rng)
    nouns = torch.tensor([CLASSES.index(m["class_noun"]) for m in metas], device=DEVICE)
    true = torch.ones(count, dtype=torch.bool, device=DEVICE)
    if with_fakes:
        x, masks, nouns, true = x.clone(), masks.clone(), nouns.clone(), true.clone()
        x[: count // 3], masks[: count // 3], _ = fakes(x[: count // 3], masks[: count // 3], rng)
        nouns[: count // 3], true[: count // 3] = len(CLASSES), False
    x = x + torch.randn_like(x) * float(rng.uniform(0, 0.1))
    found = model(x)
    shares = color_targets(metas).to(DEVICE)
    patterns = torch.tensor([PATTERNS.index(m["pattern"]) for m in metas], device=DEVICE)
    palettes = torch.tensor([[float(c in (m["color"], m["color2"])) for c in COLORS] for m in metas], device=DEVICE)
    loss = F.cross_entropy(found["class"], nouns) + F.cross_entropy(found["color"][true], shares[true])
    loss = loss + F.cross_entropy(found["pattern"][true], patterns[true])
    loss = loss + 3 * F.binary_cross_entropy_with_logits(found["palette"][true], palettes[true])
    loss = loss + F.binary_cross_entropy_with_logits(found["outline"], F.avg_pool2d(masks, SIZE // OUTLINE))
    right = {"class": found["class"].argmax(1) == nouns, "pattern": found["pattern"].argmax(1)[true] == patterns[true]}
    return loss, {name: hits.float().mean() for name, hits in right.items()}


def load(data_folder: Path, work: Path, with_fakes: bool = True, steps: int = 3000) -> Judge:
    """Return the judge from work/, trained now if it is not there (some minutes)."""
    torch.manual_seed(7)
    model, name = Judge(), "judge" if with_fakes else "judge-no-fakes"
    options = Namespace(
        work=work, minutes=None, steps=steps, batch_size=48, seed=7, again=False, export_now=False, threads=None
    )
    state = work / name / "final.pt"
    if state.exists():
        model.load_state_dict(torch.load(state, weights_only=True))
        return model.to(DEVICE).eval()
    data = Trainset(data_folder)
    with torch.enable_grad():
        train(
            model,
            lambda m, rng, _: _loss(m, data, 48, with_fakes, rng),
            name,
            options,
            lr=1.5e-3,
            ema=0.99,
            log_every=100,
        )
    torch.save(model.state_dict(), state)
    return model.eval()


@torch.no_grad()
def verdicts(model: Judge, images: torch.Tensor, boxes: np.ndarray, grow: float = 0.15) -> list[dict]:
    """Return what the judge sees in the boxes of pictures (B, 3, H, W) in [-1, 1].

    A dict each: class_noun (or REJECTED), color, pattern, palette (the two likeliest colours), outline (32, 32) bool.
    """
    found = model(cut(images, boxes, grow))
    nouns, colors, patterns = (found[key].argmax(1).tolist() for key in ("class", "color", "pattern"))
    palettes, outlines = found["palette"].topk(2).indices.tolist(), (found["outline"][:, 0] > 0).cpu().numpy()
    return [
        {
            "class_noun": [*CLASSES, REJECTED][nouns[i]],
            "color": COLORS[colors[i]],
            "pattern": PATTERNS[patterns[i]],
            "palette": {COLORS[k] for k in palettes[i]},
            "outline": outlines[i],
        }
        for i in range(len(images))
    ]


def fill_box(shape: np.ndarray) -> np.ndarray:
    """Return a mask (S, S) cut to its box and stretched to (32, 32), so that only its form counts."""
    if not shape.any():
        return np.zeros((OUTLINE, OUTLINE), bool)
    rows, columns = np.nonzero(shape.any(1))[0], np.nonzero(shape.any(0))[0]
    piece = torch.from_numpy(shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).float()
    return (F.interpolate(piece[None, None], (OUTLINE, OUTLINE), mode="bilinear")[0, 0] > 0.5).numpy()


class Silhouettes:
    """Rendered outlines by class, each stretched to its box."""

    def __init__(self, data: Trainset, each: int = 400):
        self.shapes = {}
        for noun in CLASSES:
            rows = [i for i, meta in enumerate(data.metas) if meta["class_noun"] == noun][:each]
            self.shapes[noun] = np.stack([fill_box(data.masks[i] > 127) for i in rows]).reshape(len(rows), -1)

    def nearest(self, shape: np.ndarray, noun: str) -> float:
        """Return the IoU of an outline with the nearest rendered outline of a class."""
        own, known = fill_box(shape).reshape(-1), self.shapes[noun]
        return float(((own & known).sum(1) / np.maximum(1, (own | known).sum(1))).max())
