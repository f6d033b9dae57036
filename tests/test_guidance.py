"""Autoguidance: its arithmetic against plain calls of both models, and a pipeline that is left as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dp_helpers import denoising, guidance, inpaint, models, presets

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tuned(preset):
    """A painter whose U-Net and text encoder are not the base model's, as after fine-tuning."""
    pipe = inpaint.load_painter(preset, device="cpu").pipe
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in (*pipe.unet.parameters(), *pipe.text_encoder.parameters()):
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
    pipe.set_progress_bar_config(disable=True)
    return inpaint.Painter(pipe, preset, "a sks mug", base=guidance.Base(preset, CPU))


@pytest.mark.parametrize(("scale", "halves"), [(1.0, 1), (3.0, 2)])
def test_the_result_is_that_of_the_formula(tuned, preset, scale, halves):
    """Classifier-free guidance plus 4 - 1 times the difference to the base model, by plain calls."""
    pipe, base = tuned.pipe, inpaint.load_painter(preset, device="cpu").pipe
    settings = presets.change(preset, inpaint={"guidance_scale": scale, "autoguidance_scale": 4.0}).inpaint
    sample, ids = torch.randn(1, 9, 16, 16), models.tokenize(pipe.tokenizer, ["", "a sks mug"])
    with torch.no_grad():
        states = pipe.text_encoder(ids)[0]
        empty, strong = (pipe.unet(sample, 500, each[None]).sample for each in states)
        weak = base.unet(sample, 500, base.text_encoder(ids[1:])[0]).sample
        wanted = empty + scale * (strong - empty) + 3 * (strong - weak)
        call = {"encoder_hidden_states": states[-halves:], "return_dict": False}
        inputs = torch.cat([sample] * halves), torch.tensor(500)
        plain = pipe.unet(*inputs, **call)[0]
        with guidance.away_from(tuned.base, pipe, "a sks mug", settings):
            found = pipe.unet(*inputs, **call)[0]
        assert torch.equal(pipe.unet(*inputs, **call)[0], plain)
    if halves == 2:
        found = found[:1] + scale * (found[1:] - found[:1])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_it_acts_inside_its_interval_of_the_timesteps(tuned, preset):
    settings = presets.change(preset, inpaint={"autoguidance_scale": 4.0, "autoguidance_interval": (0.3, 0.8)}).inpaint
    states = torch.randn(2, 12, tuned.pipe.unet.config.cross_attention_dim)
    sample, call = torch.randn(2, 9, 16, 16), {"encoder_hidden_states": states, "return_dict": False}
    changed = {}
    for timestep in (299, 300, 800, 801):
        with torch.no_grad():
            plain = tuned.pipe.unet(sample, timestep, **call)[0]
            with guidance.away_from(tuned.base, tuned.pipe, "a sks mug", settings):
                changed[timestep] = not torch.equal(tuned.pipe.unet(sample, timestep, **call)[0], plain)
    assert changed == {299: False, 300: True, 800: True, 801: False}


def test_a_painting_that_is_stopped_leaves_the_pipeline_as_it_was(tuned, photo, mask):
    before = tuned(photo, mask).painted

    def stop(step, steps):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(photo, mask, autoguidance_scale=5, progress=stop)
    assert np.array_equal(tuned(photo, mask).painted, before)


def test_what_was_not_fine_tuned_is_not_guided(preset, photo, mask):
    """Away from itself, at any scale, is where it is without autoguidance."""
    pipe = inpaint.load_painter(preset, device="cpu").pipe
    same = inpaint.Painter(pipe, preset, "a sks mug", base=guidance.Base(preset, CPU))
    plain = np.asarray(same(photo, mask).painted).astype(int)
    assert abs(np.asarray(same(photo, mask, autoguidance_scale=7).painted) - plain).max() <= 2


def test_a_base_model_that_is_not_needed_is_not_loaded(tuned, preset, photo, mask):
    base = guidance.Base(preset, CPU)
    inpaint.Painter(tuned.pipe, preset, "a sks mug", base=base)(photo, mask)
    assert vars(base).keys() == {"preset", "device"}


def test_what_is_watched_is_guided_alike(tuned, photo, mask):
    settings = {"autoguidance_scale": 4, "num_inference_steps": 4}
    result, steps = denoising.watch(tuned, photo, mask, **settings)
    assert np.array_equal(result.painted, tuned(photo, mask, **settings).painted)
    unguided = denoising.watch(tuned, photo, mask, num_inference_steps=4)[1]
    assert not np.array_equal(steps[0].image, unguided[0].image)
