"""Metrics: a number that is right where it is known, and that falls where it must."""

import numpy as np
import pytest
import torch
from PIL import Image

from dp_helpers.errors import InputError
from dp_helpers.evaluation.metrics import clip_score, image_embeddings, outside_max_change


def test_clip_score(preset, photo, mask):
    box = mask.getbbox()
    assert clip_score(photo, [photo.crop(box)], mask, preset) == pytest.approx(1, abs=1e-5)
    other = Image.new("RGB", (20, 20), "red")
    assert clip_score(photo, [other, photo.crop(box)], mask, preset) == pytest.approx(1, abs=1e-5)
    assert clip_score(photo, [other], mask, preset) < 1


@pytest.mark.parametrize("wrong", [Image.new("L", (90, 70), 0), Image.new("L", (9, 9), 255)])
def test_a_score_needs_a_mask_of_the_photo(preset, photo, wrong):
    with pytest.raises(InputError, match="mask of the photo's size"):
        clip_score(photo, [photo], wrong, preset)


def test_embeddings_have_length_one_and_photos_are_squeezed_never_cropped(preset):
    wide = Image.new("RGB", (96, 32), "white")
    ends = wide.copy()
    ends.paste("black", (0, 0, 16, 32))  # a crop to the middle would not see this
    made = image_embeddings([wide, ends, ends.resize((32, 32), Image.BICUBIC)], preset)
    assert made.shape == (3, 8)
    torch.testing.assert_close(made.norm(dim=1), torch.ones(3))
    assert not torch.allclose(made[0], made[1], atol=1e-5)
    torch.testing.assert_close(made[1], made[2])


def test_the_greatest_change_outside_the_mask_is_found_in_any_channel(photo, mask):
    assert outside_max_change(photo, photo, mask) == 0
    pixels = np.array(photo)
    pixels[30, 40] = 255 - pixels[30, 40]  # under the mask
    assert outside_max_change(photo, Image.fromarray(pixels), mask) == 0
    pixels[0, 0, 2] = pixels[0, 0, 2] - 7 if pixels[0, 0, 2] > 7 else pixels[0, 0, 2] + 7
    pixels[69, 89, 0] = pixels[69, 89, 0] - 3 if pixels[69, 89, 0] > 3 else pixels[69, 89, 0] + 3
    assert outside_max_change(photo, Image.fromarray(pixels), mask) == 7
    assert outside_max_change(photo, Image.fromarray(pixels), Image.new("L", photo.size, 255)) == 0


def test_black_and_white_differ_by_255():
    """Bytes would overflow."""
    black, white = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), "white")
    nothing = Image.new("L", (4, 4), 0)
    assert outside_max_change(black, white, nothing) == outside_max_change(white, black, nothing) == 255
