"""The Hugging Face Hub: find a model there or in its cache, and say in one sentence what went wrong."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from .weights import OTHER_SOURCE, Choice, Unusable, choose, megabytes, parts_of

TIMEOUT = 10.0  # seconds without an answer
# The base of all errors of the connection: httpx's in version 1 of the Hub library, httpx2's in version 2.
HTTP_ERROR = next(cls for cls in HfHubHTTPError.__mro__ if cls.__name__ == "HTTPError")
ERRORS = (HTTP_ERROR, HFValidationError, OSError)
_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class Found:
    """A model on the Hub or in its cache.

    Attributes:
        id: "owner/name".
        revision: the commit.
        choice: the files that are needed.
        missing: those of them that are not in the cache yet, each with its size in bytes and its blob's name.
        asked: the revision that the source names; None: the main branch.
    """

    id: str
    revision: str
    choice: Choice
    missing: Mapping[str, tuple[int, str]]
    asked: str | None = None

    @property
    def size(self) -> int:
        """Return how many bytes are to be downloaded."""
        return sum(size for size, _ in self.missing.values())

    @property
    def storage(self) -> Path:
        """Return the folder of the repository in the cache. The Hub library documents its layout."""
        return Path(constants.HF_HUB_CACHE) / f"models--{self.id.replace('/', '--')}"

    @property
    def folder(self) -> Path:
        """Return the folder of the model's files in the cache."""
        return self.storage / "snapshots" / self.revision


def find(
    source: str,
    *,
    skip: Collection[str] = (),
    weights: bool = True,
    allow_bin: bool = False,
    cached_only: bool = False,
) -> Found:
    """Find a model on the Hub. If it is not there or the Hub cannot be reached, find it in the cache.

    Args:
        source: "owner/name", or "owner/name@revision" with a branch, a tag or a commit.
        skip: parts of a pipeline that are not needed.
        weights: False finds the configurations alone.
        allow_bin: True takes .bin files where there are no safetensors.
        cached_only: do not ask the Hub.

    Raises:
        Unusable: says why the model cannot be used.
    """
    if not _ID.fullmatch(source):
        raise Unusable("is neither a folder nor an id such as owner/name", OTHER_SOURCE)
    name, _, asked = source.partition("@")
    options = {"weights": weights, "allow_bin": allow_bin}
    # Without a way out: another source has said before why the Hub is not asked.
    way_out = "unset HF_HUB_OFFLINE and connect to the Internet once" if constants.HF_HUB_OFFLINE else ""
    problem = Unusable("is not in the cache", way_out, unreachable=True)
    if not (cached_only or constants.HF_HUB_OFFLINE):
        try:
            return _on_the_hub(name, asked or None, skip, options)
        except Unusable as error:
            problem = error
    try:
        return _in_the_cache(name, asked or None, skip, options)
    except Unusable:
        raise problem from None


def explain(error: Exception, asked: str | None = None, size: int = 0) -> Unusable:
    """Say in a few words what an error of the Hub library means.

    Args:
        error: one of `ERRORS`.
        asked: the revision that the source names.
        size: of what was to be written, in bytes.
    """
    answer = getattr(error, "response", None)
    status = answer.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, GatedRepoError):
        return Unusable("is gated", "accept its licence on its page on the Hub and log in (`hf auth login`)")
    if isinstance(error, RevisionNotFoundError):
        return Unusable(f"has no revision {asked}", OTHER_SOURCE)
    if isinstance(error, (RepositoryNotFoundError, DisabledRepoError, HFValidationError)):
        return Unusable("is not on the Hub (any more), or is private", OTHER_SOURCE)
    if status == 429:
        way_out = "wait some minutes, or log in (`hf auth login`)"
        return Unusable("gets no answer: the Hub has had too many requests from here (429)", way_out, unreachable=True)
    if status >= 500:
        return Unusable(f"gets no answer: the Hub fails ({status})", "try again later", unreachable=True)
    if status:
        return Unusable(f"is refused by the Hub ({status})", OTHER_SOURCE)
    if isinstance(error, (HTTP_ERROR, LocalEntryNotFoundError)):
        reason = f"gets no answer: there is no connection to the Hub ({type(error).__name__})"
        return Unusable(reason, "connect to the Internet once; afterwards it works offline", unreachable=True)
    cache, way_out = constants.HF_HUB_CACHE, "set the environment variable HF_HOME to a folder with room"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return Unusable(
            f"does not fit on the disk ({megabytes(size)} into {cache})",
            f"free some space, or {way_out}",
            final=True,
        )
    reason = getattr(error, "strerror", None) or first_line(error)
    return Unusable(f"cannot be written into {cache} ({reason})", way_out, final=True)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _on_the_hub(name: str, asked: str | None, skip: Collection[str], options: dict[str, Any]) -> Found:
    try:
        info = HfApi().model_info(name, revision=asked, files_metadata=True, timeout=TIMEOUT)
        files = {
            file.rfilename: (file.size or 0, file.lfs.sha256 if file.lfs else file.blob_id) for file in info.siblings
        }
        index = hf_hub_download(name, "model_index.json", revision=asked) if "model_index.json" in files else None
        choice = choose(files, _parts(index, skip), **options)
        if info.gated:  # the listing of a gated model is public, its files are not
            get_hf_file_metadata(hf_hub_url(name, choice.files[0], revision=info.sha), timeout=TIMEOUT)
    except ERRORS as error:
        raise explain(error, asked) from error
    missing = {path: files[path] for path in choice.files if not _cached(name, path, info.sha)}
    return Found(name, info.sha, choice, missing, asked)


def _in_the_cache(name: str, asked: str | None, skip: Collection[str], options: dict[str, Any]) -> Found:
    index, config = (_cached(name, path, asked) for path in ("model_index.json", "config.json"))
    if not (index or config):
        raise Unusable("is not in the cache", "connect to the Internet once")
    folder = Path(index or config).parent
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return Found(name, folder.name, choose(paths, _parts(index, skip), **options), {}, asked)


def _cached(name: str, path: str, revision: str | None) -> str | None:
    found = try_to_load_from_cache(name, path, revision=revision)
    return found if isinstance(found, str) else None


def _parts(index: str | None, skip: Collection[str]) -> list[str]:
    """Return the parts that a model_index.json names, or the one part of a plain model."""
    return parts_of(json.loads(Path(index).read_text(encoding="utf-8")), skip) if index else [""]
