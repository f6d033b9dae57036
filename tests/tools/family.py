"""A random family of the real model classes, small enough for tests in seconds, and items made of boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInpaintPipeline, UNet2DConditionModel
from PIL import Image, ImageDraw
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
)

SIDE = 32  # pixels
TOKENS = 12
WIDTH = 16
WORDS = ("a", "photo", "of", "sks", "armchair", "mug")

PRESET = f"""
resolution = {SIDE}
token = "sks"
[models]
inpainting = ["./inpainting"]
clipseg = ["./clipseg"]
clip = ["./clip"]
[segment]
threshold = 0.4
smooth = 0.02
[finetune]
steps = 3
batch_size = 2
learning_rate = 1e-3
prompt_dropout = 0.2
mask_weight = 2.0
views = 4
masks_per_view = 2
augment_scale = [0.8, 1.0]
augment_shift = 1.0
[inpaint]
num_inference_steps = 2
"""


def make_family(folder: Path) -> Path:
    """Fill a folder with inpainting/, clipseg/, clip/ and preset.toml. All weights are random."""
    torch.manual_seed(0)
    make_pipeline().save_pretrained(folder / "inpainting")
    vision = dict(
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
    )
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    clip = CLIPConfig(text_config=_text(), vision_config=vision, projection_dim=8)
    CLIPModel(clip).save_pretrained(folder / "clip")
    processor.save_pretrained(folder / "clip")
    clipseg = CLIPSegConfig(
        text_config=_text(),
        vision_config=vision,
        projection_dim=8,
        extract_layers=[0, 1],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    CLIPSegForImageSegmentation(clipseg).save_pretrained(folder / "clipseg")
    CLIPSegProcessor(processor, make_tokenizer()).save_pretrained(folder / "clipseg")
    (folder / "preset.toml").write_text(PRESET)
    return folder


def make_tokenizer() -> CLIPTokenizer:
    """Make a tokenizer that spells every word out, letter by letter, unless it is one of WORDS."""
    letters = [chr(code) for code in range(33, 127)]
    merges, tokens = [], dict.fromkeys([*letters, *(letter + "</w>" for letter in letters)])
    for word in WORDS:
        piece = word[0] if len(word) > 1 else word + "</w>"
        for index, letter in enumerate(word[1:], 2):
            ending = "</w>" if index == len(word) else ""
            if (piece, letter + ending) not in merges:
                merges.append((piece, letter + ending))
            piece += letter + ending
            tokens[piece] = None
    tokens |= dict.fromkeys(["<|startoftext|>", "<|endoftext|>"])
    vocab = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=TOKENS)


def make_unet(**changes) -> UNet2DConditionModel:
    """Make a U-Net of nine input channels, unless ``changes`` say otherwise."""
    options = dict(
        sample_size=SIDE // 4,
        in_channels=9,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    return UNet2DConditionModel(**(options | changes))


def make_scheduler(prediction_type: str = "v_prediction") -> DDIMScheduler:
    """Make a scheduler; that of v-prediction ends in pure noise."""
    return DDIMScheduler(
        prediction_type=prediction_type,
        rescale_betas_zero_snr=prediction_type == "v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )


def make_pipeline() -> StableDiffusionInpaintPipeline:
    """Make an inpainting pipeline that paints squares of SIDE pixels."""
    vae = AutoencoderKL(
        latent_channels=4,
        block_out_channels=(8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        sample_size=SIDE,
        scaling_factor=1.0,
    )
    return StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(CLIPTextConfig(**_text())),
        tokenizer=make_tokenizer(),
        unet=make_unet(),
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def product_photo(index: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """Draw a red box with a blue spot on white, at a slightly different place in every photo."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((10 + index, 8, 34 + index, 32), fill=(200, 30, 30))
    draw.ellipse((18 + index, 14, 26 + index, 22), fill=(30, 30, 200))
    return image


def make_item(folder: Path, count: int = 3, **info) -> Path:
    """Make an item's folder with photos, their own masks, and item.json."""
    (folder / "photos").mkdir(parents=True)
    for index in range(count):
        photo = product_photo(index)
        photo.save(folder / "photos" / f"photo-{index + 1}.png")
        inside = np.asarray(photo).min(axis=2) < 128
        mask = Image.fromarray((inside * 255).astype(np.uint8))
        mask.save(folder / "photos" / f"photo-{index + 1}.mask.png")
    (folder / "item.json").write_text(json.dumps({"title": "Red box", "class_noun": "armchair"} | info))
    return folder


def _text() -> dict[str, int]:
    """Return the configuration of a text encoder."""
    tokenizer = make_tokenizer()
    return dict(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
