"""Train the whole tiny family in order, then measure it and write the model cards: `python -m
data.build.train.make_tiny`

Each step is a module of its own that resumes after a kill and does nothing when its run is finished. So run this again
after an interruption and it goes on where it stopped. `--hours H` sets the length of the two U-Net runs together; four
tenths of it go to 64 px.
"""

from __future__ import annotations

import argparse
import subprocess
import sys


def plan(hours: float) -> list[list[str]]:
    """Return the modules to run, in order, each with its options."""
    minutes = 60 * hours
    return [
        ["train.train_vae", "--minutes", "120"],
        ["train.train_clip", "--minutes", "60"],
        ["train.train_clipseg", "--minutes", "30"],
        ["train.train_unet", "--resolution", "64", "--minutes", f"{0.4 * minutes:g}"],
        ["train.train_unet", "--resolution", "128", "--minutes", f"{0.6 * minutes:g}"],
        ["train.train_pbe", "--minutes", f"{max(10, 0.15 * minutes):g}"],
        ["measure.measure"],
        ["measure.cards"],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8, help="for both U-Net runs together (default %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    args = parser.parse_args()
    for module, *options in plan(args.hours):
        command = ["-m", f"data.build.{module}", *options]
        print("python", *command, flush=True)
        if not args.dry_run:
            done = subprocess.run([sys.executable, *command])
            if done.returncode:
                sys.exit(f"{module} stopped with exit code {done.returncode}; run make_tiny again to go on")


if __name__ == "__main__":
    main()
