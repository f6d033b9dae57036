"""The training loop: what a step computes, by hand and by the package, for each option."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler

from dp_helpers import models, presets
from dp_helpers.device import mixed_precision, pick_device
from dp_helpers.errors import InputError
from dp_helpers.finetune import finetune
from dp_helpers.training.latents import build_bank
from dp_helpers.training.loop import train
from dp_helpers.training.loss import inpainting_loss, pixel_weight
from dp_helpers.training.optim import make_optimizer, parameter_groups
from dp_helpers.training.step import Prompts, batch_loss, step_generator

PROMPT = "a sks armchair"


@pytest.fixture
def bank(preset, item):
    return build_bank(models.load_vae(preset), item.photos, item.own_masks, preset)


def weights(module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_equal(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def differ(one, other) -> bool:
    one, other = one.state_dict(), other.state_dict()
    return any(not torch.equal(value, other[name]) for name, value in one.items())


def plain_loop(bank, preset):
    """Train as the package did before it had any option: the fixed point that the options must leave alone."""
    settings, device = preset.finetune, pick_device()
    accelerator = Accelerator(mixed_precision=mixed_precision("auto", device), cpu=device.type == "cpu")
    unet, text_encoder, tokenizer, scheduler = models.load_trainable(preset)
    groups = parameter_groups(unet, text_encoder, preset)
    optimizer = make_optimizer(groups, settings.optimizer, weight_decay=settings.weight_decay, device=device)
    schedule = get_scheduler("constant", optimizer, num_warmup_steps=0, num_training_steps=settings.steps)
    unet, text_encoder, optimizer, schedule = accelerator.prepare(unet, text_encoder, optimizer, schedule)
    input_ids, losses = models.tokenize(tokenizer, [PROMPT, ""]).to(device), []
    for step in range(settings.steps):
        seeds = np.random.SeedSequence([0, step]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(seeds[0] >> 1))
        batch = bank.draw(settings.batch_size, generator)
        noise = torch.randn(batch.latents.shape, generator=generator).to(device)
        timesteps = torch.randint(1000, (settings.batch_size,), generator=generator).to(device)
        dropped = torch.rand(settings.batch_size, generator=generator) < settings.prompt_dropout
        rows = input_ids if dropped.any() else input_ids[:1]
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH) if bf16(device) else nullcontext():
            text = text_encoder(rows)[0][dropped.long().to(device)]
            weight = pixel_weight(batch.mask, batch.object_mask, settings.mask_weight, settings.background_weight)
            loss = inpainting_loss(unet, scheduler, batch, text, noise, timesteps, weight=weight)
            accelerator.backward(loss)
        accelerator.clip_grad_norm_([*unet.parameters(), *text_encoder.parameters()], settings.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    return weights(unet), weights(text_encoder), losses


def bf16(device) -> bool:
    return device.type == "cpu" and mixed_precision("auto", device) == "bf16"


def test_without_options_the_loop_is_the_plain_one_bit_for_bit(preset, bank):
    preset = presets.change(preset, finetune={"save_dtype": "float32"})
    unet, text_encoder, losses = plain_loop(bank, preset)
    parts, ours = train(bank, PROMPT, preset, progress=False)
    assert ours == losses
    assert_equal(unet, weights(parts["unet"]))
    assert_equal(text_encoder, weights(parts["text_encoder"]))


def test_accumulated_gradients_are_the_mean_of_the_batches(preset, bank, monkeypatch):
    settings = {"steps": 1, "gradient_accumulation_steps": 3, "mixed_precision": "no"}
    preset, gradients, real = presets.change(preset, finetune=settings), [], Accelerator.clip_grad_norm_

    def record(self, weights, most):
        gradients.append([weight.grad.clone() for weight in weights])
        return real(self, weights, most)

    monkeypatch.setattr(Accelerator, "clip_grad_norm_", record)
    _, losses = train(bank, PROMPT, preset, progress=False)

    unet, text_encoder, tokenizer, scheduler = models.load_trainable(preset)
    prompts = Prompts(text_encoder, models.tokenize(tokenizer, [PROMPT, ""]))
    generator = step_generator(0, 0)
    by_hand = torch.stack([batch_loss(unet, prompts, scheduler, bank, preset, generator) for _ in range(3)]).mean()
    by_hand.backward()
    assert losses == [pytest.approx(by_hand.item(), rel=1e-5)] and len(gradients) == 1
    for found, weight in zip(gradients[0], [*unet.parameters(), *text_encoder.parameters()], strict=True):
        torch.testing.assert_close(found, weight.grad, atol=1e-5, rtol=1e-3)


def test_a_frozen_text_encoder_stays_and_its_embeddings_are_made_once(preset, item, monkeypatch, tmp_path):
    calls, real = [], Prompts.embed
    monkeypatch.setattr(
        Prompts, "embed", lambda self, rows, trained: calls.append(trained) or real(self, rows, trained=trained)
    )
    run = finetune(item, item.own_masks, preset, train_text_encoder=False, output_dir=tmp_path / "run", progress=False)
    assert calls == [False] * 3 and run.text_encoder is None and run.modules.keys() == {"unet"}
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["run.json", "unet"]

    text_encoder, tokenizer = models.load_trainable(preset)[1:3]
    encoded = []
    text_encoder.register_forward_hook(lambda *_: encoded.append(1))
    prompts = Prompts(text_encoder, models.tokenize(tokenizer, [PROMPT, ""]))
    kept = [prompts.embed(torch.tensor([0, 1]), trained=False) for _ in range(3)]
    fresh = prompts.embed(torch.tensor([0, 1]), trained=True)
    assert len(encoded) == 2 and not kept[0].requires_grad and fresh.requires_grad
    torch.testing.assert_close(kept[2], fresh)


def test_from_its_stop_step_on_only_the_unet_is_trained(preset, item):
    def run(steps: int, stop: int | None):
        settings = {"text_encoder_stop_step": stop, "lr_scheduler": "constant", "save_dtype": "float32"}
        return finetune(item, item.own_masks, preset, steps=steps, progress=False, **settings)

    two, stopped, whole = run(2, None), run(4, 2), run(4, None)
    assert_equal(weights(two.text_encoder), weights(stopped.text_encoder))
    assert differ(stopped.text_encoder, whole.text_encoder) and differ(two.unet, stopped.unet)
    assert two.losses == stopped.losses[:2] == whole.losses[:2]


def test_each_module_learns_at_its_own_rate(preset, item):
    run = finetune(item, item.own_masks, preset, text_encoder_learning_rate=0.0, save_dtype="float32", progress=False)
    unet, text_encoder, _, _ = models.load_trainable(preset)
    assert differ(run.unet, unet) and not differ(run.text_encoder, text_encoder)


def test_gradient_checkpointing_computes_both_modules_again(preset, bank):
    """A peer never calls text_encoder.train(), so that gradient checkpointing does nothing for it."""
    preset = presets.change(preset, finetune={"gradient_checkpointing": True, "prompt_dropout": 0.0})
    unet, text_encoder, tokenizer, scheduler = models.load_trainable(preset)
    counts = {"unet": 0, "text": 0}
    for name, layer in (
        ("unet", unet.down_blocks[0].resnets[0].conv1),
        ("text", text_encoder.encoder.layers[0].mlp.fc1),
    ):
        layer.register_forward_hook(lambda *_, name=name: counts.update({name: counts[name] + 1}))
    prompts = Prompts(text_encoder, models.tokenize(tokenizer, [PROMPT, ""]))
    batch_loss(unet, prompts, scheduler, bank, preset, step_generator(0, 0)).backward()
    assert counts == {"unet": 2, "text": 2}


@pytest.mark.parametrize("schedule", presets.SCHEDULES)
def test_every_schedule_of_a_preset_trains(preset, bank, schedule):
    preset = presets.change(preset, finetune={"lr_scheduler": schedule, "lr_warmup_steps": 1, "steps": 2})
    assert all(np.isfinite(train(bank, PROMPT, preset, progress=False)[1]))


def test_the_schedules_are_those_of_diffusers():
    from diffusers.optimization import SchedulerType

    needs_rules = {SchedulerType.PIECEWISE_CONSTANT}
    assert set(presets.SCHEDULES) == {str(kind.value) for kind in SchedulerType if kind not in needs_rules}


def test_gradients_are_clipped(preset, bank, monkeypatch):
    norms, real = [], Accelerator.clip_grad_norm_
    monkeypatch.setattr(Accelerator, "clip_grad_norm_", lambda *given: norms.append(given[2]) or real(*given))
    train(bank, PROMPT, presets.change(preset, finetune={"max_grad_norm": 0.25}), progress=False)
    assert norms == [0.25] * 3


def test_the_bar_tells_the_time_left(preset, bank, capsys):
    train(bank, PROMPT, preset, progress=True)
    last = capsys.readouterr().err.split("\r")[-1]
    assert "fine-tune: 100%" in last and "<00:00" in last and "loss=" in last


def test_a_tracker_that_is_not_there_is_told_before_training(preset, bank, monkeypatch):
    monkeypatch.setattr("dp_helpers.training.loop.get_available_trackers", lambda: [])
    chosen = presets.change(preset, finetune={"report_to": "wandb"})
    with pytest.raises(InputError, match="report_to is 'wandb'"):
        train(bank, PROMPT, chosen, progress=lambda *_: pytest.fail("a step was taken"))


def test_a_tracker_gets_the_loss_of_each_step(preset, bank, monkeypatch, tmp_path):
    logged = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dp_helpers.training.loop.get_available_trackers", lambda: ["tensorboard"])
    monkeypatch.setattr(Accelerator, "init_trackers", lambda self, name, config: logged.append((name, config["steps"])))
    monkeypatch.setattr(Accelerator, "log", lambda self, values, step: logged.append((step, values["loss"])))
    monkeypatch.setattr("accelerate.accelerator.filter_trackers", lambda *_: [])
    _, losses = train(bank, PROMPT, presets.change(preset, finetune={"report_to": "tensorboard"}), progress=False)
    assert logged == [("run", "3"), *enumerate(losses, 1)]


def test_another_precision_in_the_same_process_is_told_in_a_sentence(preset, bank):
    train(bank, PROMPT, presets.change(preset, finetune={"mixed_precision": "no"}), progress=False)
    other = presets.change(preset, finetune={"mixed_precision": "bf16"})
    with pytest.raises(InputError, match="mixed_precision asks for 'bf16' on cpu, but .* restart the kernel"):
        train(bank, PROMPT, other, progress=False)


def test_the_layout_of_the_weights_changes_the_result_by_rounding_only(bank, preset, monkeypatch):
    preset = presets.change(preset, finetune={"mixed_precision": "no"})
    parts, losses = train(bank, PROMPT, preset, progress=False)
    other = {torch.contiguous_format: torch.channels_last, torch.channels_last: torch.contiguous_format}
    used = models.layout
    monkeypatch.setattr(models, "layout", lambda *given: other[used(*given)])
    turned, same = train(bank, PROMPT, preset, progress=False)
    assert losses == pytest.approx(same, rel=1e-4)
    for one, two in zip(parts["unet"].parameters(), turned["unet"].parameters(), strict=True):
        # Adam turns a gradient that is all rounding into a whole step of the rate, so a few weights may differ by it.
        limit = 2 * preset.finetune.steps * preset.finetune.learning_rate
        assert (one - two).abs().max() <= limit and (one - two).abs().mean() < limit / 20
