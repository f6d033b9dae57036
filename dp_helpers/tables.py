"""From a TOML table to a dataclass, every key and type checked."""

from __future__ import annotations

import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from .errors import InputError


def build(cls: type, table: dict[str, Any], path: Path, prefix: str = "") -> Any:
    """Make the dataclass ``cls`` from a TOML table; tables within it become the dataclasses of its fields.

    Args:
        cls: its fields are the accepted keys, their annotations the accepted types.
        table: as tomllib reads it.
        path: of the file, for messages.
        prefix: of the keys, for messages, for example ``"finetune."``.

    Raises:
        InputError: an unknown or missing key, or a value of another type.
    """
    known = {entry.name: entry for entry in fields(cls)}
    hints = typing.get_type_hints(cls)
    for key in table:
        if key not in known:
            raise InputError(
                f"{path}: unknown key {prefix + key!r}; accepted are {', '.join(sorted(known))}."
            )
    values = {key: _convert(hints[key], value, path, prefix + key) for key, value in table.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise InputError(
            f"{path}: {str(error).split(')', 1)[-1].strip()} in [{prefix.rstrip('.')}]."
        ) from error


def _convert(hint: Any, value: Any, path: Path, key: str) -> Any:
    if is_dataclass(hint) and isinstance(value, dict):
        return build(hint, value, path, key + ".")
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        kinds = typing.get_args(hint)
        if kinds[-1] is Ellipsis or len(kinds) == len(value):
            return tuple(_convert(kinds[0], entry, path, key) for entry in value)
    elif float in options and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif type(value) in options or isinstance(value, Path):
        return value
    wanted = getattr(hint, "__name__", None) or str(hint)
    wanted = str(hint) if typing.get_args(hint) else wanted
    raise InputError(f"{path}: {key} is {value!r}, but must be of type {wanted}.")
