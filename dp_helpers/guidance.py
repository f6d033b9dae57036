"""Autoguidance: lead a painting away from the base model, so that what the fine-tuning changed counts more.

Classifier-free guidance (arXiv 2207.12598) leads away from the model's own prediction for the empty prompt. A model
that was fine-tuned on one product paints the product for any prompt, so the two predictions hardly differ. Autoguidance
(arXiv 2406.02507) leads away from a weaker model instead. Here that is the base model, which does not know the product.
It may act in an interval of the timesteps only (arXiv 2404.07724 on classifier-free guidance): at high noise it can
blow up one part of the product, and at low noise it frays edges.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel
from transformers import CLIPTextModel

from . import models
from .device import inference_dtype
from .presets import Inpaint, Preset


@dataclass
class Base:
    """The base model of a preset, on a device. It is loaded when it is first needed."""

    preset: Preset
    device: torch.device

    @cached_property
    def unet(self) -> UNet2DConditionModel:
        return self._load(UNet2DConditionModel, "unet")

    @cached_property
    def text_encoder(self) -> CLIPTextModel:
        return self._load(CLIPTextModel, "text_encoder")

    def _load(self, cls: type, part: str) -> torch.nn.Module:
        dtype = inference_dtype(self.device)
        return models.load(self.preset, "inpainting", cls, subfolder=part, torch_dtype=dtype).to(self.device).eval()


@contextlib.contextmanager
def away_from(
    base: Base | None, pipe: StableDiffusionInpaintPipeline, prompt: str, settings: Inpaint
) -> Iterator[None]:
    """Add autoguidance to what the pipeline's U-Net predicts for a prompt, on top of classifier-free guidance.

    Each prediction moves by ``autoguidance_scale`` - 1 times its difference to the base model's, where its timestep is
    inside ``autoguidance_interval``, as a share of the scheduler's timesteps.

    Args:
        base: the base model. None: nothing changes.
        pipe: calls its U-Net with the prompt's half last.
        prompt: for the base model.
        settings: supplies the two above and ``guidance_scale``.
    """
    if base is None or settings.autoguidance_scale == 1:
        yield
        return
    low, high = (share * pipe.scheduler.config.num_train_timesteps for share in settings.autoguidance_interval)
    doubled = settings.guidance_scale > 1  # as the pipeline decides
    weight = (settings.autoguidance_scale - 1) / (settings.guidance_scale if doubled else 1)  # the pipeline multiplies
    with torch.no_grad():
        states = base.text_encoder(models.tokenize(pipe.tokenizer, [prompt]).to(base.device))[0]

    def push(_unet, args: tuple, output: tuple) -> tuple[torch.Tensor] | None:
        sample, timestep = args
        if not low <= timestep <= high:
            return None
        others, strong = output[0].chunk(2) if doubled else (output[0][:0], output[0])
        weak = base.unet(sample[-len(strong) :], timestep, encoder_hidden_states=states, return_dict=False)[0]
        return (torch.cat([others, strong + weight * (strong - weak)]),)

    hook = pipe.unet.register_forward_hook(push)
    try:
        yield
    finally:
        hook.remove()
