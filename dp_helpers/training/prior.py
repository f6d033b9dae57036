"""Prior preservation (DreamBooth, arXiv 2208.12242): pictures of the class, drawn by the base model itself.

A model that is trained on one product alone forgets what other things of its class look like. With ``prior_weight`` in
the preset, each step also trains on pictures that the base model drew of the class noun, with a prompt without the
token. The paper finds this harmful for shop items (section 6), so it is off by default.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from .. import masks, models, presets
from ..catalog import Item
from ..device import pick_device
from ..errors import Rejected
from ..files import whole_file
from ..presets import Preset
from .latents import Bank, build_bank

FOLDER = "class-pictures"
SEEDS_APART = 10_000  # of a picture's tries: more than there are class pictures, so that no two share a seed
TRIES = 5  # of a picture that the safety checker rejects
PAINTING = ("num_inference_steps", "guidance_scale", "eta")  # settings of [inpaint] behind a class picture


def class_prompt(item: Item) -> str:
    """Return the item's prompt without the token, "a [class noun]"."""
    return f"a {item.class_noun}"


def picture_folder(item: Item, preset: Preset, run_folder: Path) -> Path:
    """Return the folder of an item's class pictures, next to the run's folder, so that runs of a class share it.

    Its name ends in a digest of all that the pictures depend on.
    """
    used = [getattr(preset.inpaint, name) for name in PAINTING]
    made_from = [class_prompt(item), preset.models.inpainting, preset.resolution, used]
    digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:8]
    # A class noun may be a path, and may come from a stranger's archive.
    noun = re.sub(r"[^\w-]+", "-", item.class_noun).strip("-")[:40] or "class"
    return run_folder.parent / FOLDER / f"{noun}-{digest}"


def class_pictures(
    item: Item, preset: Preset, folder: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> list[Image.Image]:
    """Draw ``class_pictures`` pictures of the item's class with the base model, each with its own seed.

    ``batch_size`` of them are drawn at once.

    Args:
        item: its class noun.
        preset: the model, its settings, and the number of pictures.
        folder: keep them here, and draw only those that are missing. None keeps none.
        progress: called with (pictures done, pictures in all).

    Raises:
        Rejected: the safety checker rejects a picture again and again.
    """
    count, at_once = preset.finetune.class_pictures, preset.finetune.batch_size
    paths = [folder / f"{index:04d}.png" if folder else None for index in range(count)]
    pictures = {}
    for index, path in enumerate(paths):
        if path is not None and path.is_file():
            with Image.open(path) as image:
                picture = image.convert("RGB")
            if picture.getbbox() is not None:  # a black one is what an older version kept of a rejected one
                pictures[index] = picture
    if progress:
        progress(len(pictures), count)
    missing = [index for index in range(count) if index not in pictures]
    pipe = _pipeline(preset) if missing else None
    for start in range(0, len(missing), at_once):
        drawn = _draw_accepted(pipe, class_prompt(item), preset, missing[start : start + at_once])
        for index, picture in drawn.items():
            pictures[index] = picture
            if paths[index] is not None:
                with whole_file(paths[index]) as temporary:
                    picture.save(temporary)
        if progress:
            progress(len(pictures), count)
    return [pictures[index] for index in range(count)]


def class_bank(pictures: list[Image.Image], preset: Preset, *, seed: int = 0) -> Bank:
    """Encode class pictures as they are, one view each: neither moved nor put on another background.

    All of a class picture counts as product, so its masks are rectangles, ellipses and full ones.
    """
    as_they_are = {"views": len(pictures), "augment_scale": (1.0, 1.0), "augment_shift": 0.0}
    as_they_are |= {"augment_background": 0.0, "augment_flip": False}
    preset = presets.change(preset, finetune=as_they_are)
    whole = [masks.full(picture.size) for picture in pictures]
    return build_bank(models.load_vae(preset).to(pick_device()), pictures, whole, preset, seed=seed)


def _pipeline(preset: Preset):
    pipe = models.load_pipeline(preset)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _draw_accepted(pipe, prompt: str, preset: Preset, indices: list[int]) -> dict[int, Image.Image]:
    """Draw a picture for each index, again with another seed where the safety checker rejects it."""
    found = {}
    for attempt in range(TRIES):
        left = [index for index in indices if index not in found]
        if left:
            drawn = _draw(pipe, prompt, preset, [index + attempt * SEEDS_APART for index in left])
            found |= {index: picture for index, picture in zip(left, drawn, strict=True) if picture is not None}
    if len(found) < len(indices):
        raise Rejected(
            f"The safety checker rejected {TRIES} pictures of {prompt!r} in a row: take another class noun, set "
            "prior_weight=0, or set safety_checker = false in a preset file of your own."
        )
    return {index: found[index] for index in indices}


def _draw(pipe, prompt: str, preset: Preset, seeds: list[int]) -> list[Image.Image | None]:
    """Draw pictures at once, one for each seed; None for one that the safety checker rejects.

    Everything is masked, so only the prompt decides what they show.
    """
    side = preset.resolution
    output = pipe(
        prompt=[prompt] * len(seeds),
        image=[Image.new("RGB", (side, side), (128, 128, 128))] * len(seeds),
        mask_image=[masks.full((side, side))] * len(seeds),
        height=side,
        width=side,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        **{name: getattr(preset.inpaint, name) for name in PAINTING},
    )
    rejected = output.nsfw_content_detected or [False] * len(seeds)
    return [None if bad else picture for picture, bad in zip(output.images, rejected, strict=True)]
