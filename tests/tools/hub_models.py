"""Tiny random models under the real ids, in the layout of the real repositories as far as it is public."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPImageProcessor

from .family import SIDE, make_pipeline
from .hub_server import Repository

INPAINTING = "stable-diffusion-v1-5/stable-diffusion-inpainting"
MIRROR = "sd-legacy/stable-diffusion-inpainting"
CLIPSEG = "CIDAS/clipseg-rd64-refined"
CLIP = "openai/clip-vit-base-patch32"
CLIP_COMMIT = "d15b5f29721ca72dac15f8526b284be910de18be"


def make_repositories(family: Path, folder: Path) -> dict[str, Repository]:
    """Make the repositories that the preset `sd15` names, from the random family's models."""
    make_inpainting(folder / "inpainting")
    for name in ("clipseg", "clip"):
        shutil.copytree(family / name, folder / name)
        for stray in ("README.md", "tf_model.h5", "flax_model.msgpack", "pytorch_model.bin"):
            (folder / name / stray).write_bytes(b"not for us" * 1000)
    return {
        INPAINTING: Repository(folder / "inpainting", "1" * 40),
        MIRROR: Repository(folder / "inpainting", "2" * 40),
        CLIPSEG: Repository(folder / "clipseg", "3" * 40),
        CLIP: Repository(folder / "clip", CLIP_COMMIT),
    }


def make_checker(flagging: bool) -> StableDiffusionSafetyChecker:
    """Make a safety checker that finds fault with every picture, or with none."""
    size = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    vision = size | {"image_size": SIDE, "patch_size": 8}
    checker = StableDiffusionSafetyChecker(CLIPConfig(text_config=size, vision_config=vision, projection_dim=8))
    checker.concept_embeds_weights.data.fill_(-2.0 if flagging else 2.0)
    checker.special_care_embeds_weights.data.fill_(2.0)
    return checker


def make_inpainting(folder: Path, *, flagging: bool = False) -> Path:
    """Make a pipeline with a safety checker: plain weights as .bin, safetensors in fp16 alone, a huge .ckpt.

    ``flagging``: the safety checker finds fault with every picture.
    """
    pipe, checker = make_pipeline(), make_checker(flagging)
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    pipe.register_modules(safety_checker=checker, feature_extractor=processor)
    pipe.register_to_config(requires_safety_checker=True)
    pipe.save_pretrained(folder)
    for path in folder.rglob("*.safetensors"):
        weights = load_file(path)
        torch.save(weights, path.with_name(path.stem + ".bin"))
        save_file(
            {k: v.half() if v.is_floating_point() else v for k, v in weights.items()},
            path.with_suffix(".fp16.safetensors"),
            {"format": "pt"},
        )
        path.unlink()
    for path in folder.rglob("model.bin"):
        path.rename(path.with_name("pytorch_model.bin"))
    (folder / "sd-v1-5-inpainting.ckpt").write_bytes(b"pickle" * 10_000)
    (folder / "README.md").write_text("Not for us.")
    return folder
