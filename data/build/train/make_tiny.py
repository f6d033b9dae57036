"""Train the whole tiny family, then measure it and write the model cards: `python -m data.build.train.make_tiny`

`--minutes M` is the time for all training, without loading and measuring. `--init data/tiny` starts every model from
the weights of a family instead of from random ones, which suits a short session on a GPU:
`... --minutes 10 --init data/tiny --tiny out/tiny --only vae,clip,tokens,unet`. Each step is a module of its own that
resumes after a kill and does nothing when its run is finished. So run the same command again after an interruption and
it goes on where it stopped. Steps that do not need one another run at the same time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from .options import DEVICE, HERE

STEPS = ("vae", "clip", "tokens", "unet-64", "unet", "clipseg", "pbe", "measure", "cards")


def plan(minutes: float, init: Path | None) -> list[dict[str, list[str]]]:
    """Return stages in order; a stage holds the steps that may run together, each a module with its options."""

    def step(name: str, share: float, *options: str) -> list[str]:
        return [f"train.train_{name}", "--minutes", f"{share * minutes:g}", *options]

    def start(folder: str) -> list[str]:
        return ["--init", f"{init}/{folder}"] if init else []

    stages = [
        {"vae": step("vae", 0.25, *start("inpainting/vae")), "clip": step("clip", 0.25, *start("clip"))},
        {"clipseg": step("clipseg", 0.1, *start("clipseg"))},
        {"pbe": step("pbe", 0.15)},
        {"measure": ["measure.measure"]},
        {"cards": ["measure.cards"]},
    ]
    stages[0]["tokens"] = ["train.tokens"]
    if init:
        stages[1]["unet"] = step("unet", 0.6, "--tune-text", *start("inpainting/unet"))
    else:
        stages[1]["unet-64"] = step("unet", 0.2, "--tune-text", "--resolution", "64")
        stages.insert(2, {"unet": step("unet", 0.4, "--tune-text", "--init-run", "unet-64")})
    return stages


def run_together(commands: list[list[str]]) -> None:
    """Run a stage's commands at the same time; exit when one of them has failed."""
    running = [subprocess.Popen([sys.executable, *command]) for command in commands]
    failed = [command for command, process in zip(commands, running, strict=True) if process.wait()]
    if failed:
        sys.exit(f"stopped early: {' '.join(failed[0])}; run make_tiny again to go on")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=720, help="for all training (default %(default)s)")
    parser.add_argument("--init", type=Path, metavar="FAMILY", help="folder of a family to start from")
    parser.add_argument("--only", default=",".join(STEPS), help="comma-separated part of %(default)s")
    parser.add_argument("--data", type=Path, default=HERE / "work" / "train", help="folder of rendered shards")
    parser.add_argument("--work", type=Path, default=HERE / "work", help="folder of checkpoints and logs")
    parser.add_argument("--tiny", type=Path, default=HERE.parent / "tiny", help="folder of the finished models")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    args = parser.parse_args()
    chosen = args.only.split(",")
    if unknown := set(chosen) - set(STEPS):
        parser.error(f"unknown step: {', '.join(sorted(unknown))}")
    folders = ["--work", str(args.work), "--tiny", str(args.tiny)]
    shards = {"measure": ["--data", str(args.data.parent / "heldout")], "cards": []}
    for stage in plan(args.minutes, args.init):
        steps = {name: words for name, words in stage.items() if name in chosen}
        commands = []
        for name, (module, *options) in steps.items():
            command = ["-m", f"data.build.{module}", *options, *folders, *shards.get(name, ["--data", str(args.data)])]
            if len(steps) > 1 and DEVICE.type == "cpu" and module.startswith("train.train_"):
                command += ["--threads", "1"]
            if DEVICE.type == "cuda" and module in ("train.train_unet", "train.train_pbe"):
                command += ["--compile"]
            print("python", *command, flush=True)
            commands.append(command)
        if not args.dry_run:
            run_together(commands)


if __name__ == "__main__":
    main()
