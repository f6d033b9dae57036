"""Models without weights, built from their configurations: for counts of weights and memory, without a download."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from diffusers import AutoencoderKL, ConfigMixin, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from .. import models
from ..errors import InputError
from ..files import find_data
from ..presets import Preset

PUBLISHED = "published"  # the folder in data/ that holds configurations of models on the Hub


def configuration(preset: Preset, cls: type, subfolder: str) -> dict[str, Any]:
    """Return the configuration of a part of the preset's pipeline: from data/published if it is there.

    Args:
        preset: names the sources.
        cls: diffusers' class of the model or scheduler, or transformers' class of the configuration.
        subfolder: of the part.

    Raises:
        InputError: no source can be read.
    """
    with contextlib.suppress(InputError):  # no data folder: read the sources
        for source in preset.models.inpainting:
            folder = find_data() / PUBLISHED / source / subfolder
            if folder.is_dir():
                return (
                    cls.load_config(folder) if issubclass(cls, ConfigMixin) else cls.from_pretrained(folder).to_dict()
                )
    if issubclass(cls, ConfigMixin):
        return models.load_config(preset, "inpainting", cls, subfolder=subfolder)
    return models.load(preset, "inpainting", cls, subfolder=subfolder).to_dict()


def trainable(preset: Preset) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """Build U-Net and text encoder ready to train, as `models.load_trainable` does, but on the device "meta"."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(configuration(preset, UNet2DConditionModel, "unet"))
        text_encoder = CLIPTextModel(CLIPTextConfig.from_dict(configuration(preset, CLIPTextConfig, "text_encoder")))
    models.ready_to_train(unet, text_encoder, preset)
    return unet, text_encoder


def vae(preset: Preset) -> AutoencoderKL:
    """Build the autoencoder on the device "meta"."""
    with torch.device("meta"):
        return AutoencoderKL.from_config(configuration(preset, AutoencoderKL, "vae")).eval()
