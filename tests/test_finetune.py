"""Fine-tuning: what is trained, that it is saved whole, and that any diffusers program can load it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SIDE, TOKENS
from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel

from dp_helpers import bank, masks, optim, parts, runs
from dp_helpers.errors import InputError
from dp_helpers.finetune import finetune, load_or_finetune


@pytest.fixture(scope="module")
def tuned(preset, tmp_path_factory):
    from conftest import make_item

    from dp_helpers import catalog

    folder = tmp_path_factory.mktemp("tuned")
    item = catalog.load_item(make_item(folder / "red-box"))
    return finetune(
        item, item.own_masks, preset, seed=3, output_dir=folder / "runs" / "red-box", progress=False
    )


def weights(module) -> dict[str, torch.Tensor]:
    return {name: value.float().clone() for name, value in module.state_dict().items()}


def test_both_modules_are_trained(preset, tuned):
    unet, text_encoder, _, _ = parts.load_trainable(preset)
    assert unet.training and text_encoder.training
    assert {value.dtype for value in unet.parameters()} == {torch.float32}
    for before, after in ((unet, tuned.unet), (text_encoder, tuned.text_encoder)):
        old, new = weights(before), weights(after)
        assert max((old[name] - new[name]).abs().max() for name in old) > 1e-4
        assert not after.training
    assert len(tuned.losses) == 3 and all(np.isfinite(tuned.losses))


def test_prompts_are_padded_to_full_length(preset):
    _, _, tokenizer, _ = parts.load_trainable(preset)
    ids = parts.encode_prompts(tokenizer, ["a sks armchair", "", "a " * 40])
    assert ids.shape == (3, TOKENS)
    assert (ids[1, 1:] == tokenizer.pad_token_id).all()


def test_a_saved_run_comes_back_the_same(tuned):
    again = runs.load_run(tuned.folder)
    assert (
        (again.prompt, again.class_noun) == (tuned.prompt, tuned.class_noun) == ("a sks armchair", "armchair")
    )
    for one, other in ((tuned.unet, again.unet), (tuned.text_encoder, again.text_encoder)):
        assert one.dtype == other.dtype == torch.float16
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_run_json_says_how_it_was_made(tuned):
    settings = json.loads((tuned.folder / "run.json").read_text())
    assert settings["seed"] == 3 and settings["steps"] == 3 and len(settings["losses"]) == 3
    assert settings["preset"]["finetune"]["learning_rate"] == 1e-3
    assert settings["item"]["photos"] == ["photo-1.png", "photo-2.png", "photo-3.png"]
    assert {"torch", "diffusers", "bitsandbytes"} <= settings["versions"].keys()


def test_plain_diffusers_loads_a_run(tuned, family):
    unet = UNet2DConditionModel.from_pretrained(tuned.folder / "unet", torch_dtype=torch.float32)
    text_encoder = CLIPTextModel.from_pretrained(tuned.folder / "text_encoder", torch_dtype=torch.float32)
    pipe = StableDiffusionInpaintPipeline.from_pretrained(
        family / "inpainting", unet=unet, text_encoder=text_encoder
    )
    pipe.set_progress_bar_config(disable=True)
    image, mask = Image.new("RGB", (SIDE, SIDE), "grey"), Image.new("L", (SIDE, SIDE), 255)
    out = pipe(tuned.prompt, image, mask, height=SIDE, width=SIDE, num_inference_steps=1).images[0]
    assert out.size == (SIDE, SIDE)


def test_only_safetensors_and_nothing_half_written(tuned):
    files = sorted(
        path.relative_to(tuned.folder).as_posix() for path in tuned.folder.rglob("*") if path.is_file()
    )
    assert files == [
        "run.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    assert [path.name for path in tuned.folder.parent.iterdir()] == ["red-box"]


def test_same_seed_same_result_other_seed_another(preset, item):
    one, same, other = (
        finetune(item, item.own_masks, preset, seed=seed, steps=2, progress=False) for seed in (0, 0, 1)
    )
    assert one.losses == same.losses != other.losses
    assert all(
        torch.equal(value, same.unet.state_dict()[name]) for name, value in one.unet.state_dict().items()
    )


def test_gradient_checkpointing_and_min_snr_run(preset, item):
    numbers = replace(preset.finetune, gradient_checkpointing=True, snr_gamma=5.0, background_weight=0.5)
    tuned = finetune(item, item.own_masks, replace(preset, finetune=numbers), steps=2, progress=False)
    assert all(np.isfinite(tuned.losses))


def test_plain_adamw_can_be_asked_for(preset, item):
    numbers = replace(preset.finetune, optimizer="adamw")
    tuned = finetune(item, item.own_masks, replace(preset, finetune=numbers), steps=2, progress=False)
    assert all(np.isfinite(tuned.losses))


def test_the_learning_rate_can_be_chosen(preset, item):
    tuned = finetune(item, item.own_masks, preset, steps=1, learning_rate=2e-3, progress=False)
    assert tuned.settings["preset"]["finetune"]["learning_rate"] == 2e-3
    assert tuned.settings["preset"]["finetune"]["steps"] == 1
    with pytest.raises(InputError, match="learning rate is 0"):
        finetune(item, item.own_masks, preset, learning_rate=0)


def test_a_run_is_loaded_only_for_the_very_same_call(preset, item, tmp_path):
    def steps_taken(item=item, preset=preset, **options) -> int:
        taken = []
        options = {"steps": 1, "seed": 0} | options
        load_or_finetune(item, item.own_masks, preset, tmp_path / "run", **options, progress=lambda *step: taken.append(step))
        return len(taken)

    assert steps_taken() == 1
    assert steps_taken() == 0
    assert steps_taken(preset=replace(preset, inpaint=replace(preset.inpaint, guidance_scale=2.0))) == 0
    for other in (
        {"seed": 1},
        {"steps": 2},
        {"learning_rate": 1e-4},
        {"preset": replace(preset, token="nbsn")},
        {"item": replace(item, class_noun="mug")},
    ):
        assert steps_taken(**other) == other.get("steps", 1)
        assert steps_taken(**other) == 0


def test_progress_can_be_followed(preset, item):
    seen = []
    finetune(item, item.own_masks, preset, steps=2, progress=lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(1, 2), (2, 2)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, torch.OutOfMemoryError])
def test_nothing_is_left_of_a_run_that_was_stopped(preset, item, tmp_path, error):
    def stop(*_):
        raise error

    with pytest.raises(error):
        finetune(item, item.own_masks, preset, output_dir=tmp_path / "runs" / "x", progress=stop)
    assert not (tmp_path / "runs").exists()


def test_an_old_run_stays_until_the_new_one_is_whole(tuned, tmp_path, monkeypatch):
    folder = runs.save_run(replace(tuned), tmp_path / "run")
    before = (folder / "run.json").stat().st_mtime_ns
    monkeypatch.setattr(UNet2DConditionModel, "save_pretrained", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runs.save_run(replace(tuned), folder)
    assert (folder / "run.json").stat().st_mtime_ns == before and (folder / "unet").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_foreign_folder_is_not_overwritten(preset, item, tmp_path):
    (tmp_path / "letters.txt").write_text("dear diary")
    with pytest.raises(InputError, match="other things"):
        finetune(item, item.own_masks, preset, output_dir=tmp_path, progress=False)


@pytest.mark.parametrize("change", ["none", "size", "empty"])
def test_bad_object_masks(preset, item, change):
    masks = {
        "none": [],
        "size": [Image.new("L", (9, 9), 255)] * 3,
        "empty": [Image.new("L", (48, 48), 0)] * 3,
    }
    with pytest.raises(InputError, match="object mask"):
        finetune(item, masks[change], preset, progress=False)


def test_views_move_photo_and_mask_alike_and_cut_nothing(preset, item):
    numbers = replace(preset.finetune, augment_scale=(0.5, 0.9), augment_shift=1.0, augment_flip=True)
    rng = np.random.default_rng(0)
    for mirrored in (False, True):
        for photo, mask in zip(item.photos, item.own_masks, strict=True):
            view, shape = bank.draw_view(
                photo, mask, replace(preset, finetune=numbers), rng, mirrored=mirrored
            )
            dark = np.asarray(view).min(axis=2) < 100
            inside = np.asarray(shape) > 0
            assert view.size == shape.size == (SIDE, SIDE)
            assert (dark & inside).sum() > 0.85 * max(dark.sum(), inside.sum())
            left, top, right, bottom = shape.getbbox()
            assert 0.5 - 3 / SIDE <= max(right - left, bottom - top) / SIDE <= 0.9 + 2 / SIDE
            x0, y0, x1, y1 = mask.getbbox()  # of the same proportions: nothing was cut off
            assert abs((right - left) * (y1 - y0) - (bottom - top) * (x1 - x0)) <= 3 * max(x1 - x0, y1 - y0)


def test_a_new_background_leaves_the_product_as_it_is(preset, item):
    photo, mask = item.photos[0], item.own_masks[0]

    def view(share: float):
        numbers = replace(preset.finetune, augment_scale=(0.8, 0.8), augment_shift=0.0, augment_background=share)
        chosen = replace(preset, finetune=numbers)
        return (np.asarray(image).astype(int) for image in bank.draw_view(photo, mask, chosen, np.random.default_rng(1)))

    (plain, shape), (other, other_shape) = view(0.0), view(1.0)
    inside = np.asarray(masks.grow(Image.fromarray(shape.astype(np.uint8)), -2)) > 0
    outside = np.asarray(masks.grow(Image.fromarray(shape.astype(np.uint8)), 2)) == 0
    assert (shape == other_shape).all() and inside.any() and outside.any()
    assert abs(plain - other)[inside].max() <= 3
    assert abs(plain - other)[outside].mean() > 10


def test_a_new_background_keeps_the_thin_parts_of_a_mask_drawn_by_hand(preset):
    photo, mask = Image.new("RGB", (SIDE, SIDE), "white"), Image.new("L", (SIDE, SIDE), 0)
    thin = (SIDE // 2, SIDE // 10, SIDE // 2 + 2, SIDE - SIDE // 10)  # a lamp's pole
    photo.paste("black", thin)
    mask.paste(255, thin)
    numbers = replace(preset.finetune, augment_scale=(0.8, 0.8), augment_shift=0.0, augment_background=1.0)
    chosen = replace(preset, finetune=numbers)
    view, shape = bank.draw_view(photo, mask, chosen, np.random.default_rng(1))
    assert np.asarray(view.crop(shape.getbbox())).mean() < 100


def test_bank_pairs_belong_together(preset, item):
    made = bank.build_bank(parts.load_vae(preset), item.photos, item.own_masks, preset, seed=0)
    assert len(made.latents) == 6 and len(made.view) == 12  # 4 views asked for, a whole number for each photo
    batch = made.draw(5, torch.Generator().manual_seed(0))
    assert batch.latents.shape == batch.masked_image_latents.shape == (5, 4, SIDE // 4, SIDE // 4)
    assert batch.mask.shape == batch.object_mask.shape == (5, 1, SIDE // 4, SIDE // 4)
    assert set(batch.mask.unique().tolist()) <= {0.0, 1.0}


def test_8bit_adam_works_here_or_falls_back(monkeypatch):
    groups = [{"params": [torch.nn.Parameter(torch.ones(4))], "lr": 1e-3}]
    assert optim.why_no_8bit(torch.device("cpu")) is None
    monkeypatch.setattr(optim, "why_no_8bit", lambda device: "no kernel")
    with pytest.warns(UserWarning, match="no kernel"):
        optimizer = optim.make_optimizer(groups, weight_decay=0.0, device=torch.device("cpu"))
    assert type(optimizer) is torch.optim.AdamW
