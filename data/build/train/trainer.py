"""The trainer shared by all recipes: AdamW, warm-up and cosine decay, EMA, CSV log, picture grids, resumable.

A run is kept in `work/NAME/`: `log.csv`, `grid-STEP.png`, and `state.pt` (weights, EMAs, optimizer, and the counts of
steps, samples and seconds). Kill it whenever you like; the same command goes on from the last state. Every step draws
its random numbers from (seed, step), so an interrupted run sees the same ones. The learning rate follows progress =
max(step/steps, seconds/budget), so that a run given `--minutes` ends its decay on time. Batch size and precision follow
the device.

`torchrun --nproc-per-node 2 -m data.build.train.train_unet ... --threads 1` lets two processes share a step.
"""

from __future__ import annotations

import csv
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from diffusers.training_utils import EMAModel
from PIL import Image

from .options import DEVICE, fast_precision, prepare
from .parallel import PROCESSES, RANK, add_up, join, largest


def train(model, loss_fn, name: str, args, *, ema: float | tuple[float, ...] = 0.999, choose=None, **settings) -> bool:
    """Train `model` in place and leave its EMA weights in it.

    `loss_fn(model, rng, progress)` returns (loss, dict of floats to log); `rng` is a NumPy generator fresh for the
    step. With `batches(step)`, which gives an iterator over batches from that step on, it gets the next batch as a
    fourth argument. With several EMA lengths, `choose(model)` gives a number for each, and the EMA with the lowest is
    taken. `same_shapes=False` says that shapes change from step to step. The other settings are those of `Run.loop`.
    Return whether there is something to export: not in a second process, and not when the run was finished and exported
    before.
    """
    prepare(args, settings.pop("same_shapes", True))
    run = Run(
        Path(args.work) / name,
        model,
        ema if isinstance(ema, tuple) else (ema,),
        args,
        settings.pop("weight_decay", 0.01),
        settings.pop("betas", (0.9, 0.99)),
    )
    if args.export_now and run.step == 0:
        sys.exit(f"{name}: nothing in {run.folder} to export yet")
    if run.finished and (run.folder / "exported").exists() and not args.export_now:
        print(
            f"{name}: {run.folder} holds a finished run ({run.step} steps); --again trains from the start.",
            file=sys.stderr,
        )
        return False
    if not (run.finished or args.export_now):
        run.loop(loss_fn, **settings)
    run.take_average(choose if RANK == 0 else None)  # another process would add its figures to the run's folder
    return RANK == 0


def exported(args, name: str) -> None:
    """Note that the finished run has been exported, so that the same command does nothing from now on."""
    (Path(args.work) / name / "exported").touch()


class Run:
    """State of one training run on disk and in memory."""

    def __init__(self, folder: Path, model, lengths: tuple[float, ...], args, weight_decay: float, betas):
        folder.mkdir(parents=True, exist_ok=True)
        model.to(DEVICE, memory_format=torch.channels_last)
        self.folder, self.model, self.args = folder, model, args
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.weights, lr=0.0, betas=betas, weight_decay=weight_decay, fused=True)
        self.averages = [EMAModel(self.weights, decay=length, foreach=True) for length in lengths]
        self.step, self.samples, self.seconds, self.finished, self.stop = 0, 0, 0.0, False, False
        if args.again and not args.export_now and RANK == 0:
            for old in [*folder.glob("state.*"), folder / "log.csv", folder / "exported", *folder.glob("grid-*.png")]:
                old.unlink(missing_ok=True)
        join()
        if (folder / "state.pt").exists():
            self.load()

    def load(self) -> None:
        """Go back to the last saved state; forget what was logged after it."""
        state = torch.load(self.folder / "state.pt", map_location=DEVICE, weights_only=True)
        self.model.load_state_dict(state["model"])
        for average, kept in zip(self.averages, state["emas"], strict=True):
            average.load_state_dict(kept)
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.samples = state["step"], state["samples"]
        self.seconds, self.finished = state["seconds"], state["finished"]
        print(f"{self.folder.name}: at step {self.step} after {self.seconds / 60:.1f} min", file=sys.stderr)
        path = self.folder / "log.csv"
        if path.exists() and RANK == 0:
            head, *rows = path.read_text().splitlines(keepends=True)
            rows = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= self.step]
            path.write_text("".join([head, *rows]))

    def save(self) -> None:
        """Write the state under a temporary name and move it into place."""
        if RANK > 0:
            return
        state = {
            "model": self.model.state_dict(),
            "emas": [average.state_dict() for average in self.averages],
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
            "finished": self.finished,
        }
        if not self.finished:
            state["optimizer"] = self.optimizer.state_dict()
        part = self.folder / "state.part"
        torch.save(state, part)
        os.replace(part, self.folder / "state.pt")

    def take_average(self, choose=None) -> None:
        """Put an EMA's weights into the model: the one that `choose` gives the lowest number, or the first."""
        best = self.averages[0]
        if choose and len(self.averages) > 1:
            figures = []
            for average in self.averages:
                average.copy_to(self.weights)
                figures.append(choose(self.model.eval()))
                print(f"{self.folder.name}: EMA {average.decay:g} has {figures[-1]:.5f}", file=sys.stderr)
            best = self.averages[int(np.argmin(figures))]
        best.copy_to(self.weights)

    def progress(self) -> float:
        steps, minutes = self.args.steps, self.args.minutes
        return min(1.0, max(self.step / steps if steps else 0.0, self.seconds / (60 * minutes) if minutes else 0.0))

    def loop(
        self,
        loss_fn,
        *,
        lr: float,
        warmup: int = 100,
        clip: float = 1.0,
        batches=None,
        grid_fn=None,
        grid_minutes: float = 5,
        checkpoint_minutes: float = 3,
        log_every: int = 20,
    ) -> None:
        """Train to the end of the budget; `grid_fn(model)` returns an (H, W, 3) uint8 picture or None."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "stop", True))
        self.model.train()
        start = mark = time.monotonic()
        before = saved = drawn = self.seconds
        losses: list[torch.Tensor] = []
        source = batches(self.step) if batches else None
        while (progress := self._agree()) < 1 and not self.stop:
            rate = lr * min(1.0, (self.step + 1) / warmup) * (0.5 + 0.5 * math.cos(math.pi * progress))
            loss, extras = self._one(loss_fn, rate, clip, progress, source)
            losses.append(loss)
            self.seconds = before + time.monotonic() - start
            save = self.seconds - saved > 60 * checkpoint_minutes
            if self.step % log_every == 0 or save:
                self._check(losses)
            if self.step % log_every == 0 and RANK == 0:
                speed = self.args.batch_size * PROCESSES * len(losses) / (time.monotonic() - mark)
                self._log(float(torch.stack(losses).mean()), rate, speed, extras)
                losses, mark = [], time.monotonic()
            if grid_fn and RANK == 0 and (self.seconds - drawn > 60 * grid_minutes):
                self._grid(grid_fn)
                drawn = self.seconds
            if save:
                self.save()
                saved = self.seconds
        self._check(losses)
        self.finished = not self.stop
        self.save()
        if self.stop:
            sys.exit(f"\n{self.folder.name}: stopped at step {self.step}; the same command goes on from here")
        if grid_fn and RANK == 0:
            self._grid(grid_fn)

    def _agree(self) -> float:
        """Return the progress, after all processes have taken over the latest clock and a wish to stop."""
        self.seconds, stop = largest([self.seconds, float(self.stop)])
        self.stop = bool(stop)
        return self.progress()

    def _one(self, loss_fn, rate, clip, progress, source) -> tuple[torch.Tensor, dict]:
        rng = np.random.default_rng([self.args.seed, self.step, RANK])
        torch.manual_seed(int(rng.integers(2**62)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with fast_precision():
            loss, extras = loss_fn(self.model, rng, progress, *([next(source)] if source else []))
        (loss / PROCESSES).backward()
        add_up([p.grad for p in self.weights if p.grad is not None])
        torch.nn.utils.clip_grad_norm_(self.weights, clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        for average in self.averages:
            average.step(self.weights)
        self.step += 1
        self.samples += self.args.batch_size * PROCESSES
        return loss.detach(), extras

    def _check(self, losses: list[torch.Tensor]) -> None:
        """Stop when a loss is not finite; asked now and then, because a GPU must finish its work to answer."""
        if losses and not torch.stack(losses).isfinite().all():
            sys.exit(
                f"{self.folder.name}: the loss is not finite near step {self.step}; state.pt holds the last good state"
            )

    def _log(self, loss: float, rate: float, speed: float, extras: dict) -> None:
        row = {
            "step": self.step,
            "samples": self.samples,
            "seconds": round(self.seconds, 1),
            "loss": round(loss, 5),
            "lr": f"{rate:.3g}",
            "samples_per_s": round(speed, 2),
            **{k: round(float(v), 5) for k, v in extras.items()},
        }
        path = self.folder / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        print("  ".join(f"{k} {v}" for k, v in row.items()), file=sys.stderr, flush=True)

    def _grid(self, grid_fn) -> None:
        """Draw with the first EMA's weights, then take back those of the training."""
        self.averages[0].store(self.weights)
        self.averages[0].copy_to(self.weights)
        self.model.eval()
        with torch.no_grad():
            picture = grid_fn(self.model)
        if picture is not None:
            Image.fromarray(picture).save(self.folder / f"grid-{self.step:06d}.png")
        self.model.train()
        self.averages[0].restore(self.weights)
