"""Paint an item into a photo, and leave every pixel outside the mask as it was.

The fine-tuned U-Net and text encoder go into diffusers' own inpainting pipeline (section 3.4, Fig. 2). That
pipeline works on a square of fixed size. So a square around the mask is cut out of the photo, painted at the model's
resolution and scaled back, and only the part under the mask is pasted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image, ImageChops, ImageStat, PngImagePlugin

from . import guidance, masks, matte, models, presets, sources
from .colors import as_photo, levels, like, to_srgb
from .device import told_when_memory_is_full
from .errors import REJECTED, InputError, Rejected, note
from .files import check_can_write, whole_file
from .pictures import check_marked, check_mask_size, split
from .presets import Preset
from .runs import Run, load_run
from .squares import Box, cut, paste_back, square_around
from .training import lora


@dataclass(frozen=True)
class Result:
    """A painted photo, and the settings to paint it again from the same photo, mask and start."""

    image: Image.Image  # the whole photo, of its own size
    parameters: dict[str, Any]
    painted: Image.Image  # the square as the pipeline returned it, at the model's resolution


@dataclass(frozen=True)
class Square:
    """The square that a model paints: what it sees of photo and mask, and the way back into the photo."""

    image: Image.Image  # at the model's resolution
    mask_image: Image.Image  # the same size, 255 = repaint
    photo: Image.Image  # the whole photo
    mask: Image.Image  # the photo's size, with the values 0 and 255
    box: Box  # where the square is in the photo
    feather: float  # share of the square's side
    soft: Image.Image | None = None  # the photo's size: the grey levels of a soft mask, instead of a feather

    def paste(self, painted: Image.Image, parameters: dict[str, Any], product: Image.Image | None = None) -> Result:
        """Put the painted square into the photo under the feathered mask, and under the matte if there is one."""
        side = self.box[2] - self.box[0]
        blend = self.soft or masks.feather(self.mask, self.feather * side)
        if product is not None:
            whole = Image.new("L", self.photo.size, 0)
            whole.paste(product.resize((side, side), Image.BILINEAR), self.box[:2])
            blend = ImageChops.multiply(blend, whole)
        parameters = {**parameters, "resolution": self.image.width, "box": list(self.box)}
        return Result(paste_back(self.photo, like(self.photo, painted), blend, self.box), parameters, painted)


@dataclass
class Painter:
    """A pipeline with its settings: called with a photo and a mask, it paints.

    Attributes:
        pipe: diffusers' inpainting pipeline.
        preset: supplies every setting that a call does not give.
        prompt: supplies the prompt if a call does not give one; None: every call must give one.
        class_noun: what is painted. None: it is not known, and all that is under the mask is pasted.
        base: the model before its fine-tuning, for autoguidance. None: `pipe` is the base model itself.
    """

    pipe: StableDiffusionInpaintPipeline
    preset: Preset
    prompt: str | None = None
    class_noun: str | None = None
    base: guidance.Base | None = None

    @told_when_memory_is_full()
    def __call__(
        self,
        image: Image.Image,
        mask_image: Image.Image,
        *,
        seed: int = 0,
        prompt: str | None = None,
        negative_prompt: str | None = None,
        start: Image.Image | None = None,
        progress: Callable[[int, int], None] | None = None,
        callback_on_step_end: Callable[..., None] | None = None,
        **settings: Any,
    ) -> Result:
        """Repaint the part of the photo under the mask.

        Args:
            image: photo of any size and shape. What is not painted keeps its values, mode and colour profile; see
                `colors.as_photo`.
            mask_image: a picture of the photo's size, white = repaint. Grey is split at 128, unless ``soft_mask``.
            seed: the same seed gives the same picture on the same machine.
            prompt: the painter's own unless given; more words may follow it (section 6).
            negative_prompt: guidance leads away from it; the empty prompt unless given.
            start: a picture of the photo's size, such as a paste-in, to add noise to at a ``strength`` below 1.
            progress: called with (step, steps) after each denoising step. An exception in it ends the painting.
            callback_on_step_end: called with (pipe, step, timestep, tensors) after each step; see `denoising.watch`.
            settings: fields of `presets.Inpaint` to use instead of the preset's, for example ``guidance_scale=7``.

        Raises:
            InputError: photo, mask and start do not fit together, there is no prompt, a setting is unknown or out of
                range, the memory is full, or the safety checker rejects the painting (`Rejected`).
        """
        prompt = self.prompt if prompt is None else prompt
        if prompt is None:
            raise InputError('This painter has no prompt of its own: give one, for example prompt="a red armchair".')
        chosen, seed = presets.change(self.preset, inpaint=settings).inpaint, presets.checked_seed(seed)
        models.say_what_is_not_read(self.pipe.tokenizer, [prompt, negative_prompt or ""])
        if (scaled := chosen.lora_scale != 1) and not self.pipe.get_list_adapters():
            raise InputError("This painter has no LoRA to scale: leave lora_scale at 1, or fine-tune with lora_rank.")
        resolution = self.preset.resolution
        square = cut_square(image, mask_image, chosen, resolution, self.pipe.vae_scale_factor)
        with guidance.away_from(self.base, self.pipe, prompt, chosen):
            output = self.pipe(
                prompt=prompt,
                negative_prompt=negative_prompt,
                image=square.image if start is None else _start_with(start, square, chosen),
                mask_image=square.mask_image,
                height=resolution,
                width=resolution,
                **{key: getattr(chosen, key) for key in ("strength", "eta", "num_inference_steps", "guidance_scale")},
                generator=torch.Generator().manual_seed(seed),
                cross_attention_kwargs={"scale": chosen.lora_scale} if scaled else None,
                callback_on_step_end=_reporting(progress, callback_on_step_end),
                callback_on_step_end_tensor_inputs=["latents", "prompt_embeds", "mask", "masked_image_latents"],
            )
        if any(output.nsfw_content_detected or ()):
            raise Rejected(REJECTED.format(seed=seed))
        given = {"prompt": prompt, "negative_prompt": negative_prompt, "seed": seed, "start": start is not None}
        return finish(square, output.images[0], given | asdict(chosen), self.preset, self.class_noun)


def _start_with(start: Image.Image, square: Square, settings: presets.Inpaint) -> Image.Image:
    """Put what ``start`` shows under the mask into the square that the model sees."""
    start = as_photo(start, "The start")
    check_mask_size(start.size, square.photo.size, "The start")
    if settings.strength == 1:
        raise InputError("The start is all noise at strength 1: give a strength below 1, for example strength=0.7.")
    seen = to_srgb(cut(start, square.box)).resize(square.image.size, Image.LANCZOS)
    return Image.composite(seen, square.image, square.mask_image)


def finish(
    square: Square, painted: Image.Image, parameters: dict[str, Any], preset: Preset, class_noun: str | None
) -> Result:
    """Paste a painted square as ``parameters["paste"]`` says. Without a class noun, all under the mask is pasted."""
    if parameters["paste"] == "mask" or class_noun is None:
        return square.paste(painted, {**parameters, "paste": "mask"})
    product = matte.product_matte(painted, square.image, class_noun, preset)
    if ImageStat.Stat(product, square.mask_image).mean[0] < 255 / 100:
        note(f'Hardly any {class_noun} was found in the painting, so the photo changes little: try paste="mask".')
    return square.paste(painted, parameters, product)


def cut_square(
    image: Image.Image, mask_image: Image.Image, settings: presets.Inpaint, resolution: int, cell: int = 1
) -> Square:
    """Cut the square around the mask out of the photo, and scale it to the model's resolution.

    The mask's specks do not widen the square. A warning says so if some of them are outside it.

    Args:
        image, mask_image: as for `Painter`.
        settings: supplies ``crop_scale``, ``feather`` and ``soft_mask``.
        resolution: side of the square that the model paints, in pixels.
        cell: pixels a side of one latent pixel. The model's mask fills every cell that the mask touches.

    Raises:
        InputError: photo or mask is not a picture, they differ in size, or the mask is empty.
    """
    photo, grey = as_photo(image), levels(mask_image)
    check_mask_size(grey.size, photo.size)
    if settings.soft_mask:
        mask = grey.point(lambda value: 255 if value else 0)
        check_marked(grey, mask)
    else:
        mask = split(grey)
    box = square_around(masks.without_specks(mask).getbbox(), photo.size, settings.crop_scale)
    seen = to_srgb(cut(photo, box)).resize((resolution, resolution), Image.LANCZOS)
    hidden = cut(mask, box, outside=0)
    if left_out := mask.histogram()[255] - hidden.histogram()[255]:
        many = f"{left_out} pixel{'s' * (left_out > 1)}"
        note(f"Specks of the mask far from its rest ({many}) stay as they are: paint them larger, or erase them.")
    hole = masks.snap(hidden, resolution, cell)
    return Square(seen, hole, photo, mask, box, settings.feather, grey if settings.soft_mask else None)


def load_painter(
    preset: Preset, run: Run | str | Path | None = None, *, device: str | torch.device | None = None
) -> Painter:
    """Load the preset's inpainting pipeline with what a run trained in it: its modules, or its LoRA.

    Args:
        preset: names the pipeline and supplies the settings.
        run: a run, or the folder of a saved one; its prompt becomes the painter's. None: the base model as it is,
            without a prompt of its own.
        device: the GPU if there is one, unless given.

    Raises:
        InputError: the preset has another model than the run, or one that is not for inpainting.
    """
    run = load_run(run) if isinstance(run, (str, Path)) else run
    sources.check_base(preset, run and run.record)
    models.check_unet(preset, run and run.unet)
    if run is None:
        return Painter(models.load_pipeline(preset, device=device), preset)
    pipe = models.load_pipeline(preset, device=device, **run.modules)
    if run.lora:
        lora.load(pipe, run.lora)
    return Painter(pipe, preset, run.prompt, run.record["class_noun"], guidance.Base(preset, pipe.device))


def save_result(result: Result, path: str | Path) -> Path:
    """Save the painted photo as PNG, with its parameters as JSON in the text chunk ``dreampaint``.

    The photo's colour profile and its dots per inch go along; its other metadata, such as the place, do not.
    """
    path = check_can_write(path, suffix=".png")
    text = PngImagePlugin.PngInfo()
    text.add_itxt("dreampaint", json.dumps(result.parameters, ensure_ascii=False, allow_nan=False))
    kept = {name: result.image.info[name] for name in ("icc_profile", "dpi") if result.image.info.get(name)}
    if not all(1 <= float(dots) <= 1e6 for dots in kept.get("dpi", ())):  # nan or inf: PNG takes none of them
        del kept["dpi"]
    with whole_file(path) as temporary:
        result.image.save(temporary, pnginfo=text, **kept)
    return path


def _reporting(progress: Callable[[int, int], None] | None, callback: Callable[..., None] | None):
    """Join the two callbacks in the form that the pipeline calls. They look at the tensors and change none."""

    def report(pipe, step: int, timestep, tensors: dict[str, torch.Tensor]) -> dict:
        if progress:
            progress(step + 1, pipe.num_timesteps)
        if callback:
            callback(pipe, step, timestep, tensors)
        return {}

    return report
