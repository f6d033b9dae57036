"""What each choice of our training step saves, measured alone."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING
from unittest import mock

import torch

from dp_helpers import models
from dp_helpers.device import layout

from . import machine, plain_loop

if TYPE_CHECKING:
    from .bench import Bench


def alone(bench: Bench, plain: float) -> list[str]:
    """Return a table of what each choice saves alone: work of the plain step that ours leaves out, or does better.

    Args:
        bench: what is measured.
        plain: seconds of the plain loop's step.
    """
    _, text_encoder, tokenizer, _ = models.load_trainable(bench.preset)
    dtype = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[bench.precision]  # as plain_loop does
    vae, text_encoder = models.load_vae(bench.preset).to(bench.device, dtype), text_encoder.to(bench.device)
    side, one = bench.preset.resolution, models.tokenize(tokenizer, [bench.prompt]).to(bench.device)
    images = torch.rand(bench.batch, 3, side, side, device=bench.device, dtype=dtype)
    photos = plain_loop.Photos(bench.item.photos, bench.prompt, tokenizer, side, bench.batch)

    def encode() -> None:
        with torch.no_grad():
            vae.encode(images), vae.encode(images)

    def draw() -> None:
        for index in range(bench.batch):
            photos[index]

    def prompts(count: int) -> float:
        ids = one.repeat(count, 1)
        return machine.least(lambda: text_encoder(ids)[0].sum().backward(), bench.now)

    saved = {
        "photos and masked photos are encoded once, not in each step": machine.least(encode, bench.now),
        "photos are scaled and masked once, not in each step": machine.least(draw, bench.now),
        "a prompt is encoded once a step, not once a sample": prompts(bench.batch) - prompts(1),
    }
    if layout(bench.precision, bench.device) == torch.contiguous_format:
        saved["weights contiguous, not channels last (in both loops)"] = _layout(bench)
    lines = ["| choice | seconds a step saved | share of the plain step |", "|---|---:|---:|"]
    return lines + [f"| {name} | {seconds:.4f} | {seconds / plain:.1%} |" for name, seconds in saved.items()]


def _layout(bench: Bench) -> float:
    """Return the seconds that a step takes more with channels-last weights, as the median of some pairs."""
    more = []
    for _ in range(bench.repeats):
        ours = bench.step()
        with mock.patch.object(models, "layout", lambda *_: torch.channels_last):
            more.append(bench.step() - ours)
    return statistics.median(more)
