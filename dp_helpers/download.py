"""Download the missing files of a model from the Hub, once, and go on after a break.

The files go into the Hub library's own cache, so other programs share them. This module fetches them itself, because
the library (2.4) begins a file from zero after a break, and the U-Net of Stable Diffusion has 1.7 GB.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import sys
import time
from pathlib import Path

from filelock import FileLock
from huggingface_hub import constants, get_session, hf_hub_download, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import build_hf_headers
from tqdm.auto import tqdm

from .hub import ERRORS, HTTP_ERROR, TIMEOUT, Found, explain
from .weights import Unusable, megabytes

_TRIES = 3  # of a connection that breaks off


def download(found: Found) -> Path:
    """Download the missing files of a model, and return the folder of all of its files.

    Raises:
        Unusable: the download broke off, or the files cannot be written.
    """
    if not found.missing:
        return found.folder
    cache = Path(constants.HF_HUB_CACHE)
    what = f"{megabytes(found.size)} of {found.id}{' (fp16)' if found.choice.fp16 else ''}"
    print(f"downloading {what} into {cache}, once", file=sys.stderr, flush=True)
    try:
        _check_space(cache, found.size)
        with tqdm(total=found.size, desc=found.id, unit="B", unit_scale=True) as bar:
            for path, (size, blob) in found.missing.items():
                _download_blob(found, path, size, blob, bar)
                _try(hf_hub_download, found.id, path, revision=found.asked)  # it gives the blob its name
    except ERRORS as error:
        if isinstance(error, HTTP_ERROR) and not isinstance(error, HfHubHTTPError):
            why = f"broke off while it was downloaded ({type(error).__name__})"
            raise Unusable(why, "run the same again; it goes on from there", final=True) from error
        raise explain(error, found.asked, found.size) from error
    return found.folder


def _download_blob(found: Found, path: str, size: int, blob: str, bar: tqdm) -> None:
    """Download one file under its blob's name. What an earlier call has left of it is kept, and the rest fetched."""
    whole = found.storage / "blobs" / blob
    partial, lock = whole.with_name(blob + ".incomplete"), Path(constants.HF_HUB_CACHE) / ".locks" / f"{blob}.lock"
    whole.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if whole.exists():
            bar.update(size)
            return
        bar.update(_size(partial))
        _try(_append, hf_hub_url(found.id, path, revision=found.revision), partial, size, bar)
        _verify(partial, size, blob)
        partial.replace(whole)


def _try(function, *args, **kwargs) -> None:
    """Call a function, and call it again when the connection breaks off. An answer of the Hub is final."""
    for left in reversed(range(_TRIES)):
        try:
            function(*args, **kwargs)
            return
        except HTTP_ERROR as error:
            if isinstance(error, HfHubHTTPError) or not left:
                raise
            time.sleep(1)


def _append(url: str, partial: Path, size: int, bar: tqdm) -> None:
    """Append what is missing of a file."""
    have = _size(partial)
    if have >= size > 0:
        return
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as answer:
        hf_raise_for_status(answer)
        resumed = have and answer.status_code == 206
        bar.update(0 if resumed else -have)
        with partial.open("ab" if resumed else "wb") as file:
            for chunk in answer.iter_bytes():  # as they come: of larger ones a break would lose a part
                file.write(chunk)
                bar.update(len(chunk))


def _verify(partial: Path, size: int, blob: str) -> None:
    """Compare a file with its size, and with its SHA-256 where that is its blob's name."""
    right = _size(partial) == size
    if right and len(blob) == 64:
        with partial.open("rb") as file:
            right = hashlib.file_digest(file, "sha256").hexdigest() == blob
    if not right:
        partial.unlink(missing_ok=True)
        raise Unusable("arrived damaged", "run the same again", final=True)


def _check_space(cache: Path, needed: int) -> None:
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    if shutil.disk_usage(there).free < needed:
        raise OSError(errno.ENOSPC, "No space left on device")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
