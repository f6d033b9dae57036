"""The judge of painted pictures: a small convolutional net that names class and main colour, trained on true renders only.

It sees square crops around a box, as `measure.py` cuts them out of painted pictures. Cached in work/judge.
"""

from __future__ import annotations

from argparse import Namespace

import numpy as np
import torch
from torch import nn
from trainer import DEVICE, train
from trainset import CLASSES, COLORS, Trainset, color_targets, crops, square

SIZE = 64


class Judge(nn.Module):
    """Crops (B, 3, 64, 64) in [-1, 1] to class scores (B, 9) and colour scores (B, 12)."""

    def __init__(self):
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in ((3, 24), (24, 48), (48, 96), (96, 128)):
            layers += [nn.Conv2d(a, b, 3, 2, 1), nn.GroupNorm(8, b), nn.SiLU(), nn.Conv2d(b, b, 3, 1, 1), nn.GroupNorm(8, b),
                       nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2))
        self.noun, self.color = (nn.Linear(128 * 16, len(names)) for names in (CLASSES, COLORS))

    def forward(self, x):
        features = self.body(x)
        return self.noun(features), self.color(features)


def cut(images: torch.Tensor, boxes: np.ndarray, grow=0.15, flip=None) -> torch.Tensor:
    """Square crops (B, 3, 64, 64) around boxes (B, 4) of pictures (B, 3, H, W)."""
    grow = np.broadcast_to(grow, len(boxes))
    return crops(images, np.stack([square(b, g) for b, g in zip(boxes, grow, strict=True)]), SIZE, flip)


def _loss(model: Judge, data: Trainset, count: int, rng: np.random.Generator):
    index = rng.integers(len(data), size=count)
    boxes = data.boxes[index]
    side = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True)
    boxes = boxes + np.tile(rng.uniform(-0.08, 0.08, (count, 2)), 2) * side
    x = cut(data.batch(index), boxes, rng.uniform(0, 0.35, count), rng.random(count) < 0.5)
    x = x + torch.randn_like(x) * float(rng.uniform(0, 0.1))
    noun, color = model(x.to(DEVICE))
    metas = [data.metas[i] for i in index]
    nouns, shares = torch.tensor([CLASSES.index(m["class_noun"]) for m in metas]).to(DEVICE), color_targets(metas).to(DEVICE)
    loss = nn.functional.cross_entropy(noun, nouns) + nn.functional.cross_entropy(color, shares)
    seen = shares.gather(1, color.argmax(1, keepdim=True)) > 0
    return loss, {"class": (noun.argmax(1) == nouns).float().mean(), "color": seen.float().mean()}


def load(data_folder, work_folder, steps: int = 2500) -> Judge:
    """The judge from work/judge, trained now if it is not there (a few minutes)."""
    torch.manual_seed(7)
    model = Judge()
    options = Namespace(work=work_folder, minutes=None, steps=steps, batch_size=32, seed=7, again=False, export_now=False,
                        threads=None)
    state = work_folder / "judge" / "final.pt"
    if state.exists():
        model.load_state_dict(torch.load(state, weights_only=True))
        return model.to(DEVICE).eval()
    data = Trainset(data_folder)
    with torch.enable_grad():
        train(model, lambda m, rng, _: _loss(m, data, 32, rng), "judge", options, lr=1.5e-3, ema=0.99, log_every=100)
    torch.save(model.state_dict(), state)
    return model.eval()


@torch.no_grad()
def verdicts(model: Judge, images: torch.Tensor, boxes: np.ndarray) -> tuple[list[str], list[str]]:
    """Class nouns and colours that the judge sees in the boxes of pictures (B, 3, H, W) in [-1, 1]."""
    noun, color = model(cut(images, boxes).to(DEVICE))
    return [CLASSES[i] for i in noun.argmax(1)], [COLORS[i] for i in color.argmax(1)]
