"""The optimizer: each module with its rate, and 8-bit Adam only where it really works."""

import pytest
import torch

from dp_helpers import presets
from dp_helpers.training import optim

CPU = torch.device("cpu")


def groups() -> list[dict]:
    return [{"params": [torch.nn.Parameter(torch.ones(4))], "lr": 1e-3}]


def test_8bit_adam_works_here_or_falls_back(monkeypatch):
    assert optim.why_no_8bit(CPU) is None
    monkeypatch.setattr(optim, "why_no_8bit", lambda device: "no kernel")
    with pytest.warns(UserWarning, match="no kernel"):
        optimizer = optim.make_optimizer(groups(), weight_decay=0.0, device=CPU)
    assert type(optimizer) is torch.optim.AdamW


def test_8bit_adam_is_taken_and_plain_adamw_can_be_asked_for(recwarn):
    from bitsandbytes.optim import AdamW8bit

    eight = optim.make_optimizer(groups(), "adamw8bit", weight_decay=0.1, device=CPU)
    plain = optim.make_optimizer(groups(), "adamw", weight_decay=0.1, device=CPU)
    assert type(eight) is AdamW8bit and type(plain) is torch.optim.AdamW
    for optimizer in (eight, plain):
        assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["weight_decay"]) == (1e-3, 0.1)
    assert not [each for each in recwarn if "8-bit" in str(each.message)]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda optimizer: None, "not 8-bit"),
        (lambda optimizer: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_build_is_found_out(monkeypatch, step, words):
    from bitsandbytes.optim import AdamW8bit

    monkeypatch.setattr(AdamW8bit, "step", step)
    assert words in optim.why_no_8bit(CPU)


def test_a_step_that_does_nothing_is_found_out(monkeypatch):
    from bitsandbytes.optim import AdamW8bit

    def step(optimizer, real=AdamW8bit.step):
        real(optimizer)
        optimizer.param_groups[0]["params"][0].data.fill_(1)

    monkeypatch.setattr(AdamW8bit, "step", step)
    assert optim.why_no_8bit(CPU) == "its step does nothing"


@pytest.mark.parametrize(("text_rate", "wanted"), [(None, 1e-3), (5e-4, 5e-4), (0, 0)])
def test_each_module_has_its_rate_and_every_weight_is_there(preset, text_rate, wanted):
    chosen = presets.change(preset, finetune={"learning_rate": 1e-3, "text_encoder_learning_rate": text_rate})
    unet, text_encoder = torch.nn.Linear(3, 4), torch.nn.Linear(2, 2, bias=False)
    made = optim.parameter_groups(unet, text_encoder, chosen)
    assert [group["lr"] for group in made] == [1e-3, wanted]
    assert [len(group["params"]) for group in made] == [2, 1]
    assert made[0]["params"][0] is unet.weight and made[1]["params"][0] is text_encoder.weight


def test_frozen_weights_are_in_no_group(preset):
    unet, text_encoder = torch.nn.Linear(3, 4), torch.nn.Linear(2, 2)
    text_encoder.requires_grad_(False)
    unet.bias.requires_grad_(False)
    made = optim.parameter_groups(unet, text_encoder, preset)
    assert [group["params"] for group in made] == [[unet.weight]]
