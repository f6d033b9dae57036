"""The command ``memory``."""

from __future__ import annotations

import argparse

from .. import presets
from . import common

# What is tried, each on its own line: settings of [finetune], and what to call them.
CHOICES = {
    "8-bit Adam, gradient checkpointing": {"optimizer": "adamw8bit", "gradient_checkpointing": True},
    "8-bit Adam": {"optimizer": "adamw8bit", "gradient_checkpointing": False},
    "AdamW, gradient checkpointing": {"optimizer": "adamw", "gradient_checkpointing": True},
    "AdamW": {"optimizer": "adamw", "gradient_checkpointing": False},
    "8-bit Adam, text encoder frozen": {"optimizer": "adamw8bit", "train_text_encoder": False},
    "LoRA of rank 8": {"lora_rank": 8},
}


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    added = common.add_command(commands, "memory", run)
    added.add_argument("--gpu", type=float, metavar="GB", help="memory of the GPU (default: count for a CPU)")


def run(options: argparse.Namespace) -> None:
    """Predict the memory that fine-tuning takes, part by part, for each way to train; nothing is downloaded."""
    preset = presets.load(options.preset)
    common.quiet()
    from ..training import memory

    device = "cpu" if options.gpu is None else "cuda"
    columns = [*memory.PARTS, "tensors at the peak", "most activations", "whole process"]
    columns += [f"fits {options.gpu:g} GB"] if options.gpu else []
    print("| GB | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns), flush=True)
    for name, settings in {f"preset {preset.name}": {}, **CHOICES}.items():
        found = memory.account(presets.change(preset, finetune=settings), device)
        sizes = (*found.parts.values(), found.tensors, found.most["activations"], found.total)
        values = [f"{size / 1e9:.2f}" for size in sizes]
        values += ["yes" if found.total <= options.gpu * 1e9 else "no"] if options.gpu else []
        print(f"| {name} | " + " | ".join(values) + " |", flush=True)
    common.say(f"encoding the bank before that takes {found.encoding / 1e9:.2f} GB")
