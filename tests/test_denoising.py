"""Previews of the denoising steps: the library's own formulas, and a painting that they leave alone."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from PIL import Image
from tools.family import SIDE

from dp_helpers import denoising
from dp_helpers.errors import InputError


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_the_clean_latents_are_the_librarys(kind):
    scheduler = DDIMScheduler(prediction_type=kind, clip_sample=False)
    scheduler.set_timesteps(10)
    latents, prediction = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).unbind()
    for timestep in scheduler.timesteps[:-1]:
        theirs = scheduler.step(prediction, timestep, latents).pred_original_sample
        ours = denoising.without_noise(scheduler, latents, prediction, int(timestep))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_another_prediction_type_is_refused():
    scheduler = DDIMScheduler(prediction_type="epsilon")
    scheduler.register_to_config(prediction_type="flow")
    with pytest.raises(InputError, match="is 'flow', but must be"):
        denoising.without_noise(scheduler, torch.zeros(1), torch.zeros(1), 1)


def test_watching_leaves_the_painting_alone(painter, photo, mask):
    options = {"seed": 3, "num_inference_steps": 5, "eta": 0.9, "guidance_scale": 4.0}
    counted, shown = [], []
    plain = painter(photo, mask, **options)
    result, steps = denoising.watch(
        painter, photo, mask, show=shown.append, progress=lambda *counts: counted.append(counts), **options
    )
    assert (np.asarray(result.image) == np.asarray(plain.image)).all() and result.parameters == plain.parameters
    assert counted == [(number, 5) for number in range(1, 6)] and shown == steps
    assert [(step.number, step.steps) for step in steps] == counted
    timesteps = [step.timestep for step in steps]
    assert timesteps == sorted(timesteps, reverse=True) and timesteps[-1] == 0
    assert {step.image.size for step in steps} == {(SIDE, SIDE)}
    assert (np.asarray(steps[-1].image) == np.asarray(plain.painted)).all()
    assert (np.asarray(steps[-1].paste()) == np.asarray(plain.image)).all()


def test_the_preview_is_what_the_scheduler_would_predict_next(painter, photo, mask, monkeypatch):
    """At eta 0 the library's own prediction of the next step is the preview of this one."""
    theirs, real = [], DDIMScheduler.step

    def step(*given, **options):
        theirs.append(real(*given, **(options | {"return_dict": True})).pred_original_sample)
        return real(*given, **options)

    ours = []
    monkeypatch.setattr(DDIMScheduler, "step", step)
    monkeypatch.setattr(denoising, "decode", lambda pipe, latents: ours.append(latents) or photo)
    denoising.watch(painter, photo, mask, num_inference_steps=4, eta=0.0, guidance_scale=3.0)
    for one, two in zip(ours[:-1], theirs[1:], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("every", "numbers"), [(2, [2, 4, 5]), (5, [5]), (9, [5])])
def test_some_steps_or_all(painter, photo, mask, every, numbers):
    _, steps = denoising.watch(painter, photo, mask, every=every, num_inference_steps=5)
    assert [step.number for step in steps] == numbers


def test_a_painting_over_a_start_can_be_watched(painter, photo, mask):
    options = {"num_inference_steps": 4, "strength": 0.5, "start": Image.new("RGB", photo.size, "red")}
    result, steps = denoising.watch(painter, photo, mask, **options)
    assert len(steps) == 2 and (np.asarray(result.image) == np.asarray(painter(photo, mask, **options).image)).all()


def test_at_a_lower_strength_fewer_steps_are_watched(painter, photo, mask):
    _, steps = denoising.watch(painter, photo, mask, num_inference_steps=6, strength=0.5, guidance_scale=1.0)
    assert [step.number for step in steps] == [1, 2, 3] and steps[0].timestep < 500


def test_a_callback_gets_the_pipelines_tensors(painter, photo, mask):
    seen = []
    painter(photo, mask, callback_on_step_end=lambda pipe, step, timestep, tensors: seen.append((step, set(tensors))))
    names = {"latents", "prompt_embeds", "mask", "masked_image_latents"}
    assert seen == [(0, names), (1, names)]
