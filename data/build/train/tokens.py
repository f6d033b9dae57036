"""Captions of all training pictures as token ids, made once and kept in work/: no training step waits for text."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import zlib
from pathlib import Path

import numpy as np
import torch

from .captions import SIZES, describe, mirrored
from .options import options
from .tokenizer import LENGTH, build
from .trainset import Trainset


def ids_of(job: tuple[list[dict], int, int, int]) -> np.ndarray:
    """Return token ids (pictures, 2, 3, variants, LENGTH): as is and mirrored, in three sizes, in several wordings."""
    metas, first, variants, seed = job
    tokenizer, texts = build(), []
    for number, meta in enumerate(metas, first):
        rng = np.random.default_rng([seed, number])
        for shown in (meta, mirrored(meta)):
            texts += [describe(shown, rng, size)[0] for size in SIZES for _ in range(variants)]
    ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="np").input_ids
    return ids.astype(np.int16).reshape(len(metas), 2, len(SIZES), variants, LENGTH)


def caption_ids(data: Trainset, work: Path, variants: int = 3, seed: int = 0) -> torch.Tensor:
    """Return the ids of every picture's captions, from `work` if they were made before; uses all CPU cores."""
    key = zlib.crc32(
        json.dumps([len(data), variants, seed, data.metas[0], data.metas[-1], sorted(build().get_vocab())]).encode()
    )
    path = work / f"captions-{key:08x}.npy"
    if not path.exists():
        print(f"writing {len(data) * 2 * len(SIZES) * variants:,} captions to {path} (once)", file=sys.stderr)
        jobs = [(data.metas[i : i + 500], i, variants, seed) for i in range(0, len(data), 500)]
        cores = len(os.sched_getaffinity(0))
        if cores == 1:
            ids = np.concatenate([ids_of(job) for job in jobs])
        else:
            with multiprocessing.get_context("spawn").Pool(cores) as pool:
                ids = np.concatenate(pool.map(ids_of, jobs, chunksize=1))
        part = path.with_suffix(".part.npy")
        part.parent.mkdir(parents=True, exist_ok=True)
        np.save(part, ids)
        os.replace(part, path)
    return torch.from_numpy(np.load(path))


def main() -> None:
    args = options(__doc__, minutes=0, batch_size=0).parse_args()
    print(f"captions: {tuple(caption_ids(Trainset(args.data), args.work).shape)}")


if __name__ == "__main__":
    main()
