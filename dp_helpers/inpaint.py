"""Paint an item into a photo, and leave every pixel outside the mask as it was.

The fine-tuned U-Net and text encoder go into diffusers' own inpainting pipeline (section 3.4, Fig. 2). That
pipeline works on a square of fixed size; so a square around the mask is cut out of the photo, painted at the
model's resolution, scaled back, and only what lies under the mask is pasted.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image, PngImagePlugin

from . import masks
from .device import inference_dtype, pick_device
from .errors import InputError
from .files import check_can_write, whole_file
from .presets import Inpaint, Preset, load_first
from .runs import FineTuned, load_run


@dataclass(frozen=True)
class Result:
    """A painted photo and all that is needed to paint it again."""

    image: Image.Image  # the whole photo, of its own size
    parameters: dict[str, Any]
    painted: Image.Image  # what the pipeline returned: the square, at the model's resolution


def load_pipeline(
    preset: Preset,
    tuned: FineTuned | str | Path | None = None,
    *,
    device: str | torch.device | None = None,
) -> StableDiffusionInpaintPipeline:
    """Load the preset's inpainting pipeline with the fine-tuned U-Net and text encoder put in.

    Args:
        preset: names the pipeline.
        tuned: a fine-tune or the folder of a saved one; None loads the pipeline as it was before.
        device: default: the GPU if there is one.
    """
    device = pick_device(device)
    dtype = inference_dtype(device)
    if isinstance(tuned, (str, Path)):
        tuned = load_run(tuned)
    modules = {}
    if tuned is not None:
        modules = {"unet": tuned.unet, "text_encoder": tuned.text_encoder}

    def load_from(source: str, **options) -> StableDiffusionInpaintPipeline:
        return StableDiffusionInpaintPipeline.from_pretrained(
            source, torch_dtype=dtype, use_safetensors=True, **modules, **options
        )

    pipe = load_first(preset, "inpainting", load_from).to(device=device, dtype=dtype)
    pipe.set_progress_bar_config(desc="inpaint", unit="step", leave=False)
    return pipe


def inpaint(
    pipe: StableDiffusionInpaintPipeline,
    image: Image.Image,
    mask_image: Image.Image,
    prompt: str,
    *,
    preset: Preset | None = None,
    seed: int = 0,
    negative_prompt: str | None = None,
    guidance_scale: float | None = None,
    num_inference_steps: int | None = None,
    strength: float | None = None,
    eta: float | None = None,
    crop_scale: float | None = None,
    feather: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Repaint what lies under the mask.

    Args:
        pipe: from `load_pipeline`.
        image: RGB photo of any size and shape.
        mask_image: mode "L", the photo's size, 255 = repaint.
        prompt: usually the item's, "a [token] [class noun]"; more words may be added (section 6).
        preset: whence the numbers come that are None below; without one they are `presets.Inpaint`'s
            defaults.
        seed: same seed, same picture on the same machine.
        negative_prompt: what guidance leads away from; default: the empty prompt.
        guidance_scale: weight of the prompt; the paper's is 10 (section 4.1).
        num_inference_steps: denoising steps.
        strength: 1 starts from pure noise; less keeps something of what stands under the mask.
        eta: 0 to 1 (not included): how much of the noise DDIM draws anew in each denoising step (arXiv 2010.02502,
            Eq. 16); other schedulers ignore it.
        crop_scale: side of the painted square in units of the mask's longer side; the more, the more of the
            surroundings the model sees, and the smaller it paints.
        feather: width of the blend inside the mask's edge, as a share of the painted square.
        progress: called with (step, steps) after each denoising step; what it raises ends the painting.

    Raises:
        InputError: when mask and photo differ in size, the mask is empty, eta is out of range, or steps times
            strength is below one.
    """
    mask_image = _check(image, mask_image)
    numbers = preset.inpaint if preset else Inpaint()
    given = {
        "guidance_scale": guidance_scale,
        "num_inference_steps": num_inference_steps,
        "strength": strength,
        "eta": eta,
        "crop_scale": crop_scale,
        "feather": feather,
    }
    chosen = {name: getattr(numbers, name) if value is None else value for name, value in given.items()}
    if int(chosen["num_inference_steps"] * chosen["strength"]) < 1:
        raise InputError(
            f"{chosen['num_inference_steps']} steps at strength {chosen['strength']} leave no step to take: raise either."
        )
    if not 0 <= chosen["eta"] < 1:
        raise InputError(f"eta is {chosen['eta']}, but must lie between 0 and 1 (1 not included): take 0.99 for the most.")
    resolution = pipe.unet.config.sample_size * pipe.vae_scale_factor
    box = square_around(mask_image.getbbox(), image.size, chosen["crop_scale"])
    output = pipe(
        prompt=prompt,
        negative_prompt=negative_prompt,
        image=cut(image, box).resize((resolution, resolution), Image.LANCZOS),
        mask_image=cut(mask_image, box, outside=0).resize((resolution, resolution), Image.NEAREST),
        height=resolution,
        width=resolution,
        strength=chosen["strength"],
        eta=chosen["eta"],
        num_inference_steps=chosen["num_inference_steps"],
        guidance_scale=chosen["guidance_scale"],
        generator=torch.Generator().manual_seed(seed),
        callback_on_step_end=_reporting(progress) if progress else None,
    )
    if any(output.nsfw_content_detected or ()):
        warnings.warn("The safety checker blackened the picture: try another seed.", stacklevel=2)
    painted = output.images[0]
    parameters = {
        "prompt": prompt,
        "negative_prompt": negative_prompt,
        "seed": seed,
        **chosen,
        "resolution": resolution,
        "box": list(box),
    }
    blend = masks.feather(mask_image, chosen["feather"] * (box[2] - box[0]))
    return Result(paste_back(image, painted, blend, box), parameters, painted)


def square_around(box: masks.Box, size: tuple[int, int], scale: float) -> masks.Box:
    """The square that is painted: ``scale`` times the longer side of the mask's box, centred on it.

    It is moved to lie within the photo, and shrunk to the photo's shorter side if the mask allows; a mask
    longer than that gets a square of the photo's longer side, which then reaches beyond the photo.
    """
    left, top, right, bottom = box
    longer, shorter_side, longer_side = max(right - left, bottom - top), min(size), max(size)
    side = min(round(longer * scale), shorter_side if longer <= shorter_side else longer_side)
    corners = [
        _place((low + high) / 2, side, length)
        for low, high, length in ((left, right, size[0]), (top, bottom, size[1]))
    ]
    return corners[0], corners[1], corners[0] + side, corners[1] + side


def cut(image: Image.Image, box: masks.Box, *, outside: int | None = None) -> Image.Image:
    """Crop; what reaches beyond the image repeats its edge pixels, or takes the value ``outside``."""
    left, top, right, bottom = box
    width, height = image.size
    before, after = (max(-top, 0), max(-left, 0)), (max(bottom - height, 0), max(right - width, 0))
    pad = [(before[0], after[0]), (before[1], after[1])] + [(0, 0)] * (len(image.getbands()) > 1)
    options = {"mode": "edge"} if outside is None else {"mode": "constant", "constant_values": outside}
    pixels = np.pad(np.asarray(image), pad, **options)
    top, left = top + before[0], left + before[1]
    return Image.fromarray(pixels[top : top + box[3] - box[1], left : left + box[2] - box[0]])


def paste_back(image: Image.Image, painted: Image.Image, blend: Image.Image, box: masks.Box) -> Image.Image:
    """Put the painted square into the photo under ``blend`` (255 = painted, 0 = the photo's own pixel)."""
    square = painted.convert("RGB").resize((box[2] - box[0], box[3] - box[1]), Image.LANCZOS)
    layer = image.copy()
    layer.paste(square, box[:2])
    return Image.composite(layer, image, blend)


def save_result(result: Result, path: str | Path) -> Path:
    """Save as PNG with the parameters as JSON in its text chunk ``dreampaint``."""
    path = check_can_write(path, suffix=".png")
    text = PngImagePlugin.PngInfo()
    text.add_itxt("dreampaint", json.dumps(result.parameters, ensure_ascii=False))
    with whole_file(path) as temporary:
        result.image.save(temporary, pnginfo=text)
    return path


def _check(image: Image.Image, mask_image: Image.Image) -> Image.Image:
    if image.mode != "RGB":
        raise InputError(
            f"The photo has mode {image.mode!r}, but must be RGB: load it with catalog.load_photo."
        )
    if mask_image.size != image.size:
        raise InputError(
            f"The mask is {mask_image.width} x {mask_image.height} pixels but the photo is "
            f"{image.width} x {image.height}: make them the same size."
        )
    mask_image = mask_image.convert("L").point(lambda value: 255 if value >= 128 else 0)
    if mask_image.getbbox() is None:
        raise InputError("The mask is empty: paint the region to fill in white (255) on black (0).")
    return mask_image


def _reporting(progress: Callable[[int, int], None]):
    """``progress`` as the pipeline calls it."""

    def report(pipe, step: int, timestep, callback_kwargs: dict) -> dict:
        progress(step + 1, pipe.num_timesteps)
        return callback_kwargs

    return report


def _place(center: float, side: int, length: int) -> int:
    """Start of a stretch of ``side`` around ``center``, moved into 0..length, or centred if longer."""
    if side >= length:
        return (length - side) // 2
    return min(max(round(center - side / 2), 0), length - side)
