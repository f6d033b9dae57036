"""The painters that DreamPaint is compared with (sections 3.1 and 5). They are called as `inpaint.Painter` is.

- `title`: text-guided inpainting with the item's catalogue title, the first baseline of the paper.
- `description`: the same with a plain sentence. Titles have words that a model does not know; this sentence has none.
- `paint_by_example`: Paint by Example (arXiv 2211.13227), the second baseline of the paper.
- `paste_in`: the reference photo's product, pasted. Nothing copies better, and nothing fits its surroundings worse.

The last two paint from one reference photo. They have ``variants``, the number of the item's photos, and a call takes
``variant``, the index of the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.pipelines.deprecated.paint_by_example import PaintByExampleImageEncoder, PaintByExamplePipeline
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPImageProcessor

from . import colors, inpaint, masks, models, presets, sources, squares
from .catalog import Item
from .device import inference_dtype, pick_device
from .errors import REJECTED, InputError, Rejected
from .presets import Preset

EXAMPLE_SCALE = 1.15  # side of the square that Paint by Example is shown, in units of the product's longer side
STRENGTH_OVER_PASTE = 0.7  # keeps much of a paste-in, but not its hard edges (data/results/ablations/start)


def title(preset: Preset, item: Item) -> inpaint.Painter:
    """Return the base model with the item's catalogue title as prompt.

    Raises:
        InputError: the item has no title.
    """
    if not item.title:
        raise InputError(f'The item {item.name} has no title: write one into its item.json, "title": "Red armchair".')
    return replace(_base_painter(preset), prompt=item.title, class_noun=item.class_noun)


def description(preset: Preset, item: Item) -> inpaint.Painter:
    """Return the base model with `describe` of the item as prompt."""
    return replace(_base_painter(preset), prompt=describe(item), class_noun=item.class_noun)


def describe(item: Item) -> str:
    """Say what an item is in plain words: "a plain blue sofa", "a striped blue and white t-shirt".

    The words are ``pattern``, ``color``, ``color2`` and ``class_noun`` of item.json; words that it lacks are left out.
    """
    colors = " and ".join(str(item.info[key]) for key in ("color", "color2") if item.info.get(key))
    words = " ".join(part for part in (str(item.info.get("pattern") or ""), colors, item.class_noun) if part)
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}"


@dataclass
class ExamplePainter:
    """Paint by Example with its settings: guided by a picture instead of a prompt.

    Attributes:
        pipe: the library's pipeline.
        preset: supplies every setting that a call does not give. It knows no ``strength``: it starts from pure noise.
        examples: what it may be shown, one picture for each photo of the item.
        class_noun: what is painted, as for `inpaint.Painter`.
    """

    pipe: PaintByExamplePipeline
    preset: Preset
    examples: Sequence[Image.Image]
    class_noun: str | None = None

    @property
    def variants(self) -> int:
        """Return the number of examples."""
        return len(self.examples)

    def __call__(
        self,
        image: Image.Image,
        mask_image: Image.Image,
        *,
        seed: int = 0,
        variant: int = 0,
        progress: Callable[[int, int], None] | None = None,
        **settings: Any,
    ) -> inpaint.Result:
        """Repaint the part of the photo under the mask with the product of one example.

        Args:
            image, mask_image, seed, progress, settings: as for `inpaint.Painter`.
            variant: index of the example.

        Raises:
            InputError: as for `inpaint.Painter`, `Rejected` included, or there is no such example.
        """
        chosen = presets.change(self.preset, inpaint=settings).inpaint
        seed = presets.checked_seed(seed)
        example = self.examples[_checked_variant(variant, self.variants)]
        resolution = self.preset.resolution
        square = inpaint.cut_square(image, mask_image, chosen, resolution, self.pipe.vae_scale_factor)
        steps = chosen.num_inference_steps
        output = self.pipe(
            example_image=example,
            image=square.image,
            mask_image=square.mask_image,
            height=resolution,
            width=resolution,
            num_inference_steps=steps,
            guidance_scale=chosen.guidance_scale,
            eta=chosen.eta,
            generator=torch.Generator().manual_seed(seed),
            callback=(lambda step, timestep, latents: progress(step + 1, steps)) if progress else None,
        )
        if any(output.nsfw_content_detected or ()):
            raise Rejected(REJECTED.format(seed=seed))
        used = {name: value for name, value in asdict(chosen).items() if name != "strength"}
        given = {"seed": seed, "variant": variant}
        return inpaint.finish(square, output.images[0], {**given, **used}, self.preset, self.class_noun)


def paint_by_example(
    preset: Preset,
    item: Item,
    object_masks: Sequence[Image.Image],
    *,
    device: str | torch.device | None = None,
) -> ExamplePainter:
    """Load Paint by Example for an item; each photo of the item, cut to the product, is one of its examples.

    Args:
        preset: names the pipeline and supplies the settings.
        item: its photos.
        object_masks: one for each photo, from `segment.object_masks`.
        device: the GPU if there is one, unless given.
    """
    examples = []
    for photo, mask in zip(item.photos, object_masks, strict=True):
        box = masks.without_specks(mask).getbbox()
        examples.append(squares.cut(photo, squares.square_around(box, mask.size, EXAMPLE_SCALE)))
    return ExamplePainter(load_example_pipeline(preset, str(pick_device(device))), preset, examples, item.class_noun)


@dataclass
class PastePainter:
    """Pastes the product of one reference photo into the middle of the mask, scaled to fit, its aspect kept.

    Attributes:
        preset: supplies ``crop_scale`` and ``feather``.
        cutouts: one for each photo of the item: RGBA, cropped to the product, transparent off it.
    """

    preset: Preset
    cutouts: Sequence[Image.Image]

    @property
    def variants(self) -> int:
        """Return the number of cut-outs."""
        return len(self.cutouts)

    def __call__(
        self, image: Image.Image, mask_image: Image.Image, *, seed: int = 0, variant: int = 0, **settings: Any
    ) -> inpaint.Result:
        """Paste one cut-out into the photo, blended at the mask's edge as painted squares are.

        Args:
            image, mask_image, settings: as for `inpaint.Painter`.
            seed: changes nothing.
            variant: index of the cut-out.

        Raises:
            InputError: as for `inpaint.Painter`, or there is no such cut-out.
        """
        chosen = presets.change(self.preset, inpaint=settings).inpaint
        cutout = self.cutouts[_checked_variant(variant, self.variants)]
        square = inpaint.cut_square(image, mask_image, chosen, self.preset.resolution)
        left, top, right, bottom = masks.without_specks(square.mask).getbbox()
        scale = min((right - left) / cutout.width, (bottom - top) / cutout.height)
        size = tuple(max(1, round(side * scale)) for side in cutout.size)
        scaled = cutout.resize(size, Image.LANCZOS)
        layer = colors.to_srgb(squares.cut(square.photo, square.box))
        corner = (left + right - size[0]) // 2 - square.box[0], (top + bottom - size[1]) // 2 - square.box[1]
        layer.paste(scaled, corner, scaled)
        return square.paste(layer, {"seed": seed, "variant": variant})


def paste_in(preset: Preset, item: Item, object_masks: Sequence[Image.Image]) -> PastePainter:
    """Cut the product out of each photo of an item, ready for pasting.

    Args:
        preset: supplies the feather, so that the paste blends as painted squares do.
        item: its photos.
        object_masks: one for each photo, from `segment.object_masks`.
    """
    cutouts = []
    for photo, mask in zip(item.photos, object_masks, strict=True):
        cutout = photo.convert("RGBA")
        cutout.putalpha(masks.without_specks(mask))
        cutouts.append(cutout.crop(cutout.getchannel("A").getbbox()))
    return PastePainter(preset, cutouts)


def _checked_variant(variant: int, variants: int) -> int:
    if not 0 <= variant < variants:
        raise InputError(f"There is no variant {variant}: this painter has the variants 0 to {variants - 1}.")
    return variant


@lru_cache(maxsize=1)
def _base_painter(preset: Preset) -> inpaint.Painter:
    """Load the base model, once for all items: text guidance changes the prompt alone."""
    return inpaint.load_painter(preset)


@lru_cache(maxsize=1)
def load_example_pipeline(preset: Preset, device: str) -> PaintByExamplePipeline:
    """Build Paint by Example from its parts, once for all items: its ``from_pretrained`` fails (diffusers#14008)."""
    dtype = inference_dtype(torch.device(device))

    folder = sources.first(preset, "paint_by_example", "unet").folder
    checked = preset.safety_checker and (folder / "safety_checker" / "config.json").is_file()

    def part(cls: type, name: str, **options: Any) -> Any:
        return models.load(preset, "paint_by_example", cls, subfolder=name, **options)

    pipe = PaintByExamplePipeline(
        vae=part(AutoencoderKL, "vae", torch_dtype=dtype),
        image_encoder=part(PaintByExampleImageEncoder, "image_encoder", torch_dtype=dtype),
        unet=part(UNet2DConditionModel, "unet", torch_dtype=dtype),
        scheduler=part(DDIMScheduler, "scheduler"),
        safety_checker=part(StableDiffusionSafetyChecker, "safety_checker", torch_dtype=dtype) if checked else None,
        feature_extractor=part(CLIPImageProcessor, "feature_extractor"),
        requires_safety_checker=checked,
    ).to(device)
    pipe.set_progress_bar_config(desc="paint by example", unit="step", leave=False)
    return pipe
