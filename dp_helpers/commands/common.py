"""What the commands share: the item, the preset and the status line."""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

from .. import course, presets
from ..archives import is_archive
from ..errors import InputError
from ..files import find_data


def add_command(commands, name: str, run, *, preset: str | None = "tiny") -> argparse.ArgumentParser:
    """Add a command that calls ``run(options)``, with its option ``--preset``. The docstring of ``run`` is its help."""
    added = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
    added.set_defaults(command=run)
    default = preset or "that of the run"
    added.add_argument("--preset", default=preset, help=f"tiny, sd15 or a TOML file (default: {default})")
    return added


def add_item(added: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add the arguments that name an item, or ``several``."""
    names = {"dest": "items", "metavar": "item", "nargs": "+"} if several else {"dest": "item"}
    added.add_argument(**names, help="a folder or a zip archive of photos, or the name of an item in data/catalog")
    added.add_argument("--class-noun", help="what the item is, if its item.json does not say")


def item_folder(item: str | Path) -> Path:
    """Return an item's folder or zip archive, from a path or a name in data/catalog."""
    if Path(item).is_dir() or is_archive(item):
        return Path(item)
    try:
        named = find_data() / "catalog" / item
    except InputError:
        named = Path(item)
    if not named.is_dir():
        raise InputError(f"There is no item {str(item)!r}: name a folder of photos or an item of data/catalog.")
    return named


def context_folder(context: str | Path) -> Path:
    """Return a context's folder, from a path or a name in data/contexts."""
    return Path(context) if Path(context).is_dir() else find_data() / "contexts" / context


def default_folder(kind: str, name: str) -> Path:
    """Return data/KIND/NAME, or the first folder in data/KIND if there is no such folder."""
    folder = find_data() / kind
    folders = [folder / name, *(path for path in sorted(folder.glob("[!.]*")) if path.is_dir())]
    existing = [path for path in folders if path.is_dir()]
    if not existing:
        raise InputError(f"{folder} is empty: check out the whole repository, or run `make data`.")
    return existing[0]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def add_settings(added: argparse.ArgumentParser) -> None:
    """Add the option that changes any setting of the preset."""
    added.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.SETTING=VALUE",
        help="use this value instead of the preset's, for example finetune.learning_rate=1e-4; may be given again",
    )


def chosen_preset(options: argparse.Namespace, source: str | None = None, **changes) -> presets.Preset:
    """Return the preset with the settings of ``--set``, then ``changes``: tables of settings, None for the preset's.

    Args:
        options: of the command line, with ``preset`` and, if the command has it, ``set``.
        source: the preset if the command line names none.
        changes: for example ``finetune={"steps": options.steps}``.
    """
    preset = presets.load(options.preset or source)
    for given in getattr(options, "set", []):
        name, _, value = given.partition("=")
        table, _, setting = name.rpartition(".")
        try:
            parsed = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            parsed = value  # a word without quotes
        if table and table not in presets.TABLES:
            raise InputError(f"--set {given}: the tables of a preset are {', '.join(presets.TABLES)}.")
        in_tables = [each for each in presets.TABLES if hasattr(getattr(preset, each), setting)]
        if not table and in_tables:
            raise InputError(f"--set {given}: name its table, too: {in_tables[0]}.{setting}={value}.")
        preset = presets.change(preset, **({table: {setting: parsed}} if table else {setting: parsed}))
    for table, settings in changes.items():
        preset = presets.change(preset, **{table: {key: value for key, value in settings.items() if value is not None}})
    return preset


def quiet() -> None:
    """Load the libraries, without their own loading bars and notes on stderr."""
    say("loading the libraries")
    course.quiet()
