"""Load any model, or one part of it, from the sources that a preset names; tokenize prompts."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import (
    AutoencoderKL,
    ConfigMixin,
    DDPMScheduler,
    DiffusionPipeline,
    ModelMixin,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer, PreTrainedModel

from .device import inference_dtype, pick_device
from .errors import InputError, note
from .files import find_data
from .presets import Preset

Loaded = TypeVar("Loaded")
_shared: dict[tuple, Any] | None = None  # what `shared` keeps
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
    if _shared is None or any(isinstance(option, torch.nn.Module) for option in options.values()):
        return _from_first(preset, model, cls.from_pretrained, options, variants=has_weights)
    key = (getattr(preset.models, model), preset.folder, cls, tuple(sorted(options.items())))
    if key not in _shared:
        _shared[key] = _from_first(preset, model, cls.from_pretrained, options, variants=has_weights)
    return copy.deepcopy(_shared[key])


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Read each model from disk once in this block. Further loads of it get copies of what was read, on the CPU."""
    global _shared
    _shared = {}
    try:
        yield
    finally:
        _shared = None


def load_config(preset: Preset, model: str, cls: type[ConfigMixin], **options: Any) -> dict[str, Any]:
    """Load the configuration of a part of a pipeline, without its weights; the arguments are those of `load`."""
    return _from_first(preset, model, cls.load_config, options, variants=False)


def _from_first(preset: Preset, model: str, read: Callable, options: dict[str, Any], *, variants: bool) -> Any:
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


def load_trainable(preset: Preset) -> tuple[UNet2DConditionModel, CLIPTextModel, CLIPTokenizer, DDPMScheduler]:
    """Load U-Net and text encoder in fp32 and ready to train, the tokenizer, and the noise schedule.

    Raises:
        InputError: the U-Net does not have the nine input channels of an inpainting model.
    """
    check_unet(preset)
    unet = load(preset, "inpainting", UNet2DConditionModel, subfolder="unet")
    text_encoder = load(preset, "inpainting", CLIPTextModel, subfolder="text_encoder")
    tokenizer = load(preset, "inpainting", CLIPTokenizer, subfolder="tokenizer")
    scheduler = load(preset, "inpainting", DDPMScheduler, subfolder="scheduler")
    ready_to_train(unet, text_encoder, preset)
    unet.to(memory_format=torch.channels_last)  # a little faster on CPUs and GPUs
    return unet, text_encoder, tokenizer, scheduler


def ready_to_train(unet: UNet2DConditionModel, text_encoder: CLIPTextModel, preset: Preset) -> None:
    """Set both modules to training, with gradient checkpointing if the preset asks for it."""
    unet.train()
    text_encoder.train()  # in eval mode gradient checkpointing does nothing for the text encoder
    if preset.finetune.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        # The re-entrant kind gives no gradients to LoRA matrices behind a frozen embedding.
        text_encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def check_unet(preset: Preset, unet: UNet2DConditionModel | None = None) -> None:
    """Check that the preset's U-Net is one for inpainting, and that a fine-tuned one is of its kind.

    Raises:
        InputError: it does not have the nine input channels of Eq. 2, or the fine-tuned one differs from it.
    """
    own = load_config(preset, "inpainting", UNet2DConditionModel, subfolder="unet")
    if own["in_channels"] != 9:
        raise InputError(
            f"The U-Net of preset {preset.name!r} has {own['in_channels']} input channels, but Eq. 2 "
            "needs the 9 of an inpainting model: name one in the preset."
        )
    kind = ("sample_size", "cross_attention_dim")
    if unet is not None and any(own.get(name) != unet.config.get(name) for name in kind):
        raise InputError(
            f"The run was fine-tuned with another model than that of preset {preset.name!r}: "
            "paint with the run's own preset."
        )


def tokenize(tokenizer: CLIPTokenizer, prompts: list[str]) -> torch.Tensor:
    """Return token ids (prompts, model_max_length), padded to full length as the pipeline pads them."""
    say_what_is_not_read(tokenizer, prompts)
    options = {"padding": "max_length", "max_length": tokenizer.model_max_length, "truncation": True}
    return tokenizer(prompts, return_tensors="pt", **options).input_ids


def say_what_is_not_read(tokenizer: CLIPTokenizer, prompts: list[str]) -> None:
    """Tell which words of a prompt the model will not read: those beyond its tokenizer's length, and unknown ones."""
    room = tokenizer.model_max_length - 2  # the first and the last token mark start and end
    for prompt in prompts:
        options = {"add_special_tokens": False, "truncation": False, "verbose": False}
        ids = tokenizer(prompt, **options).input_ids
        if tokenizer.unk_token_id in ids:
            unknown = [
                word for word in prompt.split() if tokenizer.unk_token_id in tokenizer(word, **options).input_ids
            ]
            note(f"The model's tokenizer has no letters for {', '.join(map(repr, unknown))}: they are not read.")
        if len(ids) > room:
            lost = tokenizer.decode(ids[room:]).strip()
            note(f"The model reads {room} tokens, but {prompt!r} has {len(ids)}: {lost!r} at its end is not read.")


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
