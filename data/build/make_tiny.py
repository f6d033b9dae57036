"""Train the whole tiny family in order, then measure it and write the model cards: `python data/build/make_tiny.py`

Each step is a script of its own that resumes after a kill and does nothing when its run is finished; so run this again
after an interruption and it goes on where it stopped. `--hours H` sets the length of the two U-Net runs together (of
which four tenths go to 64 px).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def plan(hours: float) -> list[list[str]]:
    """The commands in order."""
    minutes = 60 * hours
    return [["train_vae.py", "--minutes", "120"], ["train_clip.py", "--minutes", "60"], ["train_clipseg.py", "--minutes", "30"],
            ["train_unet.py", "--resolution", "64", "--minutes", f"{0.4 * minutes:g}"],
            ["train_unet.py", "--resolution", "128", "--minutes", f"{0.6 * minutes:g}"],
            ["train_pbe.py", "--minutes", f"{max(10, 0.15 * minutes):g}"], ["measure.py"], ["cards.py"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=8, help="for both U-Net runs together (default %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print the commands only")
    args = parser.parse_args()
    for script, *options in plan(args.hours):
        print("python", f"data/build/{script}", *options, flush=True)
        if not args.dry_run:
            done = subprocess.run([sys.executable, HERE / script, *options])
            if done.returncode:
                sys.exit(f"{script} stopped with exit code {done.returncode}; run make_tiny.py again to go on")


if __name__ == "__main__":
    main()
