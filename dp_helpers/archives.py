"""Unpack zip archives of photos: what people upload. Nothing is written outside a temporary folder."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from .errors import InputError
from .pictures import known_endings

MOST_BYTES = 500_000_000  # of all files, unpacked
MOST_FILES = 1000


def is_archive(path: str | Path) -> bool:
    """Return whether a path is a file that calls itself a zip archive."""
    return Path(path).suffix.lower() == ".zip" and Path(path).is_file()


def unpack(path: str | Path) -> Path:
    """Unpack a zip archive into a temporary folder, and return the folder; it is gone when the program ends.

    If the archive holds a single folder and no pictures next to it, that folder is returned. Hidden files and those
    that macOS adds are left out.

    Args:
        path: the archive.

    Raises:
        InputError: the archive is damaged, locked by a password or too large, or a file in it wants to be written
            outside the folder.
    """
    path, temporary = Path(path), Path(tempfile.mkdtemp(prefix="dreampaint-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    folder = temporary / path.stem
    try:
        with zipfile.ZipFile(path) as archive:
            _unpack_all(archive, path, folder)
    except (InputError, MemoryError):
        shutil.rmtree(temporary)
        raise
    except Exception as error:  # decompressors raise many things for damaged archives
        shutil.rmtree(temporary)
        said = "it is locked by a password" if "password" in str(error) else str(error) or type(error).__name__
        raise InputError(f"{path} cannot be unpacked ({said}): zip the photos again, without a password.") from error
    folders = [path for path in folder.iterdir() if path.is_dir()]
    ours = {path.name for path in folder.iterdir() if path.suffix.lower() in {".json", *known_endings()}}
    return folders[0] if len(folders) == 1 and not ours and folders[0].name != "photos" else folder


def _unpack_all(archive: zipfile.ZipFile, path: Path, folder: Path) -> None:
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _is_hidden(entry.filename)]
    if not entries:
        raise InputError(f"{path} is an empty archive: zip two or more photos of the product.")
    if len(entries) > MOST_FILES:
        raise InputError(
            f"{path} holds {len(entries):,} files, but at most {MOST_FILES:,} are read: zip the photos alone."
        )
    folder.mkdir()
    left = MOST_BYTES
    for entry in entries:
        place = PurePosixPath(entry.filename.replace("\\", "/"))
        target = folder / place
        if place.is_absolute() or ".." in place.parts or not target.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{path} wants to write {entry.filename!r} outside its folder: zip the photos again.")
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("wb") as file:
            while chunk := source.read(2**20):  # the size in the archive's list may be a lie, so count
                left -= len(chunk)
                if left < 0:
                    raise InputError(
                        f"{path} unpacks to more than {MOST_BYTES / 1e6:,.0f} MB: zip fewer or smaller photos."
                    )
                file.write(chunk)


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return any(part == "__MACOSX" or (part.startswith(".") and part not in (".", "..")) for part in parts)
