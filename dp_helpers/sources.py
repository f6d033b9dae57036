"""Find the first source of a model that can be used: a folder, or an id on the Hub.

All parts of a model come from one source. If the first source fails, the next one is taken, and a warning says so.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, TypeVar

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
            choice = _choose_in(folder, part, weights, source in preset.allow_bin, _skip(preset))
            return Source(str(folder), folder, choice)
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
            _choose_in(folder, "", True, allow_bin, _skip(preset))
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


def _choose_in(folder: Path, part: str, weights: bool, allow_bin: bool, skip: tuple[str, ...]) -> Choice:
    """Choose the files of a part of a folder, or of all parts but those to ``skip`` if none is named.

    Raises:
        Unusable: the folder or something in it is missing.
    """
    if not folder.is_dir():
        raise Unusable("is missing", "check out the whole repository, run `make tiny`, or correct the preset's path")
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return choose(paths, [part] if part else _parts_in(folder, skip), weights=weights, allow_bin=allow_bin)


def _parts_in(folder: Path, skip: tuple[str, ...]) -> list[str]:
    path = folder / "model_index.json"
    if not path.is_file():
        return [""]
    try:
        return parts_of(json.loads(path.read_text(encoding="utf-8")), skip)
    except (ValueError, AttributeError) as error:
        raise Unusable(f"has a damaged {path.name} ({error})", OTHER_SOURCE) from error


def _skip(preset: Preset) -> tuple[str, ...]:
    """Return the parts that are neither downloaded nor needed in a folder."""
    return () if preset.safety_checker else (_CHECKER,)


def folder_of(source: str, preset: Preset) -> Path | None:
    """Return the folder that a source names: ``data/...``, ``./...`` and the like. None for an id on the Hub."""
    if source.startswith(("data/", "data\\")):
        return find_data() / source[len("data/") :]
    # No id holds a backslash or a colon, so Windows' paths are told from ids on every system.
    if source.startswith(("./", "../", "/", "~")) or "\\" in source or PureWindowsPath(source).is_absolute():
        return preset.folder / os.path.expanduser(source)  # which leaves the name of an unknown user as it is
    return None


def public_id(source: str, preset: Preset) -> str | None:
    """Return a source's id on the Hub, without its revision. None for a folder that is not in the Hub's cache."""
    folder = folder_of(source, preset)
    if folder is None:
        return source.partition("@")[0]
    cached = [part for part in folder.parts if part.startswith("models--")]
    return cached[-1].removeprefix("models--").replace("--", "/", 1) if cached else None


def check_base(preset: Preset, record: Mapping[str, Any] | None) -> None:
    """Check that a preset names the base model of a run: it shares a source with the run's own list.

    The sources of a list stand for one model, whichever of them serves it. A folder that is gone may have moved, so a
    `Note` says what takes its place.

    Args:
        preset: to paint or export with.
        record: contents of the run's run.json; None: there is no run.

    Raises:
        InputError: the preset names another model.
    """
    served, named = _texts(record, "sources", "inpainting"), _texts(record, "preset", "models", "inpainting")
    there, run_on = preset.models.inpainting, [*served, *named]
    wanted = {*named, *(source.partition("@")[0] for source in named), *(_place(source, preset) for source in served)}
    if not run_on or wanted & {*there, *(_place(source, preset) for source in there)}:
        return
    folder, base = folder_of(run_on[0], preset), public_id(run_on[0], preset) or run_on[0]
    if served and folder and not folder.exists():
        note(f"The run was fine-tuned on {base}, which is gone: the preset's {there[0]} takes its place.")
        return
    typed = base.replace("\\", "/")  # a backslash in TOML begins another character
    raise InputError(
        f"The run was fine-tuned on {base}, but preset {preset.name!r} names {there[0]}: paint and export with --set "
        f"'models.inpainting=[\"{typed}\"]' or a preset file that names it; if the two are copies, list both."
    )


def _texts(record: Any, *keys: str) -> list[str]:
    """Return the text or the texts at a place of a record; none if it is damaged, or older than that entry."""
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return [each for each in (record if isinstance(record, (list, tuple)) else [record]) if isinstance(each, str)]


def _place(source: str, preset: Preset) -> str:
    """Return what tells a source from all others: its id, or its folder without links."""
    return public_id(source, preset) or str(folder_of(source, preset).resolve())
