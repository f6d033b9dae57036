"""Write files and folders whole or not at all, and find the repository's data folder.

A folder is written under a temporary name and then renamed, so a kill leaves either all of it or nothing. Some mounted
drives, as Google Drive in Colab, cannot rename a folder or change a mode, and no mount point can be renamed. There the
files are copied instead, the JSON records last: a folder without its record is not whole, and the hidden folder next to
it still holds all new files. A link stays, and what it points to is written. Nothing here calls fsync, which such
drives may refuse. So a power cut, or the end of a virtual machine, can still lose what the drive has not written yet.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from safetensors import SafetensorError

from .errors import InputError


class CannotWrite(InputError, OSError):
    """Raised when the disk is full or a folder cannot be written to."""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BEGUN = ".begun"  # marks a temporary folder whose files are being put into the folder that is there
_CANNOT_WRITE = {*_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR, errno.ENAMETOOLONG}


def check_can_write(path: str | Path, *, suffix: str | None = None) -> Path:
    """Check that a file or folder can be made at ``path``, and return it as a Path.

    Args:
        path: the output.
        suffix: of an output file, for example ".png". None: the output is a folder.

    Raises:
        InputError: the suffix differs, or the parent is a file or cannot be written to.
    """
    path = Path(path)
    if path.name in ("", ".."):
        raise InputError(f"{path} cannot be the output: name a new {'file' if suffix else 'folder'} in it.")
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
    """Yield a temporary path next to ``path``. Move it into place when the block succeeds; remove it otherwise.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written to.
    """
    suffix = Path(path).suffix  # libraries read the format from it, and what a link points to may have another
    with _written(path) as path:
        made = _make_parents(path)
        temporary = path.with_name(f".{path.stem}.partial-{os.getpid()}{suffix}")
        try:
            yield temporary
            _open_to_umask(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            _remove_empty(made)
            raise


@contextlib.contextmanager
def whole_folder(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder next to ``path``. Move it into place when the block succeeds; remove it otherwise.

    It stays if the folder that is there took only a part of its files.

    Args:
        path: the folder to make.
        replace: True replaces an existing folder by the new one. False adds the new files to it one by one.

    Raises:
        CannotWrite: the disk is full, or the folder cannot be written to.
    """
    with _written(path) as path:
        made = _make_parents(path)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-{os.getpid()}-", dir=path.parent))
        try:
            yield temporary
            _open_to_umask(temporary)
            _move_into_place(temporary, path, replace)
        except BaseException:
            if not (temporary / _BEGUN).exists():  # the folder that is there may have lost files already
                shutil.rmtree(temporary, ignore_errors=True)
                _remove_empty(made)
            raise
        for older in path.parent.glob(f".{glob.escape(path.name)}.partial-*/{_BEGUN}"):  # the folder is whole again
            if f".partial-{os.getpid()}-" in older.parent.name or not _alive(older.parent):
                shutil.rmtree(older.parent, ignore_errors=True)


def recover(path: str | Path) -> None:
    """Clear away what a killed process has left of writing ``path``, and bring back what it was about to replace."""
    path = _real(path)
    old = _old(path)
    with contextlib.suppress(OSError):  # a folder that cannot be written to can be read all the same
        if old.exists() and not path.exists():
            old.rename(path)
        elif old.exists():
            shutil.rmtree(old)
        for left in path.parent.glob(f".{glob.escape(path.stem)}*.partial-*"):
            if not _alive(left) and not (left / _BEGUN).exists():  # which may be all that there is of a run
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def is_of_system(name: str) -> bool:
    """Return whether a system or a notebook server put a file of this name into a folder that it showed."""
    return name.startswith(".") or name in ("Thumbs.db", "desktop.ini")


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


@contextlib.contextmanager
def _written(path: str | Path) -> Iterator[Path]:
    """Recover ``path`` and yield what is behind its links. Say it in a sentence if the disk does not take the files."""
    try:
        recover(path)
        yield _real(path)
    except (OSError, SafetensorError) as error:
        said = re.search(r"os error (\d+)", str(error))  # safetensors says the number in its text alone
        number = error.errno if isinstance(error, OSError) else int(said[1]) if said else None
        if number not in _CANNOT_WRITE:
            raise
        way_out = "free some space, or choose a folder on another disk" if number in _FULL else "choose another folder"
        raise CannotWrite(f"{path} cannot be written ({os.strerror(number)}): {way_out}.") from error


def _move_into_place(temporary: Path, path: Path, replace: bool) -> None:
    with contextlib.suppress(OSError):  # a mount point, a drive that cannot rename folders, or one beyond the other
        if path.exists() and not replace:
            for file in temporary.iterdir():
                file.replace(path / file.name)
            temporary.rmdir()
            return
        if path.exists():
            path.rename(_old(path))
    if path.exists():
        (temporary / _BEGUN).touch()
        _put_in(temporary, path, replace)
        return
    try:
        temporary.rename(path)
    except OSError:
        try:
            _copy(temporary, path)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(_old(path), ignore_errors=True)


def _put_in(source: Path, target: Path, replace: bool) -> None:
    """Put files into a folder that stays where it is. ``source`` stays whole until all are there."""
    try:
        for record in target.glob("*.json") if replace else ():  # half of each is no whole folder
            record.unlink()
        _copy(source, target)
    except OSError as error:
        why = f"{target} did not take all of its new files ({error.strerror})"
        raise CannotWrite(f"{why}: they are whole in {source}; make room, and move them or run this again.") from error
    for left in sorted(target.rglob("*"), reverse=True) if replace else ():
        if not (source / left.relative_to(target)).exists():
            with contextlib.suppress(OSError):
                left.rmdir() if left.is_dir() and not left.is_symlink() else left.unlink()
    shutil.rmtree(source, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder's files, the records in it last."""
    paths = [path.relative_to(source) for path in sorted(source.rglob("*")) if path.is_file() and path.name != _BEGUN]
    for path in sorted(paths, key=lambda path: path.parent == Path() and path.suffix == ".json"):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, target / path)


def _open_to_umask(path: Path) -> None:
    """Give a new file or folder the modes that the umask asks for; some libraries write for the owner only."""
    mask = os.umask(0)
    os.umask(mask)
    for each in (path, *path.rglob("*")):
        with contextlib.suppress(OSError):  # mounted drives may have no modes
            each.chmod((0o777 if each.is_dir() else 0o666) & ~mask)


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))  # Path(".") has no name, and a link is not to be replaced


def _old(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _alive(left: Path) -> bool:
    """Return whether the process that wrote a temporary file or folder still runs; True if its name does not tell."""
    process = re.search(r"\.partial-(\d+)", left.name)
    return not process or psutil.pid_exists(int(process[1]))


def _make_parents(path: Path) -> list[Path]:
    """Make the missing parent folders of ``path``. Return the folders that were made, deepest first."""
    made = [folder for folder in path.absolute().parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    return made


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
