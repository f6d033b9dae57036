"""Find the first source of a model that can be used: a folder, or an id on the Hub.

All parts of a model come from one source. If the first source fails, the next one is taken, and a warning says so.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from . import hub
from .download import download
from .errors import InputError, note
from .files import find_data
from .presets import Preset
from .weights import OTHER_SOURCE, Choice, Unusable, choose, parts_of

_CHECKER = "safety_checker"
_chosen: dict[tuple[Path, tuple[str, ...]], str] = {}  # the source that serves a model
_used: dict[tuple[Path, tuple[str, ...]], str] = {}  # its name for a record

Looked = TypeVar("Looked")


@dataclass(frozen=True)
class Source:
    """A source that can be used."""

    name: str  # "owner/name@commit", or the folder
    folder: Path
    choice: Choice


def first(preset: Preset, model: str, part: str = "", *, weights: bool = True) -> Source:
    """Return the first source of a model that can be used. What it lacks is downloaded.

    Args:
        preset: names the sources.
        model: a field of `presets.Models`.
        part: a part of a pipeline, for example "vae". A folder needs to hold this part alone.
        weights: False asks for the configurations alone.

    Raises:
        InputError: no source can be used; the message says why for each of them.
    """

    def look(source: str, cached_only: bool) -> Source:
        folder = folder_of(source, preset)
        if folder:
            return Source(str(folder), folder, _choose_in(folder, part, weights, source in preset.allow_bin))
        return _fetch(source, _skip(preset), weights, source in preset.allow_bin, cached_only)

    key = (preset.folder, getattr(preset.models, model))
    source, found = _try_each(preset, model, look, [_chosen[key]] if key in _chosen else key[1])
    if weights:
        _chosen[key], _used[key] = source, found.name
    return found


def used(preset: Preset) -> dict[str, str]:
    """Return what served each model that this process has loaded for a preset: "owner/name@commit", or a folder."""
    keys = {model: (preset.folder, sources) for model, sources in vars(preset.models).items()}
    return {model: _used[key] for model, key in keys.items() if key in _used}


def look_up(preset: Preset, model: str) -> tuple[str, int]:
    """Return which source would serve a model, and how many bytes would be downloaded. No weights are downloaded.

    Raises:
        InputError: no source can be used.
    """

    def look(source: str, cached_only: bool) -> tuple[str, int]:
        folder, allow_bin = folder_of(source, preset), source in preset.allow_bin
        if folder:
            _choose_in(folder, "", True, allow_bin)
            return source, 0
        return source, hub.find(source, skip=_skip(preset), allow_bin=allow_bin, cached_only=cached_only).size

    return _try_each(preset, model, look, getattr(preset.models, model))[1]


def forget() -> None:
    """Forget which sources were chosen, so that the next call looks again."""
    for memory in (_chosen, _used):
        memory.clear()
    _fetch.cache_clear()


@functools.cache
def _fetch(source: str, skip: tuple[str, ...], weights: bool, allow_bin: bool, cached_only: bool) -> Source:
    found = hub.find(source, skip=skip, weights=weights, allow_bin=allow_bin, cached_only=cached_only)
    return Source(f"{found.id}@{found.revision}", download(found), found.choice)


def _try_each(
    preset: Preset, model: str, look: Callable[[str, bool], Looked], sources: Iterable[str]
) -> tuple[str, Looked]:
    """Return the first source that ``look(source, cached_only)`` does not find `Unusable`, and what it returns."""
    failures, ways_out, unreachable = [], [], False
    for source in sources:
        try:
            found = look(source, unreachable)
        except Unusable as error:
            failures.append(f"{folder_of(source, preset) or source} {error.why}")
            ways_out += [error.way_out] * bool(error.way_out)
            unreachable = unreachable or error.unreachable
            if error.final:
                break
        else:
            if failures:
                reasons = "; ".join(failures)
                note(f"The model {model!r} comes from {source}, because {reasons}.")
            return source, found
    why, way_out = "; ".join(failures) or "the preset names no source", "; or ".join(dict.fromkeys(ways_out))
    raise InputError(
        f"The model {model!r} of preset {preset.name!r} cannot be used ({why}): {way_out or OTHER_SOURCE}."
    )


def _choose_in(folder: Path, part: str, weights: bool, allow_bin: bool) -> Choice:
    """Choose the files of a part of a folder, or of all parts if none is named.

    Raises:
        Unusable: the folder or something in it is missing.
    """
    if not folder.is_dir():
        raise Unusable("is missing", "check out the whole repository, run `make tiny`, or correct the preset's path")
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return choose(paths, [part] if part else _parts_in(folder), weights=weights, allow_bin=allow_bin)


def _parts_in(folder: Path) -> list[str]:
    path = folder / "model_index.json"
    if not path.is_file():
        return [""]
    try:
        return parts_of(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise Unusable(f"has a damaged {path.name} ({error})", OTHER_SOURCE) from error


def _skip(preset: Preset) -> tuple[str, ...]:
    """Return the parts that are not downloaded."""
    return () if preset.safety_checker else (_CHECKER,)


def folder_of(source: str, preset: Preset) -> Path | None:
    """Return the folder that a source names: ``data/...``, ``./...`` and the like. None for an id on the Hub."""
    if source.startswith("data/"):
        return find_data() / source.removeprefix("data/")
    if source.startswith(("./", "../", "/", "~")):
        return preset.folder / Path(source).expanduser()
    return None
