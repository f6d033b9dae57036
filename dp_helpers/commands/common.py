"""What the commands share: the item, the preset and the status line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .. import course, presets
from ..errors import InputError
from ..files import find_data


def add_command(commands, name: str, run, *, preset: str | None = "tiny") -> argparse.ArgumentParser:
    """Add a command that calls ``run(options)``, with its option ``--preset``. The docstring of ``run`` is its help."""
    added = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
    added.set_defaults(command=run)
    default = preset or "that of the run"
    added.add_argument("--preset", default=preset, help=f"tiny, sd15 or a TOML file (default: {default})")
    return added


def add_item(added: argparse.ArgumentParser) -> None:
    """Add the arguments that name an item."""
    added.add_argument("item", help="a folder of photos, or the name of an item in data/catalog")
    added.add_argument("--class-noun", help="what the item is, if its item.json does not say")


def item_folder(item: str | Path) -> Path:
    """Return an item's folder, from a path or a name in data/catalog."""
    if Path(item).is_dir():
        return Path(item)
    try:
        named = find_data() / "catalog" / item
    except InputError:
        named = Path(item)
    if not named.is_dir():
        raise InputError(f"There is no item {str(item)!r}: name a folder of photos or an item of data/catalog.")
    return named


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


def preset_with_steps(options: argparse.Namespace) -> presets.Preset:
    """Return the preset, with the number of steps that the command line gives."""
    preset = presets.load(options.preset)
    return preset if options.steps is None else presets.change(preset, finetune={"steps": options.steps})


def quiet() -> None:
    """Load the libraries, without their own loading bars and notes on stderr."""
    say("loading the libraries")
    course.quiet()
