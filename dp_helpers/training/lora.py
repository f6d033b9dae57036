"""LoRA (arXiv 2106.09685) through peft: small matrices next to the frozen layers of U-Net and text encoder.

A run with ``lora_rank`` in the preset trains and saves these matrices only. At the size of Stable Diffusion they take
a few megabytes, where the whole weights take 2 GB. The one file has the names that diffusers'
``load_lora_weights`` reads. The factor lora_alpha / lora_rank is multiplied into the matrices before they are saved,
so the file needs no record of it.
"""

from __future__ import annotations

import torch
from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict
from transformers import CLIPTextModel

from ..device import is_out_of_memory
from ..errors import InputError
from ..hub import first_line
from ..presets import LORA_TARGETS, Finetune

FILE = "pytorch_lora_weights.safetensors"  # the name under which load_lora_weights looks for it in a folder


def attach(unet: UNet2DConditionModel, text_encoder: CLIPTextModel, settings: Finetune, *, seed: int = 0) -> None:
    """Freeze both modules and attach trainable LoRA matrices; to the text encoder only if it is trained.

    Args:
        unet, text_encoder: in fp32.
        settings: rank, alpha and targets.
        seed: of the first values. The product of two matrices is zero at first.

    Raises:
        InputError: a target is the name of no layer, or no layer that is trained has one of the names.
    """
    missing = set(settings.lora_targets)
    for module in (unet, text_encoder):
        module.requires_grad_(False)
        names = [name for name, _ in module.named_modules()]
        targets = [each for each in settings.lora_targets if any(f".{name}".endswith(f".{each}") for name in names)]
        missing -= set(targets)
        if not targets or (module is text_encoder and not settings.train_text_encoder):
            continue
        if module is text_encoder and not set(targets) & set(LORA_TARGETS):
            raise InputError(
                f"finetune.lora_targets names {', '.join(targets)} of the text encoder, but diffusers loads them only "
                "next to matrices of its attention: add q_proj, or set train_text_encoder=false."
            )
        alpha = settings.lora_alpha or settings.lora_rank
        config = LoraConfig(
            r=settings.lora_rank, lora_alpha=alpha, target_modules=targets, init_lora_weights="gaussian"
        )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            module.add_adapter(config)
    if not missing and not any(getattr(module, "peft_config", None) for module in (unet, text_encoder)):
        raise InputError(
            f"finetune.lora_targets names {', '.join(settings.lora_targets)} of the text encoder alone, and "
            "train_text_encoder=false leaves nothing to train: add a layer of the U-Net, for example to_q."
        )
    if missing:
        raise InputError(
            f"finetune.lora_targets names {', '.join(sorted(missing))}, but no layer of U-Net or text encoder has a "
            "name that ends so: name others, for example to_q."
        )


def matrices(
    unet: UNet2DConditionModel, text_encoder: CLIPTextModel, settings: Finetune, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Return the attached matrices under the names of a LoRA file, lora_alpha / lora_rank multiplied in."""
    factor, found = (settings.lora_alpha or settings.lora_rank) / settings.lora_rank, {}
    for prefix, module in (("unet", unet), ("text_encoder", text_encoder)):
        if getattr(module, "peft_config", None):
            for name, value in get_peft_model_state_dict(module, save_embedding_layers=False).items():
                if module is text_encoder and not name.startswith("text_model."):
                    name = f"text_model.{name}"  # published files have the name that transformers gave up in 5.6
                scaled = value.detach().float() * (factor if "lora_B" in name else 1)
                found[f"{prefix}.{name}"] = scaled.to("cpu", dtype).contiguous()
    return found


def load(pipe: StableDiffusionInpaintPipeline, lora: dict[str, torch.Tensor]) -> None:
    """Load the matrices of a LoRA file into a pipeline.

    Raises:
        InputError: they do not fit its layers.
    """
    try:
        pipe.load_lora_weights(dict(lora))  # it empties the dictionary that it is given
    except (RuntimeError, ValueError) as error:  # of torch for another size, of peft where no layer has the name
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"The run's LoRA does not fit the layers of this base model ({first_line(error).rstrip(':')}): take the "
            "base model that the run was fine-tuned on."
        ) from error


def merge(pipe: StableDiffusionInpaintPipeline, lora: dict[str, torch.Tensor], scale: float = 1.0) -> None:
    """Add the matrices of a LoRA file, times ``scale``, to the pipeline's own weights for good."""
    load(pipe, lora)
    pipe.fuse_lora(lora_scale=scale)
    pipe.unload_lora_weights()
