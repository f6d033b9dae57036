"""Load any model, or one part of it, from the sources that a preset names; tokenize prompts."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import init_empty_weights
from diffusers import (
    AutoencoderKL,
    ConfigMixin,
    DDPMScheduler,
    DiffusionPipeline,
    ModelMixin,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, PreTrainedModel

from .device import inference_dtype, pick_device
from .errors import InputError
from .files import find_data
from .presets import Preset

Loaded = TypeVar("Loaded")
_WITH_WEIGHTS = (ModelMixin, DiffusionPipeline, PreTrainedModel)


def load(preset: Preset, model: str, cls: type[Loaded], **options: Any) -> Loaded:
    """Load a model, or a part of it, from the first of its sources that works.

    Weights are read from safetensors only, in fp32 unless ``options`` name another ``torch_dtype``. The one
    exception are the sources in the preset's ``allow_bin``: where they have no safetensors, the library's
    weights-only reader, which runs no code of the file, reads their ``.bin`` files.

    Args:
        preset: names the sources.
        model: a field of `presets.Models`, for example ``"clip"``.
        cls: the library's class with ``from_pretrained``: a model, a pipeline, a tokenizer, a processor.
        options: for ``from_pretrained``, for example ``subfolder="vae"`` for one part of a pipeline.

    Raises:
        InputError: no source works; the message says why for each of them.
    """
    has_weights = issubclass(cls, _WITH_WEIGHTS)
    if has_weights:
        options = {"torch_dtype": torch.float32, "use_safetensors": True} | options
    return _from_first(preset, model, cls.from_pretrained, options, variants=has_weights)


def load_config(preset: Preset, model: str, cls: type[ConfigMixin], **options: Any) -> dict[str, Any]:
    """Load the configuration of a part of a pipeline, without its weights; the arguments are those of `load`."""
    return _from_first(preset, model, cls.load_config, options, variants=False)


def _from_first(
    preset: Preset, model: str, read: Callable[..., Any], options: dict[str, Any], *, variants: bool
) -> Any:
    """Return what ``read`` returns for the first source that works. ``variants``: on the Hub try fp16 weights, too."""
    failures = []
    for source in getattr(preset.models, model):
        place = _place(source, preset.folder)
        for attempt in _attempts(source, place, preset) if variants else ({},):
            try:
                loaded = read(place, **options | attempt)
            except OSError as error:
                failures.append(f"{source}: {str(error).strip().splitlines()[0]}")
                continue
            if "use_safetensors" in attempt:
                warnings.warn(f"{source}: read from .bin by the weights-only reader (allow_bin).", stacklevel=2)
            return loaded
    raise InputError(
        f"No source of the model {model!r} of preset {preset.name!r} could be loaded "
        f"({'; '.join(dict.fromkeys(failures)) or 'the preset names none'}): "
        "check the connection, or put a folder or another id into a preset file of your own; for weights that are "
        "published as .bin only, name the source in allow_bin there."
    )


def check_sources(preset: Preset, *models: str) -> None:
    """Check that the folders among the sources of some models exist; Hub ids are left alone.

    Raises:
        InputError: a folder is missing.
    """
    for model in models:
        for source in getattr(preset.models, model):
            _place(source, preset.folder)


def fingerprint(preset: Preset, *models: str) -> str:
    """Return eight hexadecimal digits that change when the weights of some models, or of all, change.

    They are of the names and contents of the weights in the folders among the sources. Of a Hub id the name alone
    counts.
    """
    digest = hashlib.sha256()
    for model in models or [field.name for field in fields(preset.models)]:
        for source in getattr(preset.models, model):
            place = Path(_place(source, preset.folder))
            digest.update(source.encode())
            for path in sorted(place.rglob("*.safetensors")):
                digest.update(path.relative_to(place).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def load_pipeline(
    preset: Preset, *, device: str | torch.device | None = None, **modules: torch.nn.Module
) -> StableDiffusionInpaintPipeline:
    """Load the preset's inpainting pipeline, in the precision that is fast on the device.

    Args:
        preset: names the pipeline.
        device: the GPU if there is one, unless given.
        modules: replace the pipeline's own, for example a fine-tuned ``unet`` and ``text_encoder``.
    """
    device = pick_device(device)
    dtype = inference_dtype(device)
    pipe = load(preset, "inpainting", StableDiffusionInpaintPipeline, torch_dtype=dtype, **modules)
    pipe = pipe.to(device=device, dtype=dtype)
    pipe.set_progress_bar_config(desc="inpaint", unit="step", leave=False)
    return pipe


def load_vae(preset: Preset) -> AutoencoderKL:
    """Load the frozen autoencoder in fp32."""
    return load(preset, "inpainting", AutoencoderKL, subfolder="vae").eval().requires_grad_(False)


def load_trainable(
    preset: Preset,
) -> tuple[UNet2DConditionModel, CLIPTextModel, CLIPTokenizer, DDPMScheduler]:
    """Load U-Net and text encoder in fp32 and ready to train, the tokenizer, and the noise schedule.

    Raises:
        InputError: the U-Net does not have the nine input channels of an inpainting model.
    """
    unet = load(preset, "inpainting", UNet2DConditionModel, subfolder="unet")
    text_encoder = load(preset, "inpainting", CLIPTextModel, subfolder="text_encoder")
    tokenizer = load(preset, "inpainting", CLIPTokenizer, subfolder="tokenizer")
    scheduler = load(preset, "inpainting", DDPMScheduler, subfolder="scheduler")
    if unet.config.in_channels != 9:
        raise InputError(
            f"The U-Net of preset {preset.name!r} has {unet.config.in_channels} input channels, but Eq. 2 "
            "needs the 9 of an inpainting model: name one in the preset."
        )
    unet.train()
    text_encoder.train()  # in eval mode gradient checkpointing does nothing for the text encoder
    if preset.finetune.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        # The re-entrant kind gives no gradients to LoRA matrices behind a frozen embedding.
        text_encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    unet.to(memory_format=torch.channels_last)  # a little faster on CPUs and GPUs
    return unet, text_encoder, tokenizer, scheduler


def count_weights(preset: Preset) -> dict[str, int]:
    """Count the weights of U-Net and text encoder from their configurations, without loading a weight."""
    unet_config = load_config(preset, "inpainting", UNet2DConditionModel, subfolder="unet")
    text_config = load(preset, "inpainting", CLIPTextConfig, subfolder="text_encoder")
    with init_empty_weights():
        modules = {"unet": UNet2DConditionModel.from_config(unet_config), "text_encoder": CLIPTextModel(text_config)}
    return {name: sum(weight.numel() for weight in module.parameters()) for name, module in modules.items()}


def tokenize(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    """Return token ids (prompts, model_max_length), padded to full length as the pipeline pads them."""
    return tokenizer(
        prompts,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids


def finish(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """End a model's training: no gradients, eval mode, the given precision, the usual memory layout."""
    model.requires_grad_(False)
    return model.eval().to(dtype=dtype).to(memory_format=torch.contiguous_format)


def _attempts(source: str, place: str, preset: Preset) -> list[dict[str, Any]]:
    """Return the options for from_pretrained to try with a source, one after the other."""
    attempts: list[dict[str, Any]] = [{}]
    if not os.path.isdir(place):  # a Hub id
        attempts.append({"variant": "fp16"})
    if source in preset.allow_bin:
        attempts.append({"use_safetensors": False})
    return attempts


def _place(source: str, folder: Path) -> str:
    """Return a source as from_pretrained takes it. ``data/...`` and ``./...`` are folders, all others Hub ids."""
    if source.startswith("data/"):
        path = find_data() / source.removeprefix("data/")
    elif source.startswith(("./", "../", "/", "~")):
        path = folder / Path(source).expanduser()
    else:
        return source
    if not path.is_dir():
        raise InputError(f"The model folder {path} is missing: check out the whole repository, or run `make tiny`.")
    return str(path)
