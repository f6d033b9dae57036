"""The command line: ``python -m dp_helpers COMMAND``, for example ``demo``, ``finetune`` or ``inpaint``.

Status lines and progress bars go to stderr, results to stdout. Wrong input ends with one sentence on stderr and exit
code 2. Input is checked before torch is loaded, so that a mistake is answered at once.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from typing import NoReturn

from .commands import check, demo, evaluate, export, finetune, inpaint, masks, memory, study
from .errors import InputError, show_notes

# In the order in which --help lists them.
COMMANDS = (demo, masks, finetune, inpaint, export, evaluate, study, memory, check)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        with warnings.catch_warnings():
            show_notes(once=True)
            options = _parser().parse_args(arguments)
            options.words = sys.argv[1:] if arguments is None else arguments
            return options.command(options) or 0
    except InputError as error:
        print(f"dp_helpers: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:
            raise
        print(f"dp_helpers: {error.filename} cannot be used ({error.strerror}): check the name.", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        print(f"\ndp_helpers: {str(stopped) or 'stopped; no half-written file is left'}.", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Tell a mistake in the arguments in one sentence, as every other mistake."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="dp_helpers", description="Paint a catalogue product into a photo.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
