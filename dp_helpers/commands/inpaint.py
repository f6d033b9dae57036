"""The command ``inpaint``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .. import pictures, presets
from ..errors import InputError
from ..files import check_can_write, recover
from . import common


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    added = common.add_command(commands, "inpaint", run, preset=None)
    added.add_argument("run", type=Path, help="folder that finetune --out made")
    added.add_argument("photo", type=Path)
    added.add_argument("mask", type=Path, help="a picture of the photo's size, white = repaint")
    added.add_argument("--out", type=Path, required=True, help="PNG file")
    added.add_argument("--prompt", help="default: the item's")
    added.add_argument(
        "--soft-mask",
        action="store_true",
        default=None,  # the preset's
        help="blend by the mask's grey levels; they are split at 128 otherwise",
    )
    added.add_argument("--negative-prompt", help="guidance leads away from it")
    added.add_argument("--guidance-scale", type=float, help="default: the preset's")
    added.add_argument("--num-inference-steps", type=int, help="default: the preset's")
    added.add_argument("--strength", type=float, help="default: the preset's; with --over 0.7")
    start = added.add_mutually_exclusive_group()
    start.add_argument(
        "--start", type=Path, help="start from this picture of the photo's size; needs --strength below 1"
    )
    start.add_argument(
        "--over", type=Path, metavar="ITEM", help="start over a photo of this item, pasted under the mask"
    )
    added.add_argument("--over-photo", type=int, metavar="N", help="which of its photos (default: the middle one)")
    added.add_argument("--lora-scale", type=float, help="of a run with LoRA (default: the preset's)")
    added.add_argument("--seed", type=int, default=0)
    common.add_settings(added)


def run(options: argparse.Namespace) -> None:
    """Paint a fine-tuned item into a photo."""
    presets.checked_seed(options.seed)
    photo = pictures.read_photo(options.photo)
    names = ("guidance_scale", "num_inference_steps", "strength", "lora_scale", "soft_mask")
    settings = {name: getattr(options, name) for name in names}
    preset = common.chosen_preset(options, _preset_of(options.run), inpaint=settings)
    mask = pictures.read_mask(options.mask, photo.size, soft=preset.inpaint.soft_mask)
    start = pictures.read_photo(options.start) if options.start else None
    check_can_write(options.out, suffix=".png")
    if options.out.resolve() in [path.resolve() for path in (options.photo, options.mask, options.start) if path]:
        raise InputError(f"--out {options.out} is the photo, the mask or the start itself: choose another name.")
    recover(options.run)
    if not (options.run / "run.json").is_file():
        raise InputError(f"{options.run} is not a fine-tuned run: name the folder that `finetune --out` made.")
    if options.over_photo is not None and options.over is None:
        raise InputError("--over-photo says which photo of an item to paint over: name the item with --over.")
    over = common.item_folder(options.over) if options.over else None
    common.quiet()
    from .. import baselines, catalog, runs, segment
    from .. import inpaint as painting

    run = runs.load_run(options.run)
    if over:
        if options.strength is None and preset.inpaint.strength == 1:  # nothing would be left of what is pasted
            preset = presets.change(preset, inpaint={"strength": baselines.STRENGTH_OVER_PASTE})
        item = catalog.load_item(over, run.record["class_noun"])
        index = _index(options, len(item.photos))
        paste = baselines.paste_in(preset, item, segment.object_masks(item, preset))
        start = paste(photo, mask, variant=index).image
    painter = painting.load_painter(preset, run)
    prompt = run.prompt if options.prompt is None else options.prompt
    common.say(f"painting {prompt!r}")
    texts = {"prompt": prompt, "negative_prompt": options.negative_prompt}
    painted = painter(photo, mask, start=start, seed=options.seed, **texts)
    print(painting.save_result(painted, options.out))


def _preset_of(run: Path) -> str:
    """Return the preset that a run names, without the libraries that load a run; `tiny` if it cannot be read."""
    try:
        return str(json.loads((run / "run.json").read_text(encoding="utf-8"))["preset"]["source"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tiny"


def _index(options: argparse.Namespace, count: int) -> int:
    """Return the index of the photo to paint over: the middle one, unless the options name another."""
    if options.over_photo is None:
        return count // 2
    if not 1 <= options.over_photo <= count:
        raise InputError(f"--over-photo is {options.over_photo}, but {options.over} has the photos 1 to {count}.")
    return options.over_photo - 1
