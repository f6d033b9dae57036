"""Pictures become tensors and latents, and the bank keeps what belongs together."""

import numpy as np
import pytest
import torch
from PIL import Image
from tools.family import SIDE

from dp_helpers import models, presets
from dp_helpers.training import latents


@pytest.fixture(scope="module")
def vae(preset):
    return models.load_vae(preset)


def test_an_image_becomes_minus_one_to_one(photo):
    tensor = latents.image_to_tensor(photo)
    assert tensor.shape == (3, 70, 90) and tensor.dtype is torch.float32
    assert tensor.min() == -1 and tensor.max() == 1
    assert tensor[2, 5, 7].item() == pytest.approx(photo.getpixel((7, 5))[2] / 127.5 - 1)


def test_a_mask_becomes_zero_and_one_split_at_128():
    mask = Image.fromarray(np.array([[0, 127], [128, 255]], dtype=np.uint8))
    assert latents.mask_to_tensor(mask).tolist() == [[[0, 0], [1, 1]]]


def test_hidden_pixels_become_mid_grey(photo, mask):
    image, hidden = latents.image_to_tensor(photo)[None], latents.mask_to_tensor(mask)
    masked = latents.mask_image(image, hidden)[0]
    where = np.asarray(mask) == 255
    assert (masked[:, where] == 0).all() and torch.equal(masked[:, ~where], image[0][:, ~where])


def test_latents_are_scaled_and_drawn_with_the_generator(vae):
    images = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    made = latents.encode(vae, images, torch.Generator().manual_seed(0))
    assert made.shape == (2, 4, SIDE // 4, SIDE // 4) and not made.requires_grad
    generator = torch.Generator().manual_seed(0)
    by_hand = [vae.encode(image[None]).latent_dist.sample(generator) for image in images]
    torch.testing.assert_close(made, torch.cat(by_hand) * vae.config.scaling_factor)
    vae.register_to_config(scaling_factor=0.5)
    half = latents.encode(vae, images, torch.Generator().manual_seed(0))
    vae.register_to_config(scaling_factor=1.0)
    torch.testing.assert_close(half, made / 2)


def test_bank_pairs_belong_together(vae, preset, item):
    made = latents.build_bank(vae, item.photos, item.own_masks, preset, seed=0)
    assert len(made.latents) == 6 and len(made.view) == 12  # 4 views asked for, a whole number for each photo
    batch = made.draw(5, torch.Generator().manual_seed(0))
    assert batch.latents.shape == batch.masked_image_latents.shape == (5, 4, SIDE // 4, SIDE // 4)
    assert batch.mask.shape == batch.object_mask.shape == (5, 1, SIDE // 4, SIDE // 4)
    assert set(batch.mask.unique().tolist()) <= {0.0, 1.0}
    for index in range(5):  # each row of a batch is one row of the bank
        masked = batch.masked_image_latents[index]
        at = [row for row in range(12) if torch.equal(made.masked_image_latents[row], masked)]
        assert any(
            torch.equal(made.mask[row], batch.mask[index])
            and torch.equal(made.latents[made.view[row]], batch.latents[index])
            and torch.equal(made.object_mask[made.view[row]], batch.object_mask[index])
            for row in at
        )


def test_the_masked_latents_are_those_of_their_view_and_mask(vae, preset, item):
    """With a full mask nothing of the photo is left, so every masked latent is that of plain grey."""
    only_full = presets.change(preset, masks={"rectangle": 0, "ellipse": 0, "object": 0, "full": 1})
    made = latents.build_bank(vae, item.photos, item.own_masks, only_full, seed=0)
    assert (made.mask == 1).all()
    deterministic = vae.encode(torch.zeros(1, 3, SIDE, SIDE)).latent_dist.mode()
    spread = vae.encode(torch.zeros(1, 3, SIDE, SIDE)).latent_dist.std
    assert ((made.masked_image_latents - deterministic).abs() < 6 * spread).all()
    assert made.view.tolist() == [view for view in range(6) for _ in range(preset.finetune.masks_per_view)]


def test_the_same_seed_builds_the_same_bank_and_progress_is_told(vae, preset, item):
    seen = []
    one, same, other = (
        latents.build_bank(vae, item.photos, item.own_masks, preset, seed=seed, progress=lambda *at: seen.append(at))
        for seed in (0, 0, 1)
    )
    assert seen[:6] == [(done, 6) for done in range(1, 7)]
    for name, tensor in vars(one).items():
        assert torch.equal(tensor, getattr(same, name))
    assert not torch.equal(one.latents, other.latents) and not torch.equal(one.mask, other.mask)


def test_encoding_in_batches_differs_by_rounding_only(vae, preset, item):
    one, many = (
        latents.build_bank(
            vae, item.photos, item.own_masks, presets.change(preset, finetune={"encode_batch_size": size})
        )
        for size in (1, 8)
    )
    for name, tensor in vars(one).items():
        torch.testing.assert_close(tensor, getattr(many, name), atol=1e-4, rtol=1e-3)


def test_two_batches_become_one_in_order(vae, preset, item):
    bank = latents.build_bank(vae, item.photos, item.own_masks, preset)
    one, other = (bank.draw(2, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    both = one + other
    for name, tensor in vars(both).items():
        assert torch.equal(tensor, torch.cat([getattr(one, name), getattr(other, name)]))
