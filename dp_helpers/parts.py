"""The parts of an inpainting pipeline that training needs, each loaded alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from .errors import InputError
from .presets import Preset, load_first


def load_vae(preset: Preset) -> AutoencoderKL:
    """The frozen autoencoder, in fp32."""
    return load_first(preset, "inpainting", _loader(AutoencoderKL, "vae")).eval().requires_grad_(False)


def load_trainable(preset: Preset):
    """U-Net and text encoder in fp32 and ready to train, tokenizer, and the noise schedule."""
    unet = load_first(preset, "inpainting", _loader(UNet2DConditionModel, "unet"))
    text_encoder = load_first(preset, "inpainting", _loader(CLIPTextModel, "text_encoder"))
    tokenizer = load_first(preset, "inpainting", _loader(CLIPTokenizer, "tokenizer", weights=False))
    scheduler = load_first(preset, "inpainting", _loader(DDPMScheduler, "scheduler", weights=False))
    if unet.config.in_channels != 9:
        raise InputError(
            f"The U-Net of preset {preset.name!r} has {unet.config.in_channels} input channels, but Eq. 2 "
            "needs the 9 of an inpainting model: name one in the preset."
        )
    unet.train()
    text_encoder.train()  # without it gradient checkpointing would do nothing for the text encoder
    if preset.finetune.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        text_encoder.gradient_checkpointing_enable()
    unet.to(memory_format=torch.channels_last)  # a little faster on CPUs and GPUs
    return unet, text_encoder, tokenizer, scheduler


def encode_prompts(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    """Token ids (prompts, model_max_length), padded to full length as the pipeline pads them at inference."""
    return tokenizer(
        prompts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids


def parameter_groups(unet, text_encoder, preset: Preset) -> list[dict]:
    """All weights of both modules, each with its learning rate."""
    rate, text_rate = preset.finetune.learning_rate, preset.finetune.text_encoder_learning_rate
    return [
        {"params": list(unet.parameters()), "lr": rate},
        {"params": list(text_encoder.parameters()), "lr": rate if text_rate is None else text_rate},
    ]


def finish(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """Out of training: no gradients, eval mode, the saved precision, the usual memory layout."""
    model.requires_grad_(False)
    return model.eval().to(dtype=dtype).to(memory_format=torch.contiguous_format)


def _loader(cls: type, subfolder: str, *, weights: bool = True) -> Callable:
    """A loader for presets.load_first of one part of the inpainting pipeline; weights in fp32."""

    def load_from(source: str, **options):
        options = options | {"torch_dtype": torch.float32, "use_safetensors": True} if weights else {}
        return cls.from_pretrained(source, subfolder=subfolder, **options)

    return load_from
