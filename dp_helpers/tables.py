"""Turn a table of settings into a dataclass, with one clear sentence for each mistake."""

from __future__ import annotations

import math
import numbers
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from .errors import InputError

_WORDS = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false", Path: "a path"}
_PLURALS = {str: "texts", float: "finite numbers", int: "whole numbers"}


def build(cls: type, table: Mapping[str, Any], where: str, prefix: str = "") -> Any:
    """Make the dataclass ``cls`` from a table. Its fields are the accepted keys, their annotations the accepted types.

    Error messages begin with ``where`` (for example "my.toml: ") and name a key with its ``prefix`` ("finetune.").
    """
    try:
        return cls(**values(cls, table, where, prefix))
    except TypeError as error:  # the dataclass names the keys that are missing
        raise InputError(f"{where}{str(error).split(')', 1)[-1].strip()} in [{prefix.rstrip('.')}].") from error


def values(cls: type, table: Mapping[str, Any], where: str, prefix: str) -> dict[str, Any]:
    """Return the values of a table, each converted to the type of the field of ``cls`` with its name."""
    known, hints = {entry.name for entry in fields(cls)}, typing.get_type_hints(cls)
    for key in table:
        if key not in known:
            raise InputError(f"{where}unknown key {prefix + key!r}; accepted are {', '.join(sorted(known))}.")
    return {key: _convert(hints[key], value, where, prefix + key) for key, value in table.items()}


def _convert(hint: Any, value: Any, where: str, key: str) -> Any:
    if is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value, where, key + ".")
    if is_dataclass(hint) and isinstance(value, hint):
        return value
    if typing.get_origin(hint) is dict and isinstance(value, Mapping):  # names of the file's own choice
        kind = typing.get_args(hint)[1]
        return {name: _convert(kind, entry, where, f"{key}.{name}") for name, entry in value.items()}
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if typing.get_origin(hint) is tuple and isinstance(value, (list, tuple)):
        kinds = typing.get_args(hint)
        if kinds[-1] is Ellipsis or len(kinds) == len(value):
            return tuple(_convert(kinds[0], entry, where, key) for entry in value)
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):  # NumPy's numbers, too
        if float in options and math.isfinite(value):
            return float(value)
        if int in options and isinstance(value, numbers.Integral):
            return int(value)
    elif type(value) in options or (Path in options and isinstance(value, Path)):
        return value
    raise InputError(f"{where}{key} is {value!r}, but must be {_in_words(hint)}.")


def _in_words(hint: Any) -> str:
    """Say what a value of a type is: "a whole number", "a list of texts, in square brackets"."""
    kinds = [kind for kind in typing.get_args(hint) if kind not in (types.NoneType, Ellipsis)]
    if typing.get_origin(hint) is tuple:
        count = "" if Ellipsis in typing.get_args(hint) else f"{len(kinds)} "
        return f"a list of {count}{_PLURALS.get(kinds[0], 'entries')}, in square brackets"
    if kinds and typing.get_origin(hint) is not dict:
        return " or ".join(map(_in_words, kinds))
    return _WORDS.get(hint, "a table")
