"""Load any model, or one part of it, from the sources that a preset names; tokenize prompts."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
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
from transformers import CLIPTextModel, CLIPTokenizer, PreTrainedConfig, PreTrainedModel

from . import hub, sources
from .device import inference_dtype, is_out_of_memory, layout, mixed_precision, pick_device
from .errors import InputError, note, shorten
from .presets import Preset

Loaded = TypeVar("Loaded")
_shared: dict[tuple, Any] | None = None  # what `shared` keeps
_WITH_WEIGHTS = (ModelMixin, DiffusionPipeline, PreTrainedModel)


def load(preset: Preset, model: str, cls: type[Loaded], **options: Any) -> Loaded:
    """Load a model, or a part of it, from the first of its sources that can be used.

    A model on the Hub is downloaded as a whole, once. Weights are read from safetensors only, be they fp32 or fp16, and
    loaded in fp32 unless ``options`` name another ``torch_dtype``. The one exception are the sources in the preset's
    ``allow_bin``: where they have no safetensors, the library's weights-only reader, which runs no code of the file,
    reads their ``.bin`` files.

    Args:
        preset: names the sources.
        model: a field of `presets.Models`, for example ``"clip"``.
        cls: the library's class with ``from_pretrained``: a model, a pipeline, a tokenizer, a processor.
        options: for ``from_pretrained``, for example ``subfolder="vae"`` for one part of a pipeline.

    Raises:
        InputError: no source can be used, and the message says why for each of them; or the files are damaged.
    """
    part = options.get("subfolder", "")
    # A tokenizer or a processor comes with its model's weights, so that both are of one source.
    source = sources.first(preset, model, part, weights=not issubclass(cls, PreTrainedConfig))
    if issubclass(cls, _WITH_WEIGHTS):
        options = {"torch_dtype": torch.float32, **source.choice.options(part), **options}
    if _shared is None or any(isinstance(option, torch.nn.Module) for option in options.values()):
        return _read(cls.from_pretrained, source, options)
    key = (getattr(preset.models, model), preset.folder, cls, tuple(sorted(options.items())))
    if key not in _shared:
        _shared[key] = _read(cls.from_pretrained, source, options)
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
    """Load the configuration of a part of a pipeline; its weights are not downloaded. Arguments are as for `load`."""
    source = sources.first(preset, model, options.get("subfolder", ""), weights=False)
    return _read(cls.load_config, source, options)


def fingerprint(preset: Preset, *models: str) -> str:
    """Return eight hexadecimal digits that change when the weights of some models, or of all, change.

    They are of the names and contents of the weights in the folders among the sources. Of a Hub id the name alone
    counts.
    """
    digest = hashlib.sha256()
    for model in models or [field.name for field in fields(preset.models)]:
        for source in getattr(preset.models, model):
            folder = sources.folder_of(source, preset)
            digest.update(source.encode())
            for path in sorted(folder.rglob("*.safetensors")) if folder else ():
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
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
    without = {} if preset.safety_checker else {"safety_checker": None, "requires_safety_checker": False}
    pipe = load(preset, "inpainting", StableDiffusionInpaintPipeline, torch_dtype=dtype, **without, **modules)
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
    device = pick_device()
    unet.to(memory_format=layout(mixed_precision(preset.finetune.mixed_precision, device), device))
    return unet, text_encoder, tokenizer, scheduler


def ready_to_train(unet: UNet2DConditionModel, text_encoder: CLIPTextModel, preset: Preset) -> None:
    """Set both modules to training, with gradient checkpointing if the preset asks for it."""
    unet.train()
    text_encoder.train()  # in eval mode gradient checkpointing does nothing for the text encoder
    if preset.finetune.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        with warnings.catch_warnings():  # transformers 5.23 warns that it has a new name, which 5.10 does not know
            warnings.simplefilter("ignore", FutureWarning)
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
                shorten(word)
                for word in prompt.split()
                if tokenizer.unk_token_id in tokenizer(word, **options).input_ids
            ]
            note(f"The model's tokenizer has no letters for {', '.join(map(repr, unknown))}: they are not read.")
        if len(ids) > room:
            shown, lost = shorten(prompt), shorten(tokenizer.decode(ids[room:]).strip())
            note(f"The model reads {room} tokens, but {shown!r} has {len(ids)}: {lost!r} at its end is not read.")


def finish(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """End a model's training: no gradients, eval mode, the given precision, the usual memory layout."""
    model.requires_grad_(False)
    return model.eval().to(dtype=dtype).to(memory_format=torch.contiguous_format)


def _read(read: Callable[..., Any], source: sources.Source, options: dict[str, Any]) -> Any:
    """Return what ``read`` makes of a source's files.

    Raises:
        InputError: the files are damaged, whatever the library calls it.
    """
    if source.choice.pickled and "use_safetensors" in options:
        note(f"{source.name} is read from .bin by the weights-only reader (allow_bin).")
    try:
        return read(str(source.folder), **options)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        place = source.folder / options.get("subfolder", "")
        raise InputError(
            f"The model in {place} cannot be read ({hub.first_line(error)}): delete that folder if it was downloaded, "
            "and run the same again; otherwise put whole files there."
        ) from error
