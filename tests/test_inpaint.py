"""Painting: photos of any shape, same seed same picture, and not a pixel touched outside the mask."""

import json
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tools.hub_models import make_inpainting

from dp_helpers import denoising, finetune, inpaint, models, presets
from dp_helpers.errors import InputError, Note


@pytest.mark.parametrize("size", [(90, 70), (70, 90), (32, 32), (20, 200), (31, 33)])
@pytest.mark.parametrize("feather", [0.0, 0.2])
def test_outside_the_mask_nothing_changes(painter, size, feather):
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    mask = Image.new("L", size, 0)
    mask.paste(255, (size[0] // 4, size[1] // 4, size[0] * 3 // 4, size[1] * 3 // 4))
    result = painter(Image.fromarray(pixels), mask, feather=feather)
    after, inside = np.asarray(result.image), np.asarray(mask) > 0
    assert after.shape == pixels.shape
    assert (after[~inside] == pixels[~inside]).all()
    assert (after[inside] != pixels[inside]).any()


def test_same_seed_same_picture(painter, photo, mask):
    one, same, other = (np.asarray(painter(photo, mask, seed=seed).image) for seed in (0, 0, 1))
    assert (one == same).all() and (one != other).any()


def test_settings_come_from_the_preset_unless_given(painter, photo, mask):
    parameters = painter(photo, mask, guidance_scale=3).parameters
    assert parameters["guidance_scale"] == 3.0 and parameters["num_inference_steps"] == 2
    assert parameters["prompt"] == "a sks mug" and parameters["seed"] == 0
    assert parameters["negative_prompt"] is None and parameters["resolution"] == 32
    other = inpaint.Painter(painter.pipe, presets.change(painter.preset, inpaint={"crop_scale": 1.2}), "a mug")
    assert other(photo, mask).parameters["crop_scale"] == 1.2
    assert painter(photo, mask).parameters["crop_scale"] == painter.preset.inpaint.crop_scale != 1.2


def test_the_presets_resolution_is_painted(painter, photo, mask):
    small = inpaint.Painter(painter.pipe, presets.change(painter.preset, resolution=16), "a mug")
    result, previews = denoising.watch(small, photo, mask)
    assert result.parameters["resolution"] == 16 and result.painted.size == (16, 16)
    assert {step.image.size for step in previews} == {(16, 16)}


def test_every_setting_reaches_the_pipeline(painter, photo, mask, monkeypatch):
    seen = []

    def pipe(**options):
        seen.append(options)
        return SimpleNamespace(images=[Image.new("RGB", (32, 32))], nsfw_content_detected=None)

    for name in ("unet", "vae_scale_factor", "tokenizer"):
        setattr(pipe, name, getattr(painter.pipe, name))
    settings = {"guidance_scale": 4.0, "num_inference_steps": 7, "strength": 0.5, "eta": 0.3}
    texts = {"prompt": "a sks mug from the left", "negative_prompt": "a photo"}
    inpaint.Painter(pipe, painter.preset)(photo, mask, **texts, **settings)
    assert seen[0] | settings | texts == seen[0]
    assert seen[0]["image"].size == seen[0]["mask_image"].size == (32, 32)


def test_a_painter_without_a_prompt_needs_one(painter, preset, photo, mask):
    bare = inpaint.Painter(painter.pipe, preset)
    with pytest.raises(InputError, match="no prompt of its own"):
        bare(photo, mask)
    assert bare(photo, mask, prompt="a photo").parameters["prompt"] == "a photo"
    assert bare(photo, mask, prompt="").parameters["prompt"] == ""
    assert inpaint.load_painter(preset, device="cpu").prompt is None


def test_the_prompt_of_a_call_wins_and_matters(painter, photo, mask):
    own, other = painter(photo, mask), painter(photo, mask, prompt="a photo of an armchair")
    assert other.parameters["prompt"] == "a photo of an armchair" and painter.prompt == "a sks mug"
    assert (np.asarray(own.painted) != np.asarray(other.painted)).any()


@pytest.mark.parametrize("given", ["run", "folder"])
def test_a_run_brings_its_modules_and_its_prompt(preset, item, photo, mask, painter, tmp_path, given):
    run = finetune.finetune(item, item.own_masks, preset, steps=1, output_dir=tmp_path / "run", progress=False)
    taught = inpaint.load_painter(preset, run if given == "run" else str(tmp_path / "run"), device="cpu")
    taught.pipe.set_progress_bar_config(disable=True)
    assert taught.prompt == "a sks armchair"
    assert taught(photo, mask).parameters["prompt"] == "a sks armchair"
    trained = {name: value.half().float() for name, value in run.unet.state_dict().items()}
    in_pipe, in_base = taught.pipe.unet.state_dict(), painter.pipe.unet.state_dict()
    assert all(torch.equal(value.float(), trained[name]) for name, value in in_pipe.items())
    assert any((value - trained[name]).abs().max() > 1e-4 for name, value in in_base.items())


def test_a_run_of_another_model_is_refused(preset, item, tmp_path):
    run = finetune.finetune(item, item.own_masks, preset, steps=1, output_dir=tmp_path / "run", progress=False)
    run.unet.register_to_config(sample_size=64)
    with pytest.raises(InputError, match="run was fine-tuned with another model than that of preset"):
        inpaint.load_painter(preset, run, device="cpu")


def test_a_model_that_is_not_for_inpainting_is_refused(preset, monkeypatch):
    monkeypatch.setattr(models, "load_config", lambda *_, **__: {"in_channels": 4})
    with pytest.raises(InputError, match="has 4 input channels, but Eq. 2 needs the 9"):
        inpaint.load_painter(preset, device="cpu")


@pytest.mark.parametrize(("strength", "steps"), [(1.0, 4), (0.5, 2)])
def test_progress_can_be_followed(painter, photo, mask, strength, steps):
    seen = []
    options = {"num_inference_steps": 4, "strength": strength}
    painter(photo, mask, **options, progress=lambda step, count: seen.append((step, count)))
    assert seen == [(step + 1, steps) for step in range(steps)]


def test_painting_can_start_from_another_picture(painter, photo, mask):
    settings = {"num_inference_steps": 4, "strength": 0.5}
    rough = Image.new("RGB", photo.size, "red")
    own, same, red = (painter(photo, mask, start=start, **settings) for start in (None, photo, rough))
    assert (np.asarray(own.image) == np.asarray(same.image)).all()
    before, after, inside = np.asarray(photo), np.asarray(red.image), np.asarray(mask) > 0
    assert (after[~inside] == before[~inside]).all() and (after != np.asarray(own.image))[inside].any()
    assert red.parameters["start"] and not own.parameters["start"]


def test_only_what_is_under_the_mask_is_taken_from_the_start(painter, photo, mask):
    settings = {"num_inference_steps": 4, "strength": 0.5}
    around = Image.composite(photo, Image.new("RGB", photo.size, "red"), mask)
    square = inpaint.cut_square(photo, mask, painter.preset.inpaint, 32, painter.pipe.vae_scale_factor)
    seen = inpaint._start_with(around, square, presets.change(painter.preset, inpaint=settings).inpaint)
    outside = np.asarray(square.mask_image) == 0
    assert (np.asarray(seen)[outside] == np.asarray(square.image)[outside]).all()


@pytest.mark.parametrize(
    ("size", "strength", "words"),
    [
        ((90, 70), 1.0, "all noise at strength 1: give a strength below 1"),
        ((90, 71), 0.5, "The start is 90 x 71 pixels but the photo is 90 x 70: make them the same size"),
    ],
)
def test_a_start_that_cannot_be_used_is_refused(painter, photo, mask, size, strength, words):
    with pytest.raises(InputError, match=words):
        painter(photo, mask, start=Image.new("RGB", size), strength=strength, num_inference_steps=4)


def test_a_start_that_is_no_picture_is_refused(painter, photo, mask):
    with pytest.raises(InputError, match="The start is str, but must be a PIL image"):
        painter(photo, mask, start="pasted.png", strength=0.5, num_inference_steps=4)


def test_eta_draws_new_noise_in_each_step(painter, photo, mask):
    none, much = (np.asarray(painter(photo, mask, eta=eta).painted) for eta in (0.0, 0.9))
    assert (none != much).any()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"eta": -0.1}, "inpaint.eta is -0.1"),
        ({"eta": 1.0}, "inpaint.eta is 1.0"),
        ({"num_inference_steps": 2, "strength": 0.3}, "no step"),
        ({"crop_scale": 0.5}, "inpaint.crop_scale is 0.5, but must be between 1 and 10"),
        ({"guidance_scale": float("inf")}, "guidance_scale is inf"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan"),
        ({"guidance_scale": 1000}, "between 0 and 100"),
        ({"num_inference_steps": 2000}, "between 1 and 1000"),
        ({"guidance": 7}, "unknown key 'inpaint.guidance'; accepted are .*guidance_scale"),
        ({"steps": 7}, "unknown key 'inpaint.steps'"),
        ({"num_inference_steps": "many"}, "num_inference_steps is 'many'"),
    ],
)
def test_settings_unknown_or_out_of_range_are_refused(painter, photo, mask, settings, words):
    with pytest.raises(InputError, match=words):
        painter(photo, mask, **settings)


def test_what_progress_raises_ends_the_painting(painter, photo, mask):
    def stop(step: int, steps: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        painter(photo, mask, progress=stop)
    painter(photo, mask)


def test_bad_masks(painter, photo):
    for mask, words in ((Image.new("L", (9, 9), 255), "same size"), (Image.new("L", photo.size, 0), "empty")):
        with pytest.raises(InputError, match=words):
            painter(photo, mask)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_a_photo_of_another_mode_keeps_it(painter, photo, mask, mode):
    given = photo.convert(mode)
    result, outside = painter(given, mask).image, np.asarray(mask) == 0
    assert result.mode == mode and (np.asarray(result)[outside] == np.asarray(given)[outside]).all()
    assert (np.asarray(result)[~outside] != np.asarray(given)[~outside]).any()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", None, True])
def test_odd_seeds_are_refused(painter, photo, mask, seed):
    with pytest.raises(InputError, match="^The seed is .*, but must be a whole number from 0 to 4294967295"):
        painter(photo, mask, seed=seed)


def test_a_prompt_that_is_too_long_is_said(painter, photo, mask):
    with pytest.warns(Note, match="The model reads 10 tokens, but 'a .*' has .*: .*mug.* at its end is not read"):
        painter(photo, mask, prompt="a " * 10 + "mug")
    with pytest.warns(Note, match="at its end is not read"):
        painter(photo, mask, negative_prompt="a " * 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        painter(photo, mask, prompt="a " * 9 + "mug")


def test_a_grey_mask_is_split_as_everywhere(painter, photo):
    grey = Image.new("L", photo.size, 127)
    grey.paste(128, (30, 20, 60, 55))
    changed = (np.asarray(painter(photo, grey).image) != np.asarray(photo)).any(-1)
    inside = np.asarray(grey) >= 128
    assert changed[inside].any() and not changed[~inside].any()


def test_saved_picture_carries_its_parameters(painter, photo, mask, tmp_path):
    result = painter(photo, mask)
    path = inpaint.save_result(result, tmp_path / "new" / "result.png")
    with Image.open(path) as image:
        written = json.loads(image.text["dreampaint"])
        assert written == json.loads(json.dumps(result.parameters)) and written["seed"] == 0  # tuples become lists
        assert image.tobytes() == result.image.tobytes()
    with pytest.raises(InputError, match=".png"):
        inpaint.save_result(result, tmp_path / "result.jpg")


def test_a_picture_that_the_safety_checker_rejects_is_not_pasted(preset, photo, mask, tmp_path):
    folder = make_inpainting(tmp_path / "inpainting", flagging=True)
    chosen = presets.change(preset, models={"inpainting": [str(folder)]})
    strict = inpaint.load_painter(chosen, device="cpu")
    with pytest.raises(
        inpaint.Rejected, match="rejected the picture of seed 3, so nothing was painted.*safety_checker"
    ):
        strict(photo, mask, seed=3, prompt="a mug")
    free = inpaint.load_painter(presets.change(chosen, safety_checker=False), device="cpu")
    painted = free(photo, mask, seed=3, prompt="a mug")
    assert np.asarray(painted.painted).max() > 0
    make_inpainting(tmp_path / "mild")
    mild = presets.change(preset, models={"inpainting": [str(tmp_path / "mild")]})
    checked = inpaint.load_painter(mild, device="cpu")(photo, mask, seed=3, prompt="a mug")
    assert checked.image.size == photo.size


def test_full_memory_is_told(painter, photo, mask, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(painter.pipe.unet, "forward", full)
    with pytest.raises(InputError, match="The memory is full .*: close other programs"):
        painter(photo, mask)
