"""Put finished models into place: whole or not at all, in fp16, with the model card that was there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import torch


@contextlib.contextmanager
def export(folder: Path):
    """Yield a temporary folder to write a model into; put it in place when whole, keeping the old model card and
    history.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    for config in part.rglob("config.json"):  # stored in fp16, but to be loaded and run in fp32
        values = json.loads(config.read_text())
        if "dtype" in values:
            values["dtype"] = "float32"
        values.pop("_name_or_path", None)  # a path of the machine that trained it
        config.write_text(json.dumps(values, indent=2) + "\n")
    for kept in (folder / "README.md", folder / "training.json", *folder.glob("failures-*.jpg")):
        if kept.exists():
            shutil.copy(kept, part)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(part, folder)
    print(f"wrote {folder}", file=sys.stderr)


def half(module: torch.nn.Module) -> torch.nn.Module:
    """The module on the CPU, in fp16 and ordinary memory layout, ready for `save_pretrained`."""
    return module.to("cpu").to(memory_format=torch.contiguous_format).half().eval()


def tile(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Put equally large (H, W, 3) uint8 pictures into one, row by row."""
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
