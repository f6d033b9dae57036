"""What all recipes share before they start: folders, device, precision and the command line."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

import torch

from dp_helpers.device import attention, mixed_precision

HERE = Path(__file__).resolve().parents[1]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def options(doc: str, *, minutes: float, batch_size: int, gpu_batch_size: int | None = None) -> argparse.ArgumentParser:
    """Return the command line that all recipes share, with a recipe's own defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = gpu_batch_size if gpu_batch_size and DEVICE.type == "cuda" else batch_size
    add = parser.add_argument
    add("--minutes", type=float, help=f"time budget of the whole run (default {minutes:g}, unless --steps is given)")
    add("--steps", type=int, help="number of steps of the whole run")
    add("--batch-size", type=int, default=size, help="samples a step of one process (here %(default)s)")
    add("--seed", type=int, default=0)
    add(
        "--threads",
        type=int,
        help="CPU threads; two processes of one thread each get through half as much again as one of two",
    )
    add("--init", type=Path, metavar="FOLDER", help="start from the fp16 weights of this folder with a fresh optimizer")
    add("--again", action="store_true", help="train from the start although work/ holds a finished run")
    add("--export-now", action="store_true", help="write the last saved state to --tiny and stop; trains nothing")
    add("--data", type=Path, default=HERE / "work" / "train", help="folder of rendered shards")
    add(
        "--compile",
        action="store_true",
        help="of the U-Nets: compile the training step, which pays on a GPU (a minute or two, then from a cache)",
    )
    add("--work", type=Path, default=HERE / "work", help="folder of checkpoints and logs")
    add("--tiny", type=Path, default=HERE.parent / "tiny", help="folder of the finished models")
    parser.set_defaults(default_minutes=minutes)
    return parser


def prepare(args: argparse.Namespace, same_shapes: bool = True) -> None:
    """Fill in the default time budget when neither --minutes nor --steps was given; set the number of threads."""
    if args.minutes is None and args.steps is None:
        args.minutes = args.default_minutes
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cudnn.benchmark = same_shapes  # it tries out each new shape


@contextlib.contextmanager
def fast_precision():
    """Compute convolutions and matrix products in bf16 where that is fast."""
    precision = mixed_precision("auto", DEVICE)
    with contextlib.ExitStack() as stack:
        if precision == "bf16":
            stack.enter_context(torch.autocast(DEVICE.type, torch.bfloat16))
        stack.enter_context(attention(precision, DEVICE))
        yield
