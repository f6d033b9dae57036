"""Several processes: all train one item on their parts of each batch, or each trains items of its own.

`accelerate launch` and `torchrun` start them. With several items no process waits for another: each takes its share of
the items and then works alone.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import torch

Thing = TypeVar("Thing")
_LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK")


def count() -> int:
    """Return how many processes the launcher started."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_main() -> bool:
    """Return whether this is the process that writes files and draws bars."""
    return int(os.environ.get("RANK", 0)) == 0


def my_part(batch_size: int) -> tuple[int, torch.Tensor]:
    """Return how many samples all processes draw for a step, and the numbers of those that are this process's.

    All processes draw all samples from the same random numbers. So two processes compute what one process computes
    with twice the batch.
    """
    first = int(os.environ.get("RANK", 0)) * batch_size
    return count() * batch_size, torch.arange(first, first + batch_size)


def take_gpu() -> None:
    """Compute on a GPU of this process's own from now on, if there are several processes."""
    if count() > 1 and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))


def take_share(things: Sequence[Thing]) -> list[Thing]:
    """Return this process's share of some things, and let it work alone from now on."""
    share = list(things[int(os.environ.get("RANK", 0)) :: count()])
    take_gpu()
    if count() > 1:
        for name in _LAUNCHER:  # accelerate would read them and wait for the others
            os.environ.pop(name, None)
    return share
