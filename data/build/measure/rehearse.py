"""Walk the real size through everything: `make rehearse`, or `python -m data.build.measure.rehearse [PART ...]`.

Models of the published size of Stable Diffusion 1.5 inpainting, with random weights, go through
- `commands`: masks, fine-tuning (two steps, saved), painting, each in its own process, with its seconds and memory;
- `lessons`: every lesson, with this preset in place of tiny and with the counts of the tests; `--resolution 256` makes
  its pictures smaller, to save a CPU time;
- `gpu`: on a GPU only, the memory and speed of each way to train and of a painting, in under four minutes.

A CPU needs 16 GB of memory, for lesson 04 21 GB. What is painted is noise: this is a test of code, memory and time.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from PIL import Image

from dp_helpers import course, finetune, inpaint, presets
from dp_helpers.commands.memory import CHOICES
from dp_helpers.files import whole_file
from dp_helpers.training import memory
from dp_helpers.training.latents import Bank

from . import full_size
from .full_size import ROOT

OUT = ROOT / "out/rehearse"
ITEM, CONTEXT, MASK = "lantern-lamp", "sideboard", "rectangle"
PARTS = ("commands", "lessons", "gpu")
SHRUNK = {"views": 2, "masks_per_view": 1, "num_inference_steps": 2}
STEPS, WARM_UP = 12, 3


def shrunk_preset(full: Path, resolution: int = 512) -> Path:
    """Write the preset with the smallest counts next to the full one, and return its path."""
    text = full.read_text(encoding="utf-8")
    for name, value in {**SHRUNK, "resolution": resolution}.items():
        text, count = re.subn(rf"^{name} = \d+", f"{name} = {value}", text, flags=re.MULTILINE)
        assert count == 1, f"sd15.toml no longer sets {name}"
    path = full.with_name(f"sd15-shrunk-{resolution}.toml")
    path.write_text(text, encoding="utf-8")
    return path


def two_photos() -> Path:
    """Return the folder of an item with two photos, because encoding takes long on a CPU."""
    source, folder = ROOT / "data/catalog" / ITEM, OUT / ITEM
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "photos").mkdir(parents=True)
    shutil.copy(source / "item.json", folder)
    for photo in sorted((source / "photos").glob("*.jpg"))[:2] or sorted((source / "photos").glob("*.png"))[:2]:
        Image.open(photo).convert("RGB").resize((512, 512), Image.LANCZOS).save(folder / "photos" / f"{photo.stem}.png")
    return folder


def commands(preset: Path) -> None:
    """Run the commands one after the other, and print their seconds and memory."""
    item, run, context = two_photos(), OUT / "run", ROOT / "data/contexts" / CONTEXT
    shutil.rmtree(run, ignore_errors=True)
    named = ["--preset", str(preset)]
    photo = next(path for path in sorted(context.glob("photo.*")))
    mask = context / "masks" / f"{MASK}.png"
    walks = {
        "masks": [item, *named, "--out", OUT / "masks"],
        "finetune": [item, *named, "--steps", 2, "--out", run],
        "inpaint": [run, photo, mask, "--out", OUT / "painted.png"],
    }
    print("| command | seconds | peak memory, GB |\n|---|---:|---:|", flush=True)
    for name, arguments in walks.items():
        seconds, peak = _timed([sys.executable, "-m", "dp_helpers", name, *map(str, arguments)])
        print(f"| `{name}` | {seconds:.0f} | {peak / 1e9:.1f} |", flush=True)
    size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    steps = json.loads((run / "run.json").read_text())["steps"]
    print(f"\nThe saved run holds {steps} steps and takes {size / 1e9:.2f} GB.", flush=True)


def _timed(command: list[str]) -> tuple[float, float]:
    """Run a command. Return its seconds and the most memory that it held, in bytes."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[1:4])} failed with exit code {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def lessons(preset: Path, names: list[str]) -> None:
    """Execute the lessons with the preset in place of tiny, and print their seconds."""
    sys.path += [str(ROOT / "notebooks"), str(ROOT / "tests")]
    import execute
    from tools.shrunk import shrunk_lesson

    print("| lesson | seconds |\n|---|---:|", flush=True)
    for path in execute.lessons(names):
        notebook, started = shrunk_lesson(path), time.perf_counter()
        setup = next(cell for cell in execute.code_cells(notebook) if "setup" in cell.metadata.get("tags", []))
        assert 'presets.load("tiny")' in setup.source, "the set-up cell no longer loads the preset tiny"
        setup.source = setup.source.replace('presets.load("tiny")', f"presets.load({str(preset)!r})")
        execute.execute(notebook, timeout=4 * 3600)
        print(f"| {path.stem} | {time.perf_counter() - started:.0f} |", flush=True)


def gpu(source: Path, device: torch.device) -> list[str]:
    """Measure each way to train and a painting. Return the lines of a table."""
    lines = ["| way to train | peak, GB | predicted, GB | steps a second |", "|---|---:|---:|---:|"]
    for name, settings in CHOICES.items():
        preset = presets.change(presets.load(source), finetune={**settings, "steps": STEPS + WARM_UP})
        ends: list[float] = []

        def note(*_, ends=ends) -> None:
            _wait(device)
            ends.append(time.perf_counter())

        gc.collect()  # modules that hold themselves in a circle would count in the next way to train
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            finetune.train(_random_bank(preset, device), "a nbsn lamp", preset, progress=note)
        except torch.OutOfMemoryError:
            lines.append(f"| {name} | out of memory | {memory.account(preset).tensors / 1e9:.2f} | |")
            continue
        counted = ends[WARM_UP - 1 :]
        step = statistics.median(after - before for before, after in zip(counted, counted[1:], strict=False))
        peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else float("nan")
        predicted = memory.account(preset).tensors
        lines.append(f"| {name} | {peak / 1e9:.2f} | {predicted / 1e9:.2f} | {1 / step:.2f} |")
        print(lines[-1], flush=True)
    painter, photo = inpaint.load_painter(presets.load(source)), Image.new("RGB", (512, 512), "white")
    painter.pipe.set_progress_bar_config(disable=True)
    mask, seconds = Image.new("L", photo.size, 255), []
    for _ in range(3):
        started = time.perf_counter()
        painter(photo, mask, prompt="a nbsn lamp")
        seconds.append(time.perf_counter() - started)
    steps = painter.preset.inpaint.num_inference_steps
    return [*lines, "", f"A painting of {steps} denoising steps takes {min(seconds):.1f} s."]


def _random_bank(preset: presets.Preset, device: torch.device) -> Bank:
    """Return a bank of the preset's size without encoding anything."""
    views, masks, side = preset.finetune.views, preset.finetune.masks_per_view, preset.resolution // 8
    drawn = [torch.randn(count, 4, side, side, device=device) for count in (views, views * masks)]
    hidden = [torch.rand(count, 1, side, side, device=device).round() for count in (views, views * masks)]
    view = torch.arange(views, device=device).repeat_interleave(masks)
    return Bank(drawn[0], hidden[0], hidden[1], drawn[1], view)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--lessons", nargs="+", default=[], help="default: all")
    parser.add_argument("--resolution", type=int, default=512, help="of the lessons' pictures (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}: name some of {', '.join(PARTS)}")
    parts = options.parts or PARTS
    course.quiet()
    full = full_size.make()
    if "gpu" in parts and torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        lines = [f"# Stable Diffusion 1.5 inpainting with random weights on a {name}", ""]
        lines += [
            "`python -m data.build.measure.rehearse gpu`, " + time.strftime("%Y-%m-%d"),
            "",
            *gpu(full, torch.device("cuda")),
        ]
        with whole_file(ROOT / "data/results" / f"full-size-{re.sub('[^a-z0-9]+', '-', name.lower())}.md") as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print("\n".join(lines))
    if "commands" in parts:
        commands(shrunk_preset(full))
    if "lessons" in parts:
        lessons(shrunk_preset(full, options.resolution), options.lessons)


if __name__ == "__main__":
    main()
