"""The trainer shared by all recipes: AdamW, warm-up and cosine decay, EMA, CSV log, picture grids, resumable.

A run lives in `work/NAME/`: `log.csv`, `grid-STEP.png`, and `state.pt` (weights, EMA, optimizer, step, seconds). Kill it
whenever you like; the same command goes on from the last state. Every step draws its random numbers from (seed, step), so
an interrupted run sees the same ones. The learning rate follows progress = max(step/steps, seconds/budget), so that a run
given `--minutes` ends its decay on time.

`torchrun --nproc-per-node 2 train_unet.py ... --threads 1` lets two processes take a batch each and share the step.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from parallel import PROCESSES, RANK, add_up, join, largest
from PIL import Image

from dp_helpers.device import attention, mixed_precision

HERE = Path(__file__).resolve().parent
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def options(doc: str, *, minutes: float, batch_size: int) -> argparse.ArgumentParser:
    """The command line that all recipes share, with a recipe's own defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--minutes", type=float, help=f"time budget of the whole run (default {minutes:g}, unless --steps is given)")
    add("--steps", type=int, help="number of steps of the whole run")
    add("--batch-size", type=int, default=batch_size, help="samples a step of one process")
    add("--seed", type=int, default=0)
    add("--threads", type=int, help="CPU threads; two processes of one thread each get through half as much again as one of two")
    add("--init", type=Path, metavar="FOLDER", help="start from the fp16 weights of this folder (as in data/tiny/...) "
        "with a fresh optimizer; so a second session goes on from committed weights")
    add("--again", action="store_true", help="train anew although work/ holds a finished run")
    add("--export-now", action="store_true", help="write the last saved state to data/tiny/ and stop; trains nothing")
    add("--data", type=Path, default=HERE / "work" / "train", help="folder of rendered shards")
    add("--work", type=Path, default=HERE / "work", help="folder of checkpoints and logs")
    add("--tiny", type=Path, default=HERE.parent / "tiny", help="folder of the finished models")
    parser.set_defaults(default_minutes=minutes)
    return parser


def prepare(args: argparse.Namespace) -> None:
    """Fill in the default time budget when neither --minutes nor --steps was given; set the number of threads."""
    if args.minutes is None and args.steps is None:
        args.minutes = args.default_minutes
    if args.threads:
        torch.set_num_threads(args.threads)


@contextlib.contextmanager
def fast_precision():
    """bf16 for convolutions and matrix products where that is fast."""
    precision = mixed_precision("auto", DEVICE)
    with contextlib.ExitStack() as stack:
        if precision == "bf16":
            stack.enter_context(torch.autocast(DEVICE.type, torch.bfloat16))
        stack.enter_context(attention(precision, DEVICE))
        yield


def train(model, loss_fn, name: str, args, *, lr: float, warmup: int = 100, ema: float | None = 0.999,
          weight_decay: float = 0.01, clip: float = 1.0, betas=(0.9, 0.99), grid_fn=None, grid_minutes: float = 5,
          checkpoint_minutes: float = 3, log_every: int = 20) -> bool:
    """Train `model` in place and leave its EMA weights in it.

    `loss_fn(model, rng, progress)` returns (loss, dict of floats to log); `rng` is a NumPy generator fresh for the step.
    `grid_fn(model)` returns an (H, W, 3) uint8 picture. Returns whether there is something to export: not if the run was
    already finished and nothing was done, and in one process only.
    """
    prepare(args)
    folder = Path(args.work) / name
    folder.mkdir(parents=True, exist_ok=True)
    model.to(DEVICE, memory_format=torch.channels_last)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
    average = EMAModel(weights, decay=ema, foreach=True) if ema else None
    run = _Run(folder, model, average, optimizer, weights, args)
    if run.finished and args.export_now:
        run.use_average()
        return True
    if run.finished:
        print(f"{name}: {folder} holds a finished run ({run.step} steps); --again trains anew.", file=sys.stderr)
        return False
    if args.export_now:
        if run.step == 0:
            sys.exit(f"{name}: nothing in {folder} to export yet")
        run.use_average()
        return True
    run.loop(loss_fn, lr, warmup, clip, grid_fn if RANK == 0 else None, grid_minutes, checkpoint_minutes, log_every)
    return RANK == 0


class _Run:
    """State of one training run on disk and in memory."""

    def __init__(self, folder, model, average, optimizer, weights, args):
        self.folder, self.model, self.average, self.optimizer = folder, model, average, optimizer
        self.weights, self.args = weights, args
        self.step, self.seconds, self.finished, self.stop = 0, 0.0, False, False
        path = folder / "state.pt"
        if args.again and not args.export_now and RANK == 0:
            for old in [path, folder / "log.csv", *folder.glob("grid-*.png")]:
                old.unlink(missing_ok=True)
        join()
        if path.exists():
            state = torch.load(path, map_location=DEVICE, weights_only=True)
            model.load_state_dict(state["model"])
            if average:
                average.load_state_dict(state["ema"])
            if "optimizer" in state:
                optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds, self.finished = state["step"], state["seconds"], state["finished"]
            print(f"{folder.name}: at step {self.step} after {self.seconds / 60:.1f} min", file=sys.stderr)

    def save(self) -> None:
        if RANK > 0:
            return
        state = {"model": self.model.state_dict(), "step": self.step, "seconds": self.seconds, "finished": self.finished}
        if self.average:
            state["ema"] = self.average.state_dict()
        if not self.finished:
            state["optimizer"] = self.optimizer.state_dict()
        part = self.folder / "state.part"
        torch.save(state, part)
        os.replace(part, self.folder / "state.pt")

    def use_average(self) -> None:
        if self.average:
            self.average.copy_to(self.weights)

    def progress(self) -> float:
        steps, minutes = self.args.steps, self.args.minutes
        return min(1.0, max(self.step / steps if steps else 0.0, self.seconds / (60 * minutes) if minutes else 0.0))

    def loop(self, loss_fn, lr, warmup, clip, grid_fn, grid_minutes, checkpoint_minutes, log_every) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "stop", True))
        self.model.train()
        start = mark = time.monotonic()
        before = self.seconds
        saved = drawn = self.seconds
        losses: list[float] = []
        while (progress := self._agree()) < 1 and not self.stop:
            rate = lr * min(1.0, (self.step + 1) / warmup) * (0.5 + 0.5 * math.cos(math.pi * progress))
            loss, extras = self._one(loss_fn, rate, clip, progress)
            losses.append(loss)
            self.seconds = before + time.monotonic() - start
            if self.step % log_every == 0 and RANK == 0:
                speed = self.args.batch_size * PROCESSES * len(losses) / (time.monotonic() - mark)
                self._log(float(np.mean(losses)), rate, speed, extras)
                losses, mark = [], time.monotonic()
            if grid_fn and (self.seconds - drawn > 60 * grid_minutes):
                self._grid(grid_fn)
                drawn = self.seconds
            if self.seconds - saved > 60 * checkpoint_minutes:
                self.save()
                saved = self.seconds
        self.finished = not self.stop
        self.save()
        if self.stop:
            sys.exit(f"\n{self.folder.name}: stopped at step {self.step}; the same command goes on from here")
        self.use_average()
        if grid_fn:
            self._grid(grid_fn, averaged=True)

    def _agree(self) -> float:
        """The progress, after all processes have taken over the latest clock and a wish to stop."""
        self.seconds, stop = largest([self.seconds, float(self.stop)])
        self.stop = bool(stop)
        return self.progress()

    def _one(self, loss_fn, rate, clip, progress) -> tuple[float, dict]:
        rng = np.random.default_rng([self.args.seed, self.step, RANK])
        torch.manual_seed(int(rng.integers(2**62)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with fast_precision():
            loss, extras = loss_fn(self.model, rng, progress)
        (loss / PROCESSES).backward()
        add_up([p.grad for p in self.weights if p.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.weights, clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.step(self.weights)
        self.step += 1
        if not math.isfinite(value := loss.item()):
            sys.exit(f"{self.folder.name}: the loss is {value} at step {self.step}; state.pt holds the last good state")
        return value, extras

    def _log(self, loss: float, rate: float, speed: float, extras: dict) -> None:
        row = {"step": self.step, "samples": self.step * self.args.batch_size * PROCESSES, "seconds": round(self.seconds, 1),
               "loss": round(loss, 5), "lr": f"{rate:.3g}", "samples_per_s": round(speed, 2),
               **{k: round(float(v), 5) for k, v in extras.items()}}
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
        print("  ".join(f"{k} {v}" for k, v in row.items()), file=sys.stderr, flush=True)

    def _grid(self, grid_fn, averaged: bool = False) -> None:
        if self.average and not averaged:
            self.average.store(self.weights)
            self.use_average()
        self.model.eval()
        with torch.no_grad():
            Image.fromarray(grid_fn(self.model)).save(self.folder / f"grid-{self.step:06d}.png")
        self.model.train()
        if self.average and not averaged:
            self.average.restore(self.weights)


@contextlib.contextmanager
def export(folder: Path):
    """Yield a temporary folder to write a model into; put it in place when whole, keeping the old model card and history."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    for config in part.rglob("config.json"):               # stored in fp16, but to be loaded and run in fp32
        values = json.loads(config.read_text())
        if "dtype" in values:
            values["dtype"] = "float32"
        values.pop("_name_or_path", None)                  # a path of the machine that trained it
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
