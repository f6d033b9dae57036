"""Write files and folders whole or not at all, and find the repository's data folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import InputError


def check_can_write(path: str | Path, *, suffix: str | None = None) -> Path:
    """Check that a file or folder can be made at ``path``, and return it as a Path.

    Args:
        path: the output.
        suffix: of an output file, for example ".png". None: the output is a folder.

    Raises:
        InputError: the suffix differs, or the parent is a file or cannot be written to.
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
        raise InputError(f"{path} cannot be written: {parent} is not a folder you may write to; choose another.")
    return path


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``. Move it into place when the block succeeds; remove it otherwise."""
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
    """Yield a temporary folder next to ``path``. Move it into place when the block succeeds; remove it otherwise.

    Args:
        path: the folder to make.
        replace: True replaces an existing folder by the new one. False adds the new files to it one by one.
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


def find_data() -> Path:
    """Find the data folder: DREAMPAINT_DATA, or ``data/`` of the checkout around the package or the working folder.

    Raises:
        InputError: there is none.
    """
    named = os.environ.get("DREAMPAINT_DATA")
    if named:
        if not Path(named).is_dir():
            raise InputError(f"DREAMPAINT_DATA names {named!r}, which is not a folder: set it to a data folder.")
        return Path(named).resolve()
    for start in (Path(__file__).resolve(), Path.cwd() / "x"):
        for parent in start.parents:
            if (parent / "data" / "tiny").is_dir() or (parent / "data" / "catalog").is_dir():
                return parent / "data"
    raise InputError(
        "The data folder was not found: work in a checkout of the repository, or set DREAMPAINT_DATA to its data/."
    )


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
    """Make the missing parent folders of ``path``. Return the folders that were made, deepest first."""
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
