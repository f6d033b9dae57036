"""The command ``masks``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import catalog, presets, squares
from ..errors import InputError
from ..files import check_can_write, whole_folder
from ..listing import mask_names
from . import common


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    added = common.add_command(commands, "masks", run)
    common.add_item(added)
    added.add_argument("--out", type=Path, required=True, help="folder")


def run(options: argparse.Namespace) -> None:
    """Find the object masks of an item and write them, with an overlay to look at."""
    preset = presets.load(options.preset)
    item = catalog.load_item(common.item_folder(options.item), options.class_noun)
    check_can_write(options.out)
    if options.out.resolve() in (path.resolve().parent for path in item.paths):
        raise InputError(f"--out {options.out} is the folder of the photos: choose another one for masks and overlay.")
    present = next((name for name in mask_names(item.paths) if (options.out / name).exists()), None)
    if present:  # corrected by hand, perhaps
        raise InputError(f"{options.out / present} is there already: choose another folder for --out, or delete it.")
    common.quiet()
    from .. import plots, segment

    common.say(f"finding the {item.class_noun} on {len(item.photos)} photos")
    object_masks = segment.object_masks(item, preset)
    with whole_folder(options.out) as folder:
        for path, name, mask in zip(item.paths, mask_names(item.paths), object_masks, strict=True):
            squares.crop_from_square(mask, catalog.load_photo(path).size).save(folder / name)
        plots.save(plots.object_masks(item.photos, object_masks, item.title), folder / "overlay.png")
    print(options.out / "overlay.png")
