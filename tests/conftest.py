"""A random family of the real model classes, small enough for tests in seconds, and items made of boxes."""

from __future__ import annotations

import json
import os

# The machine that runs the tests may have few cores and no network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import pytest
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

from dp_helpers import catalog, presets

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


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """A folder with inpainting/, clipseg/, clip/ and preset.toml, all weights random."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("family")
    make_pipeline().save_pretrained(folder / "inpainting")
    text = dict(
        vocab_size=len(make_tokenizer()),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        **special_tokens(),
    )
    vision = dict(
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
    )
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(
        folder / "clip"
    )
    processor.save_pretrained(folder / "clip")
    config = CLIPSegConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=8,
        extract_layers=[0, 1],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    CLIPSegForImageSegmentation(config).save_pretrained(folder / "clipseg")
    CLIPSegProcessor(processor, make_tokenizer()).save_pretrained(folder / "clipseg")
    (folder / "preset.toml").write_text(PRESET)
    return folder


@pytest.fixture(scope="session")
def preset(family):
    return presets.load(family / "preset.toml")


def make_tokenizer() -> CLIPTokenizer:
    """Letters, and nothing merged: every word is spelt out unless it is one of WORDS."""
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


def special_tokens() -> dict[str, int]:
    tokenizer = make_tokenizer()
    return {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def make_unet(**changes) -> UNet2DConditionModel:
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
    return DDIMScheduler(
        prediction_type=prediction_type,
        rescale_betas_zero_snr=prediction_type == "v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )


def make_pipeline() -> StableDiffusionInpaintPipeline:
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
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(make_tokenizer()),
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            **special_tokens(),
        )
    )
    return StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=make_tokenizer(),
        unet=make_unet(),
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def product_photo(index: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A red box with a blue spot on white, a little elsewhere in every photo."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((10 + index, 8, 34 + index, 32), fill=(200, 30, 30))
    draw.ellipse((18 + index, 14, 26 + index, 22), fill=(30, 30, 200))
    return image


def make_item(folder, count: int = 3, **info):
    """An item's folder with photos, their own masks, and item.json."""
    (folder / "photos").mkdir(parents=True)
    for index in range(count):
        photo = product_photo(index)
        photo.save(folder / "photos" / f"photo-{index + 1}.png")
        inside = np.asarray(photo).min(axis=2) < 128
        mask = Image.fromarray((inside * 255).astype(np.uint8))
        mask.save(folder / "photos" / f"photo-{index + 1}.mask.png")
    (folder / "item.json").write_text(json.dumps({"title": "Red box", "class_noun": "armchair"} | info))
    return folder


@pytest.fixture
def item_folder(tmp_path):
    return make_item(tmp_path / "red-box")


@pytest.fixture
def item(item_folder):
    return catalog.load_item(item_folder)


@pytest.fixture
def photo():
    """A photo to paint into, wider than high, of random pixels: any change in it shows."""
    pixels = np.random.default_rng(1).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def mask():
    """A mask for `photo`."""
    image = Image.new("L", (90, 70), 0)
    image.paste(255, (30, 20, 60, 55))
    return image
