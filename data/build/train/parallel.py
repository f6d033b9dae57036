"""Several processes that share a training step, as `torchrun` starts them: who this one is, and sums over all."""

from __future__ import annotations

import os

import torch
from torch import distributed

RANK, PROCESSES = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))  # as torchrun sets them


def join() -> None:
    """Wait until all processes are there."""
    if PROCESSES > 1:
        if not distributed.is_initialized():
            distributed.init_process_group("gloo")
        distributed.barrier()


def add_up(tensors: list[torch.Tensor]) -> None:
    """Put into each tensor its sum over all processes."""
    if PROCESSES > 1:
        flat = torch.cat([t.flatten() for t in tensors])
        distributed.all_reduce(flat)
        for tensor, total in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))


def largest(values: list[float]) -> list[float]:
    """For each value the largest that any process holds."""
    tensor = torch.tensor(values, dtype=torch.float64)
    if PROCESSES > 1:
        distributed.all_reduce(tensor, distributed.ReduceOp.MAX)
    return tensor.tolist()
