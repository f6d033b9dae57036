"""The command line: ``python -m dp_helpers demo | masks | finetune | inpaint | export | evaluate | check``.

Status lines and progress bars go to stderr, results to stdout. Wrong input ends with one sentence on stderr and exit
code 2. Input is checked before torch is loaded, so that a mistake is answered at once.
"""

from __future__ import annotations

import argparse
import sys

from .commands import check, demo, evaluate, export, finetune, inpaint, masks
from .errors import InputError

COMMANDS = (demo, masks, finetune, inpaint, export, evaluate, check)  # in the order in which --help lists them


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    options.words = sys.argv[1:] if arguments is None else arguments
    try:
        return options.command(options) or 0
    except InputError as error:
        print(f"dp_helpers: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"\ndp_helpers: {stopped or 'stopped; no half-written file is left'}.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dp_helpers", description="Paint a catalogue product into a photo.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
