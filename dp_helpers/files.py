"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError


def check_can_write(path: str | Path, *, suffix: str | None = None) -> Path:
    """Return ``path`` as a Path, after checking that a file or folder can be made there.

    Raises:
        InputError: when the suffix is another one, or the parent is a file or cannot be written to.
    """
    path = Path(path)
    if suffix and path.suffix.lower() != suffix:
        raise InputError(f"{path} cannot be the output file: its name must end with {suffix}.")
    if suffix and path.is_dir():
        raise InputError(f"{path} is a folder: name a file in it, for example {path / ('result' + suffix)}.")
    if not suffix and path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file, but the output is a folder: choose another name.")
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(
            f"{path} cannot be written: {parent} is not a folder you may write to; choose another."
        )
    return path


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it into place when the block ends well, else remove it."""
    path = Path(path)
    made = _make_parents(path)
    temporary = path.with_name(f".{path.stem}.partial-{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        _remove_empty(made)
        raise


@contextlib.contextmanager
def whole_folder(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; move it into place when the block ends well, else remove it.

    Args:
        path: the folder to make.
        replace: put the new folder in place of an old one; otherwise the new files are added to it one by
            one.
    """
    path = Path(path)
    made = _make_parents(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())  # mkdtemp makes folders that only their owner can read
        _move_into_place(temporary, path, replace)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove_empty(made)
        raise


def _move_into_place(temporary: Path, path: Path, replace: bool) -> None:
    if not path.exists():
        temporary.rename(path)
    elif replace:
        old = temporary.with_name(temporary.name + ".old")
        path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old)
    else:
        for file in temporary.iterdir():
            file.replace(path / file.name)
        temporary.rmdir()


def _make_parents(path: Path) -> list[Path]:
    """Make the missing parent folders of ``path`` and return those that were made, the deepest first."""
    made = [folder for folder in path.absolute().parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
