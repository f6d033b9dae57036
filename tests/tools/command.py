"""Run the command line in a process of its own, or in this one, which takes seconds less because torch is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dp_helpers.__main__ import main

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*arguments, folder: Path) -> subprocess.CompletedProcess:
    """Run a command in a process of its own, with ``folder`` as its working folder."""
    return subprocess.run(
        [sys.executable, "-m", "dp_helpers", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


class Done:
    """A command that was run in this process: what `run` returns."""

    def __init__(self, capsys, *arguments) -> None:
        self.returncode = main([str(argument) for argument in arguments])
        self.stdout, self.stderr = capsys.readouterr()
