"""Eq. 2, by hand and by the package; and the input that the pipeline itself feeds the U-Net."""

import pytest
import torch
from diffusers import DDPMScheduler
from tools.family import SIDE, WIDTH, make_scheduler, make_unet

from dp_helpers import masks, models
from dp_helpers.errors import InputError
from dp_helpers.training import loss
from dp_helpers.training.latents import Batch, encode, image_to_tensor, mask_image, mask_to_tensor


def make_batch(count: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(0)
    latents, masked = torch.randn(2, count, 4, 8, 8, generator=generator)
    mask, object_mask = (torch.rand(2, count, 1, 8, 8, generator=generator) > 0.5).float()
    return Batch(latents, mask, masked, object_mask)


def training_scheduler(prediction_type: str) -> DDPMScheduler:
    return DDPMScheduler.from_config(make_scheduler(prediction_type).config)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_loss_is_equation_2(prediction_type):
    torch.manual_seed(0)
    unet, scheduler, batch = make_unet(), training_scheduler(prediction_type), make_batch()
    noise, text = torch.randn(3, 4, 8, 8), torch.randn(3, 12, WIDTH)
    timesteps = torch.tensor([0, 500, 999])
    ours = loss.inpainting_loss(unet, scheduler, batch, text, noise, timesteps)

    alpha = scheduler.alphas_cumprod[timesteps].sqrt().view(3, 1, 1, 1)
    sigma = (1 - scheduler.alphas_cumprod[timesteps]).sqrt().view(3, 1, 1, 1)
    noisy = alpha * batch.latents + sigma * noise
    prediction = unet(torch.cat([noisy, batch.mask, batch.masked_image_latents], 1), timesteps, text).sample
    truth = {
        "epsilon": noise,
        "v_prediction": alpha * noise - sigma * batch.latents,
        "sample": batch.latents,
    }
    by_hand = ((prediction - truth[prediction_type]) ** 2).mean()
    assert ours.item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_weights_of_one_change_nothing_and_others_do():
    torch.manual_seed(0)
    unet, scheduler, batch = make_unet(), training_scheduler("epsilon"), make_batch()
    noise, text, timesteps = torch.randn(3, 4, 8, 8), torch.randn(3, 12, WIDTH), torch.tensor([5, 500, 900])

    def value(weight):
        return loss.inpainting_loss(unet, scheduler, batch, text, noise, timesteps, weight=weight).item()

    assert loss.pixel_weight(batch.mask, batch.object_mask, 1, 1) is None
    assert value(torch.full_like(batch.mask, 7.0)) == pytest.approx(value(None), rel=1e-5)
    weight = loss.pixel_weight(batch.mask, batch.object_mask, 3, 0.5)
    assert set(weight.unique().tolist()) == {0.5, 1.0, 1.5, 3.0}
    assert value(weight) != pytest.approx(value(None), rel=1e-5)


def test_a_sample_whose_weights_are_all_zero_does_not_count():
    torch.manual_seed(0)
    unet, scheduler, batch = make_unet(), training_scheduler("epsilon"), make_batch(2)
    noise, text, timesteps = torch.randn(2, 4, 8, 8), torch.randn(2, 12, WIDTH), torch.tensor([5, 500])
    batch.mask[0] = 1
    values = []
    for weight in (loss.pixel_weight(batch.mask, batch.object_mask, 0, 1), None):
        found = loss.inpainting_loss(unet, scheduler, batch, text, noise, timesteps, weight=weight)
        found.backward()
        values.append(found.item())
        assert all(torch.isfinite(part.grad).all() for part in unet.parameters() if part.grad is not None)
    assert 0 < values[0] < values[1]


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_min_snr_is_finite_at_every_timestep(prediction_type):
    scheduler = training_scheduler(prediction_type)
    timesteps = torch.tensor([0, 500, 998, 999])
    weight = loss.min_snr_weight(scheduler, timesteps, 5.0)
    assert torch.isfinite(weight).all() and (weight >= 0).all()
    snr = scheduler.alphas_cumprod[500] / (1 - scheduler.alphas_cumprod[500])
    divisor = {"epsilon": snr, "v_prediction": snr + 1, "sample": 1}[prediction_type]
    assert weight[1].item() == pytest.approx((snr.clamp(max=5) / divisor).item(), rel=1e-4)


def test_unknown_prediction_type():
    scheduler = training_scheduler("epsilon")
    scheduler.register_to_config(prediction_type="score")
    with pytest.raises(InputError, match="score"):
        loss.target(scheduler, None, None, None)


def test_unet_input_is_what_the_pipeline_feeds(preset, photo, mask):
    """Order of channels, mask convention, shrinking and scaling are the pipeline's, number by number."""
    pipe = models.load_pipeline(preset, device="cpu")
    fed = []
    pipe.unet.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0].clone()))
    image, mask_image_ = photo.resize((SIDE, SIDE)), mask.resize((SIDE, SIDE))
    pipe.set_progress_bar_config(disable=True)
    pipe(
        "a sks mug",
        image,
        mask_image_,
        height=SIDE,
        width=SIDE,
        num_inference_steps=1,
        guidance_scale=1.0,
        generator=torch.Generator().manual_seed(0),
    )

    pixel_mask = mask_to_tensor(mask_image_)
    latent_mask = mask_to_tensor(masks.to_latent_size(mask_image_, 4))[None]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 4, SIDE // 4, SIDE // 4, generator=generator)  # the pipeline draws this first
    hidden = mask_image(image_to_tensor(image)[None], pixel_mask)
    masked_image_latents = encode(pipe.vae, hidden, generator)
    ours = loss.unet_input(noise * pipe.scheduler.init_noise_sigma, latent_mask, masked_image_latents)
    assert ours.shape == fed[0].shape == (1, 9, SIDE // 4, SIDE // 4)
    torch.testing.assert_close(ours, fed[0], atol=1e-5, rtol=1e-4)
