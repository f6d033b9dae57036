"""The command ``export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..files import recover
from . import common


def add(commands) -> None:
    """Add the command to the parser's ``commands``."""
    added = common.add_command(commands, "export", run, preset=None)
    added.add_argument("run", type=Path, help="folder that finetune --out made")
    added.add_argument("--out", type=Path, required=True, help="folder of the pipeline, for example exports/armchair")
    added.add_argument("--lora-scale", type=float, help="how strongly a LoRA is merged (default: the preset's)")
    added.add_argument("--no-single-file", action="store_true", help="no file for ComfyUI and A1111")
    added.add_argument("--push-to-hub", metavar="USER/NAME", help="upload the export to the Hugging Face Hub")
    added.add_argument("--public", action="store_true", help="a new repository on the Hub is private unless given")
    added.add_argument("--dry-run", action="store_true", help="write the export, and only list what would be uploaded")
    common.add_settings(added)


def run(options: argparse.Namespace) -> None:
    """Write a run as a whole fp16 pipeline, one file for other programs, and a model card."""
    recover(options.run)
    if not (options.run / "run.json").is_file():
        raise InputError(f"{options.run} is not a fine-tuned run: name the folder that `finetune --out` made.")
    if options.dry_run and not options.push_to_hub:
        raise InputError("--dry-run lists what --push-to-hub would upload: give both.")
    if options.public and not options.push_to_hub:
        raise InputError("--public says who sees what --push-to-hub uploads: give both.")
    common.quiet()
    from diffusers import UNet2DConditionModel

    from .. import export as exporting
    from .. import models, runs, single_file, sources

    exporting.check_export_folder(options.out)
    if options.push_to_hub:
        exporting.check_repo_id(options.push_to_hub)
    run = runs.load_run(options.run)
    preset = common.chosen_preset(options, run.preset_source)
    sources.check_base(preset, run.record)  # before another base is asked for, and maybe downloaded
    one_file = not options.no_single_file
    unet_config = models.load_config(preset, "inpainting", UNet2DConditionModel, subfolder="unet")
    if one_file and (reason := single_file.why_not(unet_config)):
        common.say(f"{reason}.")
        one_file = False
    common.say(f"writing the pipeline of {run.prompt!r}")
    scale = preset.inpaint.lora_scale if options.lora_scale is None else options.lora_scale
    settings = {"lora_scale": scale, "one_file": one_file, "place": options.push_to_hub}
    print(exporting.export(run, preset, options.out, **settings))
    if options.push_to_hub:
        place, dry = options.push_to_hub, options.dry_run
        files = exporting.push(options.out, place, private=not options.public, dry_run=dry)
        common.say(f"{'would upload' if dry else 'uploaded'} {len(files)} files to {place}: {', '.join(files)}")
