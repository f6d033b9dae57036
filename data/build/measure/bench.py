"""Measure the speed of fine-tuning: `make bench`, or `python -m data.build.measure.bench [--preset tiny] [--quick]`.

In one run: our step against a plain loop (plain_loop.py), both in turns so that they share the machine's moods; the
bank in batches; the share of the machine's peak; where the time goes; and how it grows with batch, steps and
resolution. The table goes to stdout and to data/results/bench-DEVICE.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile, schedule
from torch.utils.flop_counter import FlopCounterMode

from dp_helpers import catalog, course, finetune, models, presets, runs
from dp_helpers.device import mixed_precision, pick_device
from dp_helpers.files import find_data, whole_file
from dp_helpers.training.latents import Bank, build_bank

from . import plain_loop

WARM_UP = 3  # steps that are not counted: they choose algorithms and allocate the optimizer's states
# Kinds of operations by the beginnings of their names, the first that fits.
KINDS = {
    "convolution, backward": ("aten::convolution_backward",),
    "convolution": ("aten::mkldnn_convolution", "aten::cudnn_convolution", "aten::_slow_conv", "aten::thnn_conv"),
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::linear", "aten::mkldnn_linear"),
    "attention": ("aten::_scaled_dot_product", "aten::_flash", "aten::_efficient", "aten::_softmax"),
    "norms": ("aten::native_group_norm", "aten::native_layer_norm", "aten::native_batch_norm"),
    "copies and casts": ("aten::copy_", "aten::_to_copy", "aten::clone", "aten::contiguous", "aten::cat"),
    "optimizer and clipping": ("aten::_fused_adam", "Optimizer.", "aten::_foreach", "bitsandbytes"),
}


class Clock:
    """A progress function that notes when each step ended."""

    def __init__(self, also: Callable[[], None] | None = None) -> None:
        self.ends, self.also = [], also

    def __call__(self, step: int, steps: int, loss: float) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        if self.also:
            self.also()

    @property
    def seconds(self) -> float:
        """Return the median seconds of a step, the first ones left out."""
        counted = self.ends[WARM_UP - 1 :]
        return statistics.median(after - before for before, after in zip(counted, counted[1:], strict=False))


class Bench:
    """One item and one preset, and the measurements on them."""

    def __init__(self, preset: presets.Preset, item: catalog.Item, steps: int, repeats: int) -> None:
        self.preset = presets.change(preset, finetune={"steps": steps + WARM_UP, "lr_warmup_steps": 0})
        self.item, self.repeats = item, repeats
        self.object_masks = [
            Image.new("L", photo.size, 255) for photo in item.photos
        ]  # any will do: they cost the same
        self.prompt, self.device = item.prompt(preset.token), pick_device()
        self.precision = mixed_precision(preset.finetune.mixed_precision, self.device)

    def bank(self, preset: presets.Preset, **settings) -> Bank:
        """Return a small bank; its size does not matter to a step."""
        small = presets.change(preset, finetune={"views": 4, "masks_per_view": 2} | settings)
        return build_bank(models.load_vae(small).to(self.device), self.item.photos[:4], self.object_masks[:4], small)

    def step(self, preset: presets.Preset | None = None, also: Callable[[], None] | None = None) -> float:
        """Return the seconds of our step."""
        preset, clock = preset or self.preset, Clock(also)
        finetune.train(self.bank(preset), self.prompt, preset, progress=clock)
        return clock.seconds

    def plain_step(self) -> float:
        """Return the seconds of the plain loop's step."""
        clock = Clock()
        plain_loop.train(self.item.photos, self.prompt, self.preset, clock)
        return clock.seconds

    def against_the_plain_loop(self) -> tuple[list[str], float, float]:
        """Return a table, our seconds a step and those of the plain loop."""
        ours, plain = zip(*((self.step(), self.plain_step()) for _ in range(self.repeats)), strict=True)
        ratios = [b / a for a, b in zip(ours, plain, strict=True)]
        lines = ["| seconds a step | median | least | most |", "|---|---:|---:|---:|"]
        for name, values in (("ours", ours), ("plain loop", plain), ("plain loop / ours", ratios)):
            lines.append(f"| {name} | {statistics.median(values):.3f} | {min(values):.3f} | {max(values):.3f} |")
        lines += ["", f"n = {self.repeats} repeats in turns, batch {self.preset.finetune.batch_size}."]
        return lines, statistics.median(ours), statistics.median(plain)

    def encoding(self, sizes=(1, 2, 4, 8)) -> tuple[list[str], float]:
        """Return a table of encoding in batches, and the seconds that our whole bank takes, one picture at a time."""
        vae = models.load_vae(self.preset).to(self.device)
        side, found = self.preset.resolution, {size: [] for size in sizes}
        with torch.no_grad():
            images = torch.rand(max(sizes), 3, side, side, device=self.device)
            vae.encode(images[:1])
            for _ in range(self.repeats):
                for size in sizes:
                    start = time.perf_counter()
                    for some in images.split(size):
                        vae.encode(some).latent_dist.mean.cpu()
                    found[size].append((time.perf_counter() - start) / len(images))
        lines = ["| pictures at once | seconds a picture | against one at a time |", "|---:|---:|---:|"]
        one = statistics.median(found[1])
        lines += [f"| {n} | {(now := statistics.median(each)):.4f} | {one / now:.2f} |" for n, each in found.items()]
        pictures = self.preset.finetune.views * (1 + self.preset.finetune.masks_per_view)
        return [*lines, "", f"The bank holds {pictures} pictures."], one * pictures

    def share_of_the_peak(self, seconds: float) -> list[str]:
        """Return the arithmetic of a step, and its share of what the machine does in one large operation."""
        bank, one = self.bank(self.preset), presets.change(self.preset, finetune={"steps": 1})
        with FlopCounterMode(display=False) as counter:
            finetune.train(bank, self.prompt, one, progress=False)
        flops = counter.get_total_flops()
        peaks = self._peaks()
        lines = [f"A step takes {flops / 1e9:.1f} GFLOP, so it reaches {flops / seconds / 1e9:.0f} GFLOP/s."]
        return lines + [
            f"That is {flops / seconds / rate:.0%} of {name} ({rate / 1e9:.0f} GFLOP/s)."
            for name, rate in peaks.items()
        ]

    def _peaks(self) -> dict[str, float]:
        dtype = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self.precision]
        size = 4096 if self.device.type == "cuda" else 1024
        a = torch.randn(size, size, dtype=dtype, device=self.device)
        conv = torch.nn.Conv2d(256, 256, 3, padding=1, dtype=dtype, device=self.device).requires_grad_(False)
        x = torch.randn(8, 256, 32, 32, dtype=dtype, device=self.device).to(memory_format=torch.channels_last)
        works = {
            "a matrix product": (lambda: a @ a, 2 * size**3),
            "a convolution": (lambda: conv(x), 2 * 8 * 32 * 32 * 256 * 256 * 9),
        }
        return {name: flops / _best(work, self.device) for name, (work, flops) in works.items()}

    def kinds(self) -> list[str]:
        """Return a table of where the time of a step goes."""
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (self.device.type == "cuda")
        with profile(activities=activities, schedule=schedule(wait=WARM_UP - 1, warmup=1, active=3)) as profiler:
            self.step(also=profiler.step)
        seconds, calls = dict.fromkeys([*KINDS, "all else"], 0.0), dict.fromkeys([*KINDS, "all else"], 0)
        for event in profiler.key_averages():
            kind = next((kind for kind, names in KINDS.items() if event.key.startswith(names)), "all else")
            own = event.self_device_time_total if self.device.type == "cuda" else event.self_cpu_time_total
            if not event.key.startswith("ProfilerStep"):
                seconds[kind] += own
                calls[kind] += event.count
        total = sum(seconds.values())
        lines = ["| kind | share of the time | calls a step |", "|---|---:|---:|"]
        order = sorted(seconds, key=seconds.get, reverse=True)
        return lines + [f"| {kind} | {seconds[kind] / total:.0%} | {calls[kind] / 3:.0f} |" for kind in order]

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


def _best(work: Callable[[], torch.Tensor], device: torch.device) -> float:
    """Return the least seconds that some work takes."""
    tries = []
    for _ in range(8):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        tries.append(time.perf_counter() - start)
    return min(tries)


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
    parser.add_argument("--steps", type=int, default=10, help="timed steps of each repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    course.quiet()
    preset, item = presets.load(options.preset), catalog.load_item(find_data() / "catalog" / options.item)
    bench = Bench(preset, item, options.steps, options.repeats)
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else platform.processor() or platform.machine()
    versions = ", ".join(f"{library} {version}" for library, version in runs.versions().items())
    out = options.out or find_data() / "results" / f"bench-{bench.device.type}.md"
    text: list[str] = []

    def write(*lines: str) -> None:
        text.extend(lines)
        print(*lines, sep="\n", flush=True)

    write(
        f"# Speed of fine-tuning, preset {preset.name}",
        "",
        f"`python -m data.build.measure.bench --preset {preset.name}`",
    )
    write(
        "",
        f"{name}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, precision {bench.precision}; {versions}",
    )
    table, step, plain = bench.against_the_plain_loop()
    write("", "## Our step and the plain loop's", "", *table)
    table, encoding = bench.encoding()
    write("", "## Encoding in batches", "", *table)
    write(
        "", "## A whole run, from the two figures above", "", *whole_run(step, plain, encoding, preset.finetune.steps)
    )
    write("", "## Share of the machine's peak", "", *bench.share_of_the_peak(step))
    write("", "## Where the time of a step goes", "", *bench.kinds())
    write("", "## Growth", "", *bench.scaling())
    with whole_file(out) as temporary:
        temporary.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
