"""Measure the speed of fine-tuning: `make bench`, or `python -m data.build.measure.bench [--preset tiny] [--busy]`.

In one run: our step against a plain loop (plain_loop.py), both in turns so that they share the machine's moods; what
each of our choices gains alone; the bank in batches; the share of the machine's peak; where the time goes; and how it
grows with batch, resolution and steps. The report goes to stdout and to data/results/bench-DEVICE.md.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from dp_helpers import catalog, course, finetune, models, presets, runs
from dp_helpers.device import mixed_precision, pick_device
from dp_helpers.files import find_data, whole_file
from dp_helpers.training.latents import Bank, build_bank

from . import choices, machine, plain_loop

WARM_UP = 3  # steps that are not counted: they choose algorithms and allocate the optimizer's states


class Clock:
    """A progress function that notes when each step ended, by the clock ``now``."""

    def __init__(self, now: Callable[[], float] = time.perf_counter, also: Callable[[], None] | None = None) -> None:
        self.ends, self.now, self.also = [], now, also

    def __call__(self, step: int, steps: int, loss: float) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(self.now())
        if self.also:
            self.also()

    @property
    def seconds(self) -> float:
        """Return the median seconds of a step, the first ones left out."""
        counted = self.ends[WARM_UP - 1 :]
        return statistics.median(after - before for before, after in zip(counted, counted[1:], strict=False))


class Bench:
    """One item and one preset, and the measurements on them.

    Args:
        preset, item: what is trained.
        steps: timed steps of each repeat.
        repeats: of every measurement that has a spread.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        preset: presets.Preset,
        item: catalog.Item,
        steps: int,
        repeats: int,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.preset = presets.change(preset, finetune={"steps": steps + WARM_UP, "lr_warmup_steps": 0})
        self.item, self.repeats, self.now = item, repeats, now
        # Masks of the whole photo will do: they cost the same.
        self.object_masks = [Image.new("L", photo.size, 255) for photo in item.photos]
        self.prompt, self.device = item.prompt(preset.token), pick_device()
        self.precision = mixed_precision(preset.finetune.mixed_precision, self.device)

    def bank(self, preset: presets.Preset, **settings) -> Bank:
        """Return a bank of one view a photo, or with other settings; its size does not matter to a step."""
        small = presets.change(preset, finetune={"views": len(self.item.photos), "masks_per_view": 2} | settings)
        vae = models.load_vae(small).to(self.device)
        return build_bank(vae, self.item.photos, self.object_masks, small)

    def step(self, preset: presets.Preset | None = None, also: Callable[[], None] | None = None) -> float:
        """Return the seconds of our step."""
        preset, clock = preset or self.preset, Clock(self.now, also)
        finetune.train(self.bank(preset), self.prompt, preset, progress=clock)
        return clock.seconds

    def plain_step(self) -> float:
        """Return the seconds of the plain loop's step."""
        clock = Clock(self.now)
        plain_loop.train(self.item.photos, self.prompt, self.preset, clock)
        return clock.seconds

    def against_the_plain_loop(self) -> tuple[list[str], float, float]:
        """Return a table, our seconds a step and those of the plain loop."""
        ours, plain = zip(*((self.step(), self.plain_step()) for _ in range(self.repeats)), strict=True)
        rows = {"ours": ours, "plain loop": plain, "plain loop / ours": _ratios(plain, ours)}
        lines = [*_spread("seconds a step", rows), "", f"n = {self.repeats} repeats in turns, batch {self.batch}."]
        return lines, statistics.median(ours), statistics.median(plain)

    def encoding(self, sizes: Sequence[int] = (1, 2, 4, 8)) -> tuple[list[str], float]:
        """Return a table of the seconds of building a bank in batches, and the seconds of the preset's whole bank."""
        count, each = len(self.item.photos), self.preset.finetune.masks_per_view
        found: dict[int, list[float]] = {size: [] for size in sizes}
        self.bank(self.preset)
        for _ in range(self.repeats):
            for size in sizes:
                start = self.now()
                self.bank(self.preset, encode_batch_size=size, masks_per_view=each)
                found[size].append((self.now() - start) / count / (1 + each))
        rows = {f"{size} at once": seconds for size, seconds in found.items()}
        pictures = math.ceil(self.preset.finetune.views / count) * count * (1 + each)
        chosen = self.preset.finetune.encode_batch_size
        lines = [*_spread("seconds a picture", rows), "", f"The bank holds {pictures} pictures."]
        return lines, statistics.median(found.get(chosen, found[sizes[0]])) * pictures

    def share_of_the_peak(self, seconds: float) -> list[str]:
        """Return the arithmetic of a step, and its share of what the machine does in one large operation."""
        bank, one = self.bank(self.preset), presets.change(self.preset, finetune={"steps": 1})
        with FlopCounterMode(display=False) as counter:
            finetune.train(bank, self.prompt, one, progress=False)
        vae, side = models.load_vae(self.preset).to(self.device), self.preset.resolution
        with FlopCounterMode(display=False) as plain, torch.no_grad():
            vae.encode(torch.zeros(2 * self.batch, 3, side, side, device=self.device))
        flops, more = counter.get_total_flops(), plain.get_total_flops()
        peaks = machine.peaks(self.precision, self.device, self.now)
        least = flops / peaks["a matrix product"]
        lines = [f"- A step takes {flops / 1e9:.1f} GFLOP, so it reaches {flops / seconds / 1e9:.0f} GFLOP/s."]
        lines += [
            f"- That is {flops / seconds / rate:.0%} of {name} ({rate / 1e9:.0f} GFLOP/s)."
            for name, rate in peaks.items()
        ]
        return [
            *lines,
            f"- The plain step encodes {2 * self.batch} pictures, too: {more / 1e9:.1f} GFLOP. So its arithmetic is "
            f"{(flops + more) / flops:.2f} times ours.",
            f"- If our step ran at the rate of the matrix product, it would take {least:.3f} s.",
        ]

    def kinds(self) -> list[str]:
        """Return a table of where the time of a step goes."""
        return machine.kinds(lambda note: self.step(also=note), self.device, WARM_UP)

    def scaling(self) -> list[str]:
        """Return tables of the seconds by batch and resolution."""
        lines = ["| batch | seconds a step | samples a second |", "|---:|---:|---:|"]
        for size in (1, 2, 4, 8, 16):
            seconds = self.step(presets.change(self.preset, finetune={"batch_size": size}))
            lines.append(f"| {size} | {seconds:.3f} | {size / seconds:.1f} |")
        lines += ["", "| resolution | seconds a step |", "|---:|---:|"]
        for side in (self.preset.resolution // 2, self.preset.resolution, self.preset.resolution * 3 // 2):
            lines.append(f"| {side} | {self.step(presets.change(self.preset, resolution=side)):.3f} |")
        return lines

    @property
    def batch(self) -> int:
        """Return the samples of a step."""
        return self.preset.finetune.batch_size


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _spread(what: str, rows: dict[str, Sequence[float]]) -> list[str]:
    """Return a table of the median, the least and the most of some values."""
    lines = [f"| {what} | median | least | most |", "|---|---:|---:|---:|"]
    return lines + [
        f"| {name} | {statistics.median(values):.3f} | {min(values):.3f} | {max(values):.3f} |"
        for name, values in rows.items()
    ]


def whole_run(step: float, plain: float, encoding: float, steps: int) -> list[str]:
    """Return how the seconds of a run grow with its steps: ours encodes the bank once, the plain loop in each step."""
    lines = ["| steps | ours with the bank, seconds | plain loop, seconds | plain / ours |", "|---|---:|---:|---:|"]
    for count in (steps // 4, steps // 2, steps, 2 * steps):
        ours, theirs = encoding + count * step, count * plain
        lines.append(f"| {count} | {ours:.0f} | {theirs:.0f} | {theirs / ours:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--item", default="lantern-lamp")
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each repeat (default: 10)")
    parser.add_argument("--repeats", type=int, default=5, help="of what has a spread (default: 5)")
    parser.add_argument("--busy", action="store_true", help="one thread, and count the seconds of its processor only")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    course.quiet()
    if options.busy:
        torch.set_num_threads(1)
    preset, item = presets.load(options.preset), catalog.load_item(find_data() / "catalog" / options.item)
    clock = time.process_time if options.busy else time.perf_counter
    bench = Bench(preset, item, options.steps, options.repeats, clock)
    out, text = options.out or find_data() / "results" / f"bench-{bench.device.type}.md", []

    def write(*lines: str) -> None:
        text.extend(lines)
        print(*lines, sep="\n", flush=True)

    write(f"# Speed of fine-tuning, preset {preset.name}", "", *_circumstances(bench, options))
    table, step, plain = bench.against_the_plain_loop()
    write("", "## Our step and the plain loop's", "", *table)
    write("", "## Each choice alone", "", *choices.alone(bench, plain))
    table, encoding = bench.encoding()
    write("", "## The bank, encoded in batches", "", *table)
    title = "## A whole run, from the medians above"
    write("", title, "", *whole_run(step, plain, encoding, preset.finetune.steps))
    write("", "## Share of the machine's peak", "", *bench.share_of_the_peak(step))
    write("", "## Where the time of a step goes", "", *bench.kinds())
    write("", "## Growth", "", *bench.scaling(), "", f"At the end {machine.load()}.")
    with whole_file(out) as temporary:
        temporary.write_text("\n".join(text) + "\n", encoding="utf-8")


def _circumstances(bench: Bench, options: argparse.Namespace) -> list[str]:
    """Say what was measured where, and how to measure it again."""
    given = f"--preset {options.preset} --steps {options.steps} --repeats {options.repeats}"
    versions = ", ".join(f"{library} {version}" for library, version in runs.versions().items())
    seconds = "Seconds are those of the processor in one thread, because the machine did other work at the same time."
    return [
        f"`python -m data.build.measure.bench {given}{' --busy' if options.busy else ''}`",
        "",
        f"{machine.name(bench.device)}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, precision "
        f"{bench.precision}; {versions}. At the start {machine.load()}.",
        *([seconds] if options.busy else []),
    ]


if __name__ == "__main__":
    main()
