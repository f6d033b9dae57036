"""The committed data: the tiny family loads by the libraries' own loaders, and the pictures are whole."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionInpaintPipeline
from PIL import Image
from transformers import CLIPModel, CLIPSegForImageSegmentation, CLIPSegProcessor

from dp_helpers import catalog, files, inpaint, models, presets, segment
from dp_helpers.evaluation import metrics

DATA = files.find_data()
TINY = DATA / "tiny"
FIGURES = (
    "vae_psnr_db",
    "vae_ssim",
    "clip_class_accuracy",
    "clip_color_accuracy",
    "clip_pattern_accuracy",
    "clipseg_iou_catalog",
    "clipseg_iou_scene",
    "text_class_accuracy",
    "text_color_accuracy",
    "pbe_class_accuracy",
    "pbe_color_accuracy",
)


@pytest.fixture(scope="module")
def preset():
    return presets.load("tiny")


@pytest.fixture(scope="module")
def items():
    return [catalog.load_item(folder) for folder in folders("catalog")]


def folders(kind: str) -> list:
    return sorted(folder for folder in (DATA / kind).iterdir() if folder.is_dir() and folder.name[0] != ".")


def size_mb(paths) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6


def test_the_inpainting_pipeline(preset):
    pipe = StableDiffusionInpaintPipeline.from_pretrained(TINY / "inpainting", use_safetensors=True)
    assert pipe.unet.config.in_channels == 9 and pipe.vae.config.latent_channels == 4
    assert pipe.unet.config.sample_size * pipe.vae_scale_factor == preset.resolution
    assert pipe.safety_checker is None
    assert pipe.text_encoder.config.max_position_embeddings == pipe.tokenizer.model_max_length


def test_the_token_is_one_rare_word(preset):
    tokenizer = models.load_trainable(preset)[2]
    ids = tokenizer(preset.token).input_ids
    assert len(ids) == 3  # between the start and the end
    for item in folders("catalog"):
        title = json.loads((item / "item.json").read_text())["title"]
        assert ids[1] not in tokenizer(title).input_ids


def test_clip_and_clipseg():
    clip = CLIPModel.from_pretrained(TINY / "clip", use_safetensors=True)
    clipseg = CLIPSegForImageSegmentation.from_pretrained(TINY / "clipseg", use_safetensors=True)
    CLIPSegProcessor.from_pretrained(TINY / "clipseg")
    assert clip.config.projection_dim > 0 and clipseg.config.extract_layers


def test_the_parts_of_paint_by_example():
    from diffusers import AutoencoderKL, UNet2DConditionModel

    folder = TINY / "paint-by-example"
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", use_safetensors=True)
    vae = AutoencoderKL.from_pretrained(folder / "vae", use_safetensors=True)
    DDIMScheduler.from_pretrained(folder / "scheduler")
    assert unet.config.in_channels == 2 * vae.config.latent_channels + 1
    assert list((folder / "image_encoder").glob("*.safetensors"))


def test_the_family_is_small_documented_and_measured():
    paths = [path for path in TINY.rglob("*") if path.is_file()]
    assert size_mb(paths) <= 100
    assert not [path for path in paths if path.suffix in (".bin", ".pt", ".ckpt", ".pkl")]
    for model in ("clip", "clipseg", "inpainting", "paint-by-example"):
        assert (TINY / model / "README.md").is_file()
    figures = json.loads((TINY / "figures.json").read_text())
    for name in FIGURES:
        value = figures[name]
        assert np.isfinite(value) and (name == "vae_psnr_db" or 0 <= value <= 1), name


def test_clipseg_finds_the_items_of_the_catalogue(preset, items):
    assert items[0].own_masks == [None] * len(items[0].photos)
    for mask in segment.object_masks(items[0], preset, device="cpu"):
        share = (np.asarray(mask) > 0).mean()
        assert 0.02 < share < 0.9


def test_clip_knows_an_item_from_another(preset, items):
    """Two photos of one item are more alike, on the whole, than photos of two items."""
    vectors = metrics.image_embeddings([photo for item in items for photo in item.photos[:2]], preset)
    alike = vectors @ vectors.T
    same = torch.stack([alike[2 * index, 2 * index + 1] for index in range(len(items))]).mean()
    assert same > alike.mean()


def test_the_base_model_paints_and_keeps_the_rest(preset):
    context = catalog.load_context(folders("contexts")[0])
    mask = next(iter(context.masks.values()))
    painter = inpaint.load_painter(preset, device="cpu")
    result = painter(context.photo, mask, prompt=f"a photo of a {context.fits[0]}", num_inference_steps=4)
    before, after = np.asarray(context.photo), np.asarray(result.image)
    outside = np.asarray(mask) == 0
    assert (before[outside] == after[outside]).all() and (before != after).any()


def test_eta_of_the_preset_gives_numbers_for_any_count_of_steps(preset):
    """At eta 1 DDIM gives none for 39 counts of 1 to 100: this schedule ends in noise alone (diffusers#5969)."""
    scheduler, noise = DDIMScheduler.from_pretrained(TINY / "inpainting/scheduler"), torch.ones(1, 4, 8, 8)
    generator = torch.Generator().manual_seed(0)
    for steps in range(1, 101):
        scheduler.set_timesteps(steps)
        options = {"eta": preset.inpaint.eta, "generator": generator}
        first = scheduler.step(noise, scheduler.timesteps[0], noise, **options).prev_sample
        assert first.isfinite().all(), steps


def test_catalog(items):
    assert len(items) >= 12
    assert len({item.class_noun for item in items}) >= 6
    for item in items:
        assert 5 <= len(item.photos) <= 8, item.name
        assert item.title and len(item.info["size_cm"]) == 3, item.name


def test_contexts():
    contexts = [catalog.load_context(folder) for folder in folders("contexts")]
    assert len(contexts) >= 12
    assert sum(context.kind == "mannequin" for context in contexts) >= 3
    for context in contexts:
        assert {"rectangle", "ellipse", "drawn"} <= context.masks.keys(), context.name
        assert context.fits, context.name


def test_benchmark():
    pairs = folders("benchmark")
    assert len(pairs) >= 24
    for pair in pairs:
        names = json.loads((pair / "pair.json").read_text())
        context = catalog.load_context(DATA / "contexts" / names["context"])
        assert (DATA / "catalog" / names["item"] / "item.json").is_file()
        truth = catalog.load_photo(pair / "truth.png")
        catalog.load_mask(pair / "mask.png", truth.size)
        photo = catalog.load_photo(pair / "photo.png") if (pair / "photo.png").is_file() else context.photo
        assert truth.size == photo.size, pair.name


def test_pictures_are_at_most_15_mb():
    paths = [path for kind in ("catalog", "contexts", "benchmark") for path in (DATA / kind).rglob("*.*")]
    assert size_mb(paths) <= 15
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as image:
                image.verify()
