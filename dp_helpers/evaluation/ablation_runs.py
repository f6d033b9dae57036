"""Run an ablation: fine-tune what is missing, paint, measure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from .. import baselines, finetune, inpaint
from ..catalog import Item
from ..errors import InputError
from ..files import whole_file
from ..origin import made_from
from ..presets import Preset
from . import benchmark
from .ablations import Ablation, Level
from .pairs import Pair
from .rows import Row


def choose_pairs(ablation: Ablation, pairs: Sequence[Pair]) -> list[Pair]:
    """Return the first pairs of each of the ablation's items, as many as it asks for.

    Raises:
        InputError: there is no pair of a named item.
    """
    names = ablation.items or tuple(dict.fromkeys(pair.item.name for pair in pairs))
    found = {name: [pair for pair in pairs if pair.item.name == name][: ablation.pairs] for name in names}
    if missing := [name for name, own in found.items() if not own]:
        raise InputError(f"The ablation {ablation.name} needs {', '.join(missing)}, but the data hold no pair of it.")
    return [pair for own in found.values() for pair in own]


def run(
    ablation: Ablation,
    pairs: Sequence[Pair],
    preset: Preset,
    *,
    gallery_items: Sequence[Item],
    runs: Path,
    folder: Path,
) -> list[Row]:
    """Paint and measure all levels of an ablation, and return the rows; their ``painter`` is the level.

    A run that was killed goes on where it stopped. A fine-tune whose settings did not change is used again, also that
    of `benchmark.make_painters`.

    Args:
        ablation: from `ablations.choose`.
        pairs: from `choose_pairs`.
        preset: what the levels change.
        gallery_items, folder: as for `benchmark.run`.
        runs: folder of the fine-tunes.

    Raises:
        InputError: a level does not fit the preset, a pair or an item; ``folder`` holds rows of other levels.
    """
    _check_levels(ablation, folder)
    return benchmark.carry_out(
        tasks(ablation, pairs),
        make_painters(ablation, preset, runs),
        preset=preset,
        gallery_items=gallery_items,
        folder=folder,
    )


def tasks(ablation: Ablation, pairs: Sequence[Pair]) -> list[benchmark.Task]:
    """Return the pictures of an ablation, those of one item and one level together."""
    return [
        benchmark.Task(replace(pair, mask=mask_of(level, pair)), name, seed)
        for item in dict.fromkeys(pair.item.name for pair in pairs)
        for name, level in ablation.levels.items()
        for pair in pairs
        if pair.item.name == item
        for seed in range(ablation.seeds)
    ]


def make_painters(ablation: Ablation, preset: Preset, runs: Path) -> dict[str, benchmark.MakePainter]:
    """Return functions that make the painters of an item, by level."""
    loaded: dict[Path | None, inpaint.Painter] = {}  # the last one only: levels often share a fine-tune

    def maker(level: Level) -> benchmark.MakePainter:
        def make(item: Item, object_masks: Sequence[Image.Image]) -> inpaint.Painter:
            changed, folder, pasted = level.preset(preset), run_folder(level, item, preset, runs), None
            if level.start is not None:
                pasted = partial(baselines.paste_in(changed, item, object_masks), variant=level.start)
            if not level.paint:
                return pasted
            prompt = prompt_of(level, item, preset)
            if folder not in loaded:
                loaded.clear()
                taught, chosen = taught_item(level, item)
                own_masks = [object_masks[index] for index in chosen]
                run = finetune.load_or_finetune(taught, own_masks, changed, folder) if folder else None
                loaded[folder] = inpaint.load_painter(changed, run)
            own = loaded[folder].pipe, changed, prompt, item.class_noun, loaded[folder].base
            return inpaint.Painter(*own) if pasted is None else benchmark.OverPaste(*own, pasted)

        return make

    return {name: maker(level) for name, level in ablation.levels.items()}


def taught_item(level: Level, item: Item) -> tuple[Item, list[int]]:
    """Return the item as fine-tuning sees it, and the indices of its photos; fewer photos are spread over all."""
    count = len(item.photos)
    kept = min(level.photos or count, count)
    chosen = [index * count // kept for index in range(kept)]
    fields = {name: [getattr(item, name)[index] for index in chosen] for name in ("photos", "own_masks", "paths")}
    return replace(item, class_noun=level.class_noun or item.class_noun, **fields), chosen


def run_folder(level: Level, item: Item, preset: Preset, runs: Path) -> Path | None:
    """Return where the fine-tune of a level is kept; None for the base model and for a paste-in.

    It is the folder of `benchmark.make_painters` if fine-tuning reads nothing that the level changes. Otherwise the
    name ends with a digest of all that fine-tuning reads, so that ablations share their fine-tunes.
    """
    if level.base or not level.paint:
        return None
    wanted = origin(level, item, preset)
    folder = benchmark.run_folder(item, preset, runs)
    if wanted == made_from(item, preset, 0):
        return folder
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    return folder.with_name(f"{folder.name}-{digest[:8]}")


def origin(level: Level, item: Item, preset: Preset) -> dict[str, Any]:
    """Return everything that the fine-tuning of a level reads, as `origin.made_from` does."""
    return made_from(taught_item(level, item)[0], level.preset(preset), 0)


def prompt_of(level: Level, item: Item, preset: Preset) -> str:
    """Return the prompt to paint with.

    Raises:
        InputError: the level's prompt names something that the item does not have.
    """
    item, _ = taught_item(level, item)
    known = {"token": preset.token, "class_noun": item.class_noun, "title": item.title}
    words = item.info | known | {"prompt": item.prompt(preset.token)}
    try:
        return level.prompt.format_map(words)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"The prompt {level.prompt!r} does not fit the item {item.name}: it may name {', '.join(words)}, each in "
            "{braces}."
        ) from error


def mask_of(level: Level, pair: Pair) -> Image.Image:
    """Return the mask to paint under, of the level's kind and size.

    Raises:
        InputError: the context has no such mask.
    """
    known = pair.context.masks
    if level.mask is not None and level.mask not in known:
        raise InputError(f"{pair.context.name} has no mask {level.mask!r}; it has {', '.join(known) or 'none'}.")
    mask = pair.mask if level.mask is None else known[level.mask]
    return mask if level.mask_scale == 1 else _scaled(mask, level.mask_scale)


def _scaled(mask: Image.Image, factor: float) -> Image.Image:
    """Scale what a mask marks about the centre of its box; what leaves the photo is cut off."""
    left, top, right, bottom = mask.getbbox()
    size = max(1, round((right - left) * factor)), max(1, round((bottom - top) * factor))
    scaled = Image.new("L", mask.size, 0)
    place = round((left + right - size[0]) / 2), round((top + bottom - size[1]) / 2)
    scaled.paste(mask.crop((left, top, right, bottom)).resize(size, Image.NEAREST), place)
    return scaled


def _check_levels(ablation: Ablation, folder: Path) -> None:
    """Write the levels down, or compare them with those that the rows in ``folder`` were painted with."""
    levels, path = {name: asdict(level) for name, level in ablation.levels.items()}, folder / "levels.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    changed = [name for name in before if levels.get(name, before[name]) != before[name]]
    if changed:
        raise InputError(f"{folder} holds rows of another {' and '.join(map(repr, changed))}: name a new folder.")
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(before | levels, indent=2) + "\n", encoding="utf-8")
