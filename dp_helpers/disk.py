"""Is there room on the disk, and is a folder free? Checked before the work, not after it."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import InputError


def check_space(folder: str | Path, needed: int) -> None:
    """Check that the disk of a folder has room for so many bytes.

    Raises:
        InputError: it has less.
    """
    there = next(parent for parent in (Path(folder).absolute(), *Path(folder).absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"{folder} needs {needed / 1e6:,.0f} MB, but its disk has {free / 1e6:,.0f} MB left: free some space, or "
            "choose a folder on another disk."
        )


def alone_in(argument: str, *, together: bool = False) -> Callable[[Callable], Callable]:
    """Let a function hold the folder that this keyword argument names, so that no second call works in it.

    The end of the process releases the folder, too. None holds nothing. With ``together``, the first of several
    processes that a launcher started holds the folder for all of them.

    Raises:
        InputError: another call of this or another process of this machine holds the folder.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def held(*arguments, **options):
            helps = together and os.environ.get("RANK", "0") != "0"  # `training.processes` stands below this module
            if options.get(argument) is None or helps:
                return function(*arguments, **options)
            name = hashlib.sha256(str(Path(options[argument]).resolve()).encode()).hexdigest()[:24]
            lock = FileLock(Path(tempfile.gettempdir()) / f"dreampaint-{name}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                in_use = f"{options[argument]} is in use by another run"
                raise InputError(f"{in_use}: wait for its end, or name another folder.") from None
            try:
                return function(*arguments, **options)
            finally:
                lock.release()

        return held

    return decorate
