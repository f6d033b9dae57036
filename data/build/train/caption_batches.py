"""Batches of captions for CLIP, made by worker processes where a GPU would otherwise wait for text."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from .captions import describe, facts, fits, mirrored
from .options import DEVICE
from .parallel import RANK
from .tokenizer import build
from .trainset import CLASSES, PATTERNS, color_targets


class CaptionBatches(Dataset):
    """A batch for every step number: which pictures, whether mirrored, their token ids, and what fits what.

    `right` (B, B) says which picture (row) has all that a caption (column) says.
    """

    def __init__(self, metas: list[dict], batch_size: int, seed: int):
        self.metas, self.batch_size, self.seed, self.tokenizer = metas, batch_size, seed, build()

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, step, RANK, 1])
        picks, flip = rng.integers(len(self.metas), size=self.batch_size), rng.random(self.batch_size) < 0.5
        metas = [mirrored(self.metas[i]) if f else self.metas[i] for i, f in zip(picks, flip, strict=True)]
        texts, said = zip(*(describe(meta, rng) for meta in metas), strict=True)
        return {
            "picks": torch.from_numpy(picks),
            "flip": torch.from_numpy(flip),
            "ids": self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").input_ids,
            "right": torch.tensor([[fits(shown, names) for names in said] for shown in map(facts, metas)]).float(),
            "class": torch.tensor([CLASSES.index(meta["class_noun"]) for meta in metas]),
            "color": color_targets(metas),
            "pattern": torch.tensor([PATTERNS.index(meta["pattern"]) for meta in metas]),
        }

    def after(self, step: int):
        """Return an iterator over the batches from a step on, each on the device."""
        workers = max(1, (os.cpu_count() or 1) - 2) if DEVICE.type == "cuda" else 0
        loader = DataLoader(self, sampler=range(step, 10**9), batch_size=None, num_workers=workers)
        return ({key: value.to(DEVICE) for key, value in batch.items()} for batch in loader)
