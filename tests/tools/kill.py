"""Kill a piece of work at every single change that it makes to the disk, and look at what each kill leaves."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_CHANGES = (
    "open",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.chmod",
    "os.truncate",
    "os.link",
    "os.symlink",
)
_SECONDS = 60  # after which a child that hangs is ended


def kill_everywhere(work: Callable[[], None], folder: Path, look: Callable[[int], None]) -> int:
    """Run ``work`` in children of this process, and kill the n-th just before its n-th change to ``folder``.

    ``folder`` is as it was before each of them. ``look(n)`` is called after each kill, with what the kill has left.

    Returns:
        How many kills there were.
    """
    before = folder.with_name(folder.name + "-before")
    shutil.copytree(folder, before, symlinks=True)
    for number in range(1, 1000):
        if not _killed(work, folder, number):
            shutil.rmtree(before)
            return number - 1
        look(number)
        shutil.rmtree(folder)
        shutil.copytree(before, folder, symlinks=True)
    raise AssertionError("the work does not end")


def _killed(work: Callable[[], None], folder: Path, number: int) -> bool:
    child = os.fork()
    if child == 0:
        signal.alarm(_SECONDS)
        left = [number]

        def watch(event: str, arguments: tuple) -> None:
            if event not in _CHANGES or (event == "open" and not _writes(arguments)):
                return
            if any(str(each).startswith(str(folder)) for each in arguments if isinstance(each, (str, os.PathLike))):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, "the work hangs"
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed"
    return False


def _writes(arguments: tuple) -> bool:
    _, mode, flags = arguments
    return (isinstance(mode, str) and any(sign in mode for sign in "wax+")) or bool(flags & (os.O_WRONLY | os.O_RDWR))
