"""The command ``check``."""

from __future__ import annotations

import argparse

from . import common

_WORDS = {True: "OK  ", False: "FAIL", None: "NOTE"}


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    common.add_command(commands, "check", run)


def run(options: argparse.Namespace) -> int:
    """Say whether this machine is ready, in one line for each requirement."""
    common.quiet()
    from ..check import checks

    everything = True
    for right, name, found in checks(options.preset):
        everything &= right is not False
        print(f"{_WORDS[right]} {name}: {found}", flush=True)
    return 0 if everything else 1
