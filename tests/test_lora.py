"""LoRA: only the matrices learn, the file is the one that diffusers loads, and merging adds them for good."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from safetensors.torch import load_file
from tools.family import SIDE, make_unet

from dp_helpers import denoising, inpaint, models, presets, runs
from dp_helpers.errors import InputError
from dp_helpers.finetune import finetune
from dp_helpers.training import lora


def with_lora(preset, **settings):
    settings = {"lora_rank": 2, "lora_alpha": 6.0, "learning_rate": 0.05, "steps": 4} | settings
    return presets.change(preset, finetune={"mixed_precision": "no", **settings})


@pytest.fixture
def lora_preset(preset):
    return with_lora(preset)


@pytest.fixture(params=["attention", "attention and convolutions"])
def any_preset(preset, request):
    """LoRA on each set of layers that a preset of the package names."""
    source = {"attention": "sd15", "attention and convolutions": "tiny"}[request.param]
    return with_lora(preset, lora_targets=presets.load(source).finetune.lora_targets)


@pytest.fixture
def run(lora_preset, item, tmp_path):
    return finetune(item, item.own_masks, lora_preset, output_dir=tmp_path / "lora", progress=False)


def attached(preset):
    """U-Net and text encoder with matrices that do something."""
    unet, text_encoder, tokenizer, _ = models.load_trainable(preset)
    lora.attach(unet, text_encoder, preset.finetune)
    for module in (unet, text_encoder):
        for name, weight in module.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
    return unet.eval(), text_encoder.eval(), tokenizer


def outputs(unet, text_encoder, tokenizer) -> torch.Tensor:
    sample = torch.randn(1, 9, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        text = text_encoder(models.tokenize(tokenizer, ["a sks mug"]))[0]
        return unet(sample, torch.tensor([500]), text).sample


def pixels(painter, photo, mask, **settings) -> np.ndarray:
    return np.asarray(painter(photo, mask, seed=3, **settings).painted).astype(int)


def test_only_matrices_are_trained(lora_preset):
    unet, text_encoder, _, _ = models.load_trainable(lora_preset)
    before = outputs(unet.eval(), text_encoder.eval(), models.load_trainable(lora_preset)[2])
    lora.attach(unet, text_encoder, lora_preset.finetune)
    for module in (unet, text_encoder):
        trained = {name for name, weight in module.named_parameters() if weight.requires_grad}
        assert trained and all("lora_" in name for name in trained)
    same = outputs(unet, text_encoder, models.load_trainable(lora_preset)[2])
    assert torch.equal(before, same), "before the first step the matrices must change nothing"


def test_diffusers_loads_the_file(any_preset, item, family, tmp_path):
    run = finetune(item, item.own_masks, any_preset, output_dir=tmp_path / "lora", progress=False)
    assert sorted(path.name for path in run.folder.iterdir()) == [lora.FILE, "run.json"]
    pipe = StableDiffusionInpaintPipeline.from_pretrained(family / "inpainting")
    base = outputs(pipe.unet, pipe.text_encoder, pipe.tokenizer)
    pipe.load_lora_weights(run.folder)
    theirs = outputs(pipe.unet, pipe.text_encoder, pipe.tokenizer)
    ours = inpaint.load_painter(any_preset, run, device="cpu").pipe
    torch.testing.assert_close(theirs, outputs(ours.unet, ours.text_encoder, ours.tokenizer))
    assert (theirs - base).abs().max() > 1e-3
    assert {kind for kind, found in pipe.get_list_adapters().items() if found} == {"unet", "text_encoder"}


def test_the_file_holds_what_was_trained_with_alpha_multiplied_in(any_preset):
    """alpha is 3 times the rank here: a loader that knows nothing of alpha must still get the same outputs."""
    unet, text_encoder, tokenizer = attached(any_preset)
    trained = outputs(unet, text_encoder, tokenizer)
    saved = lora.matrices(unet, text_encoder, any_preset.finetune, torch.float32)
    pipe = models.load_pipeline(any_preset, device="cpu")
    lora.load(pipe, saved)
    torch.testing.assert_close(outputs(pipe.unet, pipe.text_encoder, tokenizer), trained, atol=1e-4, rtol=1e-4)
    assert all(name.startswith(("unet.", "text_encoder.text_model.")) for name in saved)


def test_the_file_is_small_and_made_without_a_warning(lora_preset, recwarn):
    unet, text_encoder, _ = attached(lora_preset)
    saved = lora.matrices(unet, text_encoder, lora_preset.finetune, torch.float16)
    whole = sum(weight.numel() for module in (unet, text_encoder) for weight in module.parameters())
    assert sum(value.numel() for value in saved.values()) < whole / 10
    assert all(value.dtype == torch.float16 and value.is_contiguous() for value in saved.values())
    assert not [each for each in recwarn if "config file" in str(each.message)]


def test_a_run_comes_back_the_same(run, lora_preset, photo, mask):
    again = runs.load_run(run.folder)
    assert again.lora.keys() == run.lora.keys() and again.unet is again.text_encoder is None
    assert all(torch.equal(value, again.lora[name]) for name, value in run.lora.items())
    one, other = (inpaint.load_painter(lora_preset, each, device="cpu") for each in (run, run.folder))
    assert (pixels(one, photo, mask) == pixels(other, photo, mask)).all()


def test_scale_at_painting(run, lora_preset, photo, mask):
    base = pixels(inpaint.load_painter(lora_preset, device="cpu"), photo, mask, prompt=run.prompt)
    painter = inpaint.load_painter(lora_preset, run, device="cpu")
    full = pixels(painter, photo, mask)
    assert (full != base).any() and (pixels(painter, photo, mask, lora_scale=0.0) == base).all()
    half = pixels(painter, photo, mask, lora_scale=0.5)
    assert (half != base).any() and (half != full).any()
    assert (pixels(painter, photo, mask) == full).all(), "a scale holds for one painting only"


def test_previews_show_the_scale_that_is_painted(run, lora_preset, photo, mask):
    base, painter = (inpaint.load_painter(lora_preset, each, device="cpu") for each in (None, run))
    wanted = denoising.watch(base, photo, mask, prompt=run.prompt, num_inference_steps=4)[1]
    steps = denoising.watch(painter, photo, mask, lora_scale=0.0, num_inference_steps=4)[1]
    assert [step.image.tobytes() for step in steps] == [step.image.tobytes() for step in wanted]


def test_a_scale_without_lora_is_refused(painter, photo, mask):
    with pytest.raises(InputError, match="no LoRA to scale"):
        painter(photo, mask, lora_scale=0.5)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_merged_weights_paint_as_the_matrices_do(any_preset, item, photo, mask, scale):
    run = finetune(item, item.own_masks, any_preset, progress=False)
    painter = inpaint.load_painter(any_preset, run, device="cpu")
    pipe = models.load_pipeline(any_preset, device="cpu")
    lora.merge(pipe, run.lora, scale)
    assert not any("lora" in name for name, _ in pipe.unet.named_modules())
    merged = pixels(inpaint.Painter(pipe, any_preset, run.prompt), photo, mask)
    assert abs(merged - pixels(painter, photo, mask, lora_scale=scale)).max() <= 1


def test_merging_adds_the_product_of_the_matrices_to_each_weight(any_preset):
    """peft merges. The sum below is the textbook's, of a convolution as well: B is 1 x 1, A as large as the kernel."""
    unet, text_encoder, _ = attached(any_preset)
    saved = lora.matrices(unet, text_encoder, any_preset.finetune, torch.float32)
    pipe = models.load_pipeline(any_preset, device="cpu")
    before = {name: weight.clone() for name, weight in pipe.unet.named_parameters()}
    lora.merge(pipe, saved, 0.5)
    after = dict(pipe.unet.named_parameters())
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    down = {name: value for name, value in saved.items() if name.startswith("unet.") and ".lora_A." in name}
    assert {f"{name[5:].partition('.lora_A.')[0]}.weight" for name in down} == changed
    for name, value in down.items():
        up, target = saved[name.replace("lora_A", "lora_B")], f"{name[5:].partition('.lora_A.')[0]}.weight"
        product = up.flatten(1) @ value.flatten(1)
        wanted = before[target] + 0.5 * product.reshape(before[target].shape)
        torch.testing.assert_close(after[target], wanted, atol=1e-5, rtol=1e-5)


def test_tiny_trains_the_convolutions_as_well(any_preset):
    unet, text_encoder, _ = attached(any_preset)
    found = lora.matrices(unet, text_encoder, any_preset.finetune, torch.float16)
    kernels = {name for name, value in found.items() if value.dim() == 4 and value.shape[-1] == 3}
    assert bool(kernels) == (len(any_preset.finetune.lora_targets) > len(presets.LORA_TARGETS))


def test_a_frozen_text_encoder_gets_no_matrices(lora_preset, item):
    run = finetune(item, item.own_masks, lora_preset, train_text_encoder=False, progress=False)
    assert run.lora and all(name.startswith("unet.") for name in run.lora)


def test_gradient_checkpointing_reaches_the_matrices_of_the_text_encoder(lora_preset, item):
    settings = {"gradient_checkpointing": True, "lora_alpha": None}
    run = finetune(item, item.own_masks, lora_preset, progress=False, **settings)
    moved = [name for name, value in run.lora.items() if "lora_B" in name and value.abs().max() > 0]
    assert any(name.startswith("text_encoder.") for name in moved) and any(name.startswith("unet.") for name in moved)


def test_targets_can_be_chosen_and_must_exist(lora_preset, item):
    run = finetune(item, item.own_masks, lora_preset, steps=1, lora_targets=["conv1", "v_proj", "fc1"], progress=False)
    assert {name.rsplit(".lora_")[0].rsplit(".")[-1] for name in run.lora} == {"conv1", "v_proj", "fc1"}
    pipe = models.load_pipeline(lora_preset, device="cpu")
    lora.load(pipe, run.lora)
    with pytest.raises(InputError, match="names sideways, but no layer"):
        finetune(item, item.own_masks, lora_preset, lora_targets=["to_q", "sideways"], progress=False)
    with pytest.raises(InputError, match="names fc1 of the text encoder"):
        finetune(item, item.own_masks, lora_preset, lora_targets=["to_q", "fc1"], progress=False)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit"])
def test_a_resumed_run_equals_an_undisturbed_one(lora_preset, item, tmp_path, optimizer):
    class Interrupted(Exception):
        pass

    def stop(step, *_):
        if step == 3:
            raise Interrupted

    settings = {"steps": 5, "checkpointing_steps": 1, "optimizer": optimizer}
    whole = finetune(item, item.own_masks, lora_preset, progress=False, **settings)
    options = {"output_dir": tmp_path / "run", **settings}
    with pytest.raises(Interrupted):
        finetune(item, item.own_masks, lora_preset, progress=stop, **options)
    saved = load_file(tmp_path / "run" / "checkpoints" / "step-000002" / "state.safetensors")
    trained = sum(value.numel() for value in whole.lora.values())
    assert sum(value.numel() for value in saved.values()) < 4 * trained, "a checkpoint holds no frozen weight"
    resumed = finetune(item, item.own_masks, lora_preset, resume=True, progress=False, **options)
    assert resumed.losses == whole.losses
    assert all(torch.equal(value, resumed.lora[name]) for name, value in whole.lora.items())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_saved_weights_follow_the_umask(run):
    mask = os.umask(0)
    os.umask(mask)
    assert (run.folder / lora.FILE).stat().st_mode & 0o777 == 0o666 & ~mask


def test_matrices_of_another_base_are_told_in_a_sentence(run, preset):
    pipe = models.load_pipeline(preset, device="cpu", unet=make_unet(block_out_channels=(8, 32)))
    with pytest.raises(InputError, match="LoRA does not fit the layers of this base model") as caught:
        lora.load(pipe, run.lora)
    assert "\n" not in str(caught.value)


def test_targets_that_leave_nothing_to_train_are_refused(lora_preset, item):
    settings = {"lora_targets": ["q_proj"], "train_text_encoder": False}
    with pytest.raises(InputError, match="names q_proj of the text encoder alone, and train_text_encoder=false"):
        finetune(item, item.own_masks, lora_preset, progress=False, **settings)
