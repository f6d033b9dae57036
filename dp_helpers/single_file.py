"""One file of a whole pipeline, under the names of Stable Diffusion's original code: ComfyUI and A1111 read these.

diffusers reads such files (``from_single_file``) and does not write them. The names follow the original U-Net and
autoencoder: input_blocks, middle_block and output_blocks are numbered through all levels, and the autoencoder's
decoder counts its levels from below.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionInpaintPipeline, UNet2DConditionModel
from safetensors.torch import save_file

from .errors import InputError

_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def original_names(pipe: StableDiffusionInpaintPipeline) -> dict[str, torch.Tensor]:
    """Return the weights of U-Net, VAE and text encoder under their original names.

    Raises:
        InputError: the U-Net is built otherwise than Stable Diffusion 1, so the names cannot express it.
    """
    config = pipe.unet.config
    if reason := why_not(config):
        raise InputError(f"{reason}: use the pipeline's folder.")
    unet, vae, text_encoder = (getattr(pipe, name).state_dict() for name in ("unet", "vae", "text_encoder"))
    levels, found = len(pipe.vae.config.block_out_channels), {}
    for name, value in unet.items():
        found[f"model.diffusion_model.{unet_name(name, config.layers_per_block, unet)}"] = value
    for name, value in vae.items():
        new = vae_name(name, levels)
        # The original attention is made of 1 x 1 convolutions.
        is_matrix = "attn_1" in new and value.ndim == 2
        found[f"first_stage_model.{new}"] = value[..., None, None] if is_matrix else value
    for name, value in text_encoder.items():
        found[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = value
    return {name: value.contiguous() for name, value in found.items()}


def why_not(unet_config: Mapping[str, Any]) -> str | None:
    """Return why no single file can be written of a U-Net with this configuration, or None if one can."""
    usual = {"mid_block_type": "UNetMidBlock2DCrossAttn", "resnet_time_scale_shift": "default"}
    for name, value in usual.items():
        if unet_config.get(name, value) != value:
            return (
                f"No single file can be written, because the U-Net has {name} {unet_config[name]!r}, where Stable "
                f"Diffusion's has {value!r}"
            )
    return None


def unet_name(name: str, layers: int, names: Iterable[str]) -> str:
    """Return the original name of one of the U-Net's weights.

    Args:
        name: as diffusers has it.
        layers: ``layers_per_block`` of the configuration.
        names: of all weights; an upsampling layer is numbered by whether attention goes before it.
    """
    block = re.fullmatch(r"(down|up)_blocks\.(\d+)\.([a-z]+)\.(\d+)\.(.*)", name)
    if block is None:
        new = _swap(name, _UNET_ENDS)
        return _swap(new, _UNET_RESNET) if "resnets" in name else new
    way, level, kind, layer, rest = block[1], int(block[2]), block[3], int(block[4]), block[5]
    first = level * (layers + 1)
    if kind == "downsamplers":
        return f"input_blocks.{first + layers + 1}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        attends = any(other.startswith(f"up_blocks.{level}.attentions.") for other in names)
        return f"output_blocks.{first + layers}.{1 + attends}.{rest}"
    place = f"input_blocks.{first + layer + 1}" if way == "down" else f"output_blocks.{first + layer}"
    return f"{place}.1.{rest}" if kind == "attentions" else f"{place}.0.{_swap(rest, _UNET_RESNET)}"


def vae_name(name: str, levels: int) -> str:
    """Return the original name of one of the VAE's weights. ``levels`` is the number of its resolutions."""
    name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets", lambda found: f"up.{levels - 1 - int(found[1])}.block", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda found: f"up.{levels - 1 - int(found[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d+)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    if "mid_block.attentions.0" in name:
        name = _swap(name.replace("mid_block.attentions.0", "mid.attn_1"), _VAE_ATTENTION)
    return name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")


def save(pipe: StableDiffusionInpaintPipeline, path: Path) -> Path:
    """Save a pipeline's weights as one safetensors file under their original names.

    Raises:
        InputError: see `original_names`.
    """
    save_file(original_names(pipe), path, metadata={"format": "pt"})
    return path


def check(path: Path, folder: Path) -> None:
    """Load U-Net and VAE of a single file back with diffusers, and compare them with the pipeline's folder, in fp16.

    Raises:
        RuntimeError: a weight differs, which would be a defect of this module.
    """
    for name, cls in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        saved = cls.from_pretrained(folder / name, torch_dtype=torch.float16).state_dict()
        options = {"config": str(folder), "subfolder": name, "local_files_only": True, "torch_dtype": torch.float16}
        loaded = cls.from_single_file(str(path), **options).state_dict()
        wrong = [key for key, value in saved.items() if key not in loaded or not torch.equal(value, loaded[key])]
        if wrong:
            raise RuntimeError(f"{path}: {len(wrong)} weights of the {name} came back otherwise, first {wrong[0]}.")


def _swap(name: str, names: dict[str, str]) -> str:
    """Replace the first part of ``name`` that ``names`` holds; parts end at dots."""
    for old, new in names.items():
        if (found := f".{name}.".find(f".{old}.")) >= 0:
            return name[:found] + new + name[found + len(old) :]
    return name
