"""Fine-tuning: what is trained, with which settings, and what is left of a run that was stopped."""

import gc
import json
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from dp_helpers import models, presets
from dp_helpers.errors import InputError
from dp_helpers.finetune import finetune, load_or_finetune
from dp_helpers.runs import read_record
from dp_helpers.training import loop


def weights(module) -> dict[str, torch.Tensor]:
    return {name: value.float().clone() for name, value in module.state_dict().items()}


def test_both_modules_are_trained(preset, item):
    run = finetune(item, item.own_masks, preset, seed=3, progress=False)
    unet, text_encoder, _, _ = models.load_trainable(preset)
    for before, after in ((unet, run.unet), (text_encoder, run.text_encoder)):
        old, new = weights(before), weights(after)
        assert max((old[name] - new[name]).abs().max() for name in old) > 1e-4
        assert not after.training and not any(value.requires_grad for value in after.parameters())
    assert len(run.losses) == 3 and all(np.isfinite(run.losses))
    assert run.folder is None and run.seconds.keys() == {"encode", "train"}


def test_same_seed_same_result_other_seed_another(preset, item):
    one, same, other = (
        finetune(item, item.own_masks, preset, seed=seed, steps=2, progress=False) for seed in (0, 0, 1)
    )
    assert one.losses == same.losses != other.losses
    assert all(torch.equal(value, same.unet.state_dict()[name]) for name, value in one.unet.state_dict().items())


def test_gradient_checkpointing_and_min_snr_run(preset, item):
    settings = {"gradient_checkpointing": True, "snr_gamma": 5.0, "background_weight": 0.5}
    run = finetune(item, item.own_masks, preset, steps=2, progress=False, **settings)
    assert all(np.isfinite(run.losses))


def test_plain_adamw_can_be_asked_for(preset, item, monkeypatch):
    monkeypatch.setattr("bitsandbytes.optim.AdamW8bit.step", lambda *_, **__: pytest.fail("8-bit Adam took a step"))
    run = finetune(item, item.own_masks, preset, steps=2, optimizer="adamw", progress=False)
    assert all(np.isfinite(run.losses))


def test_settings_given_win_over_the_presets_and_are_checked(preset, item):
    run = finetune(item, item.own_masks, preset, steps=1, learning_rate=2e-3, progress=False)
    assert run.record["preset"]["finetune"]["learning_rate"] == 2e-3
    assert run.record["preset"]["finetune"]["steps"] == 1 == len(run.losses)
    assert preset.finetune.steps == 3
    for settings, words in (({"learning_rate": 0}, "learning_rate is 0.0"), ({"step": 2}, "unknown key")):
        with pytest.raises(InputError, match=words):
            finetune(item, item.own_masks, preset, **settings)


def test_a_run_is_loaded_only_for_the_very_same_call(preset, item, tmp_path):
    def steps_taken(item=item, preset=preset, **options) -> int:
        taken = []
        options = {"steps": 1, "seed": 0, "progress": lambda *step: taken.append(step)} | options
        run = load_or_finetune(item, item.own_masks, preset, tmp_path / "run", **options)
        assert run.record == read_record(tmp_path / "run") | {"preset": run.record["preset"]}
        return len(taken)

    assert steps_taken() == 1
    assert steps_taken() == 0
    assert steps_taken(preset=presets.change(preset, inpaint={"guidance_scale": 2.0})) == 0
    for other in (
        {"seed": 1},
        {"steps": 2},
        {"learning_rate": 1e-4},
        {"preset": presets.change(preset, token="nbsn")},
        {"item": replace(item, class_noun="mug")},
    ):
        assert steps_taken(**other) == other.get("steps", 1)
        assert steps_taken(**other) == 0


def test_progress_can_be_followed(preset, item):
    seen = []
    finetune(item, item.own_masks, preset, steps=2, progress=lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(1, 2), (2, 2)]


def test_a_bar_is_drawn_only_if_asked_for(preset, item, capsys):
    finetune(item, item.own_masks, preset, steps=1, progress=False)
    shown = capsys.readouterr().err
    assert "fine-tune" not in shown and "encode" not in shown
    finetune(item, item.own_masks, preset, steps=1)
    shown = capsys.readouterr().err
    assert "fine-tune: 100%" in shown and "encode: 100%" in shown and "6/6" in shown


def test_the_vae_is_gone_before_the_first_step(preset, item, monkeypatch):
    """On a small GPU the memory of the VAE is needed for training."""
    made, living, real = [], [], models.load_vae

    def load_vae(preset):
        vae = real(preset)
        made.append(weakref.ref(vae))
        return vae

    def look(*_):
        gc.collect()
        living.append(made[0]() is not None)

    monkeypatch.setattr(models, "load_vae", load_vae)
    finetune(item, item.own_masks, preset, steps=1, progress=look)
    assert len(made) == 1 and living == [False]


def test_nothing_is_left_of_a_run_that_was_stopped(preset, item, tmp_path):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(item, item.own_masks, preset, output_dir=tmp_path / "runs" / "x", progress=stop)
    assert not (tmp_path / "runs").exists()


def test_too_little_memory_says_what_to_lower(preset, item, tmp_path):
    def stop(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(InputError, match="batch_size=1 with gradient_accumulation_steps=2") as caught:
        finetune(item, item.own_masks, preset, output_dir=tmp_path / "runs" / "x", progress=stop)
    for way in ("gradient_checkpointing=true", "train_text_encoder=false", "lora_rank=8"):
        assert way in str(caught.value)
    assert "adamw8bit" not in str(caught.value) and not (tmp_path / "runs").exists()
    lean = {"batch_size": 1, "gradient_checkpointing": True, "train_text_encoder": False, "lora_rank": 2}
    with pytest.raises(InputError, match="smaller resolution") as caught:
        finetune(item, item.own_masks, preset, progress=stop, **lean)
    assert "lora_rank" not in str(caught.value)


def test_too_little_memory_keeps_no_tensors(preset, item, monkeypatch):
    """A notebook keeps the last error, and with it all that its traceback holds."""
    held = []

    def stop(bank, **_):
        held.append(weakref.ref(bank.latents))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("dp_helpers.finetune.train", lambda **given: stop(**given))
    with pytest.raises(InputError, match="The memory of the device is too small") as caught:
        finetune(item, item.own_masks, preset, progress=False)
    gc.collect()
    assert caught.value.__cause__ is not None and held[0]() is None


@pytest.mark.parametrize(("precision", "way"), [("no", r"\.$"), ("bf16", r', or set .*="no" \(it is bf16 here')])
def test_a_run_whose_loss_is_not_finite_is_ended_and_not_saved(preset, item, tmp_path, monkeypatch, precision, way):
    real, calls = loop.batch_loss, []

    def failing(*given, **options):
        calls.append(0)
        return real(*given, **options) * (float("nan") if len(calls) == 2 else 1)

    monkeypatch.setattr(loop, "batch_loss", failing)
    told = r"The loss of step 2 is nan, .* the run is not saved: lower finetune.learning_rate \(it is 0.001\)"
    options = {"mixed_precision": precision, "output_dir": tmp_path / "runs" / "x", "progress": False}
    with pytest.raises(InputError, match=told + way):
        finetune(item, item.own_masks, preset, **options)
    assert len(calls) == 2 and not (tmp_path / "runs").exists()


def test_a_foreign_folder_is_refused_before_the_first_step(preset, item, tmp_path):
    (tmp_path / "letters.txt").write_text("dear diary")
    with pytest.raises(InputError, match="other things"):
        finetune(item, item.own_masks, preset, output_dir=tmp_path, progress=lambda *_: pytest.fail("a step was taken"))


@pytest.mark.parametrize("change", ["none", "size", "empty"])
def test_bad_object_masks(preset, item, change):
    object_masks = {
        "none": [],
        "size": [Image.new("L", (9, 9), 255)] * 3,
        "empty": [Image.new("L", (48, 48), 0)] * 3,
    }
    with pytest.raises(InputError, match="object mask"):
        finetune(item, object_masks[change], preset, progress=False)


def test_a_run_of_an_older_version_is_loaded(preset, item, tmp_path):
    """Its record lacks the settings that came later; they were at their defaults."""
    run = finetune(item, item.own_masks, preset, steps=1, output_dir=tmp_path / "run", progress=False)
    for name in ("lora_rank", "prior_weight", "gradient_accumulation_steps", "train_text_encoder"):
        del run.record["preset"]["finetune"][name]
    (tmp_path / "run" / "run.json").write_text(json.dumps(run.record))
    options = {"steps": 1, "progress": lambda *_: pytest.fail("a step was taken")}
    assert load_or_finetune(item, item.own_masks, preset, tmp_path / "run", **options).losses == run.losses
