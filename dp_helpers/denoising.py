"""Watch one painting come into being: after each denoising step, the clean picture that the model predicts.

Latents in the middle of a painting are noisy, and a picture of them shows little. But from noisy latents the model
predicts clean ones (Eq. 12 of arXiv 2010.02502 with its "predicted x0"). These are decoded here. They show what the
model has decided so far: first the large shapes and colours, later the details.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from . import inpaint, presets
from .errors import InputError
from .inpaint import Painter, Result, Square
from .training.loss import unet_input


@dataclass(frozen=True)
class Step:
    """What the model predicts after one denoising step."""

    number: int  # steps done, from 1
    steps: int
    timestep: int  # of the noise that is left; 0: none
    image: Image.Image  # the painted square, as it would be without that noise
    square: Square

    def paste(self) -> Image.Image:
        """Return the whole photo with this step's square in it."""
        return self.square.paste(self.image, {}).image


def watch(
    painter: Painter,
    photo: Image.Image,
    mask: Image.Image,
    *,
    every: int = 1,
    show: Callable[[Step], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> tuple[Result, list[Step]]:
    """Paint as ``painter(photo, mask, **options)`` does, and keep a preview of its steps.

    A preview costs one more call of the U-Net and one of the VAE's decoder. It draws no random numbers, so the result
    is the same as without previews.

    Args:
        painter, photo, mask, progress: as for `inpaint.Painter`.
        every: preview every so many steps; the last step is always there.
        show: called with each preview as soon as it is there.
        options: the painter's other arguments, for example ``seed=1, guidance_scale=7``.

    Returns:
        The result and the previews in order. The image of the last is the painted square itself.
    """
    own = ("seed", "prompt", "negative_prompt", "start")  # arguments of the painter that are no settings
    settings = {name: value for name, value in options.items() if name not in own}
    chosen, factor = presets.change(painter.preset, inpaint=settings).inpaint, painter.pipe.vae_scale_factor
    with warnings.catch_warnings():  # the painter itself warns
        warnings.simplefilter("ignore")
        square = inpaint.cut_square(photo, mask, chosen, painter.preset.resolution, factor)
    previews: list[Step] = []

    def keep(pipe, step: int, _timestep, tensors: dict[str, torch.Tensor]) -> None:
        if (step + 1) % every and step + 1 < pipe.num_timesteps:
            return
        left = [int(each) for each in pipe.scheduler.timesteps[-pipe.num_timesteps :][step + 1 :]]
        latents = clean_latents(pipe, left[0], **tensors) if left else tensors["latents"]
        preview = Step(step + 1, pipe.num_timesteps, left[0] if left else 0, decode(pipe, latents), square)
        previews.append(preview)
        if show:
            show(preview)

    result = painter(photo, mask, progress=progress, callback_on_step_end=keep, **options)
    return result, previews


@torch.no_grad()
def clean_latents(
    pipe: StableDiffusionInpaintPipeline,
    timestep: int,
    latents: torch.Tensor,
    prompt_embeds: torch.Tensor,
    mask: torch.Tensor,
    masked_image_latents: torch.Tensor,
) -> torch.Tensor:
    """Predict the clean latents (1, 4, h, w) from noisy ones, with the pipeline's own guidance.

    Args:
        pipe: in the middle of a painting.
        timestep: of the noise in ``latents``.
        latents: (1, 4, h, w).
        prompt_embeds, mask, masked_image_latents: as the pipeline gives them to ``callback_on_step_end``: doubled for
            guidance, the empty prompt first.
    """
    doubled = torch.cat([latents] * (2 if pipe.do_classifier_free_guidance else 1))
    seen = unet_input(pipe.scheduler.scale_model_input(doubled, timestep), mask, masked_image_latents)
    # In the pipeline's own form, because autoguidance listens to it, and with the scale of a LoRA.
    options = {"cross_attention_kwargs": pipe.cross_attention_kwargs, "return_dict": False}
    (prediction,) = pipe.unet(seen, timestep, encoder_hidden_states=prompt_embeds, **options)
    if pipe.do_classifier_free_guidance:
        empty, prompted = prediction.chunk(2)
        prediction = empty + pipe.guidance_scale * (prompted - empty)
    return without_noise(pipe.scheduler, latents, prediction, timestep)


def without_noise(scheduler, latents: torch.Tensor, prediction: torch.Tensor, timestep: int) -> torch.Tensor:
    """Return the clean latents that a prediction stands for, by the scheduler's ``prediction_type``.

    Raises:
        InputError: another ``prediction_type`` than epsilon, v_prediction and sample.
    """
    signal = scheduler.alphas_cumprod[timestep].to(latents.device) ** 0.5
    noise = (1 - signal**2) ** 0.5
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return prediction
    if kind == "v_prediction":  # arXiv 2202.00512
        return signal * latents - noise * prediction
    if kind == "epsilon":
        return (latents - noise * prediction) / signal
    raise InputError(f"The scheduler's prediction_type is {kind!r}, but must be epsilon, v_prediction or sample.")


@torch.no_grad()
def decode(pipe: StableDiffusionInpaintPipeline, latents: torch.Tensor) -> Image.Image:
    """Decode latents (1, 4, h, w) to a picture, as the pipeline does at its end."""
    pixels = pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample  # (1, 3, H, W) in [-1, 1]
    return pipe.image_processor.postprocess(pixels)[0]
