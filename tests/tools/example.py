"""A random Paint by Example of the real classes, small enough for tests in seconds."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.pipelines.deprecated.paint_by_example import PaintByExampleImageEncoder
from transformers import CLIPImageProcessor, CLIPVisionConfig

from tools.family import SIDE, WIDTH, make_pipeline, make_scheduler, make_unet


def make_example_parts(folder: Path) -> dict[str, torch.nn.Module]:
    """Save the parts of a random Paint by Example as the published repository has them, weights as .bin files."""
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=5,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
        projection_dim=WIDTH,
    )
    parts = {"vae": make_pipeline().vae, "unet": make_unet(), "image_encoder": PaintByExampleImageEncoder(config)}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        weights = next((folder / name).glob("*.safetensors"))
        state = {key.replace("model.", "model.vision_model.", 1): value for key, value in part.state_dict().items()}
        state = state if name == "image_encoder" else part.state_dict()
        torch.save(state, folder / name / {"image_encoder": "pytorch_model.bin"}.get(name, f"{weights.stem}.bin"))
    make_scheduler().save_pretrained(folder / "scheduler")
    CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}).save_pretrained(
        folder / "feature_extractor"
    )
    return parts
