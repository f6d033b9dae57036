"""The command ``inpaint``."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import catalog
from ..errors import InputError
from ..files import check_can_write
from . import common


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    added = common.add_command(commands, "inpaint", run, preset=None)
    added.add_argument("run", type=Path, help="folder that finetune --out made")
    added.add_argument("photo", type=Path)
    added.add_argument("mask", type=Path, help="a picture of the photo's size, white = repaint")
    added.add_argument("--out", type=Path, required=True, help="PNG file")
    added.add_argument("--prompt", help="default: the item's")
    added.add_argument("--negative-prompt", help="guidance leads away from it")
    added.add_argument("--guidance-scale", type=float, help="default: the preset's")
    added.add_argument("--num-inference-steps", type=int, help="default: the preset's")
    added.add_argument("--strength", type=float, help="default: the preset's")
    added.add_argument("--lora-scale", type=float, help="of a run with LoRA (default: the preset's)")
    added.add_argument("--seed", type=int, default=0)
    common.add_settings(added)


def run(options: argparse.Namespace) -> None:
    """Paint a fine-tuned item into a photo."""
    photo = catalog.load_photo(options.photo)
    mask = catalog.load_mask(options.mask, photo.size)
    check_can_write(options.out, suffix=".png")
    if not (options.run / "run.json").is_file():
        raise InputError(f"{options.run} is not a fine-tuned run: name the folder that `finetune --out` made.")
    names = ("guidance_scale", "num_inference_steps", "strength", "lora_scale")
    settings = {name: getattr(options, name) for name in names}
    common.quiet()
    from .. import inpaint as painting
    from .. import runs

    run = runs.load_run(options.run)
    preset = common.chosen_preset(options, run.preset_source, inpaint=settings)
    painter = painting.load_painter(preset, run)
    prompt = options.prompt or run.prompt
    common.say(f"painting {prompt!r}")
    painted = painter(photo, mask, prompt=prompt, negative_prompt=options.negative_prompt, seed=options.seed)
    print(painting.save_result(painted, options.out))
