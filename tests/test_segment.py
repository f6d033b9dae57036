"""Object masks from a class noun."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from dp_helpers import presets, segment
from dp_helpers.errors import InputError


@pytest.fixture
def half_masked(item):
    """The item as a mug, with a mask of the user's own for its first photo only."""
    return replace(item, class_noun="mug", own_masks=[item.own_masks[0], None, None])


def test_probability_maps(preset, item):
    maps = segment.probability_maps(item.photos, item.class_noun, preset, device="cpu")
    assert maps.shape[0] == 3 and maps.ndim == 3
    assert 0 <= maps.min() and maps.max() <= 1


def test_own_masks_win_and_no_model_is_loaded(preset, item, monkeypatch):
    monkeypatch.setattr(segment, "probability_maps", lambda *_, **__: pytest.fail("ClipSeg ran"))
    assert segment.object_masks(item, preset) == item.own_masks


def test_missing_masks_are_found(preset, half_masked):
    made = segment.object_masks(half_masked, preset)
    assert made[0] is half_masked.own_masks[0] and half_masked.own_masks[1:] == [None, None]
    assert len(made) == 3
    for mask in made:
        assert mask.mode == "L" and mask.size == (48, 48) and set(np.unique(mask)) <= {0, 255}


def test_every_mask_is_that_of_its_photo(preset, half_masked, monkeypatch):
    def maps(images, class_noun, *_, **__):
        assert class_noun == "mug"
        found = torch.zeros(len(images), 8, 8)
        for index, image in enumerate(images):
            found[index, half_masked.photos.index(image)] = 1  # the first or second or third row
        return found

    monkeypatch.setattr(segment, "probability_maps", maps)
    tops = [mask.getbbox()[1] for mask in segment.object_masks(half_masked, preset)[1:]]
    assert tops[0] < tops[1] == pytest.approx(12, abs=3)


def test_a_map_becomes_a_mask(preset):
    probability = torch.zeros(16, 16)
    probability[4:12, 6:10] = 1
    left, top, right, bottom = segment.to_mask(probability, Image.new("RGB", (64, 64)), preset).getbbox()
    grown = round(preset.segment.grow * 64)
    assert abs(left - (24 - grown)) <= 2 and abs(right - (40 + grown)) <= 2
    assert abs(top - (16 - grown)) <= 2 and abs(bottom - (48 + grown)) <= 2


def test_a_map_grows_without_pils_filter_which_large_photos_cannot_wait_for(preset, monkeypatch):
    monkeypatch.setattr(ImageFilter.RankFilter, "filter", lambda *_: pytest.fail("PIL filtered"))
    grown = presets.change(preset, segment={"smooth": 0.0, "edges": 0.0, "grow": 0.05})
    probability = torch.zeros(60, 60)
    probability[20:30, 25:40] = 1
    assert segment.to_mask(probability, Image.new("RGB", (60, 60)), grown).getbbox() == (22, 17, 43, 33)


def test_nothing_found_names_the_photo_and_the_way_out(preset, half_masked, monkeypatch):
    monkeypatch.setattr(segment, "probability_maps", lambda images, *_, **__: torch.zeros(len(images), 8, 8))
    with pytest.raises(InputError, match=r"No 'mug' was found on .*photo-2.png: .*photo-2.mask.png"):
        segment.object_masks(half_masked, preset)


def test_a_photo_of_nothing_but_product(preset):
    photo = Image.new("RGB", (40, 40))
    assert segment.to_mask(torch.ones(8, 8), photo, preset).getbbox() == (0, 0, 40, 40)
    assert isinstance(segment.to_mask(torch.zeros(8, 8), photo, preset), Image.Image)


@pytest.fixture
def red_square():
    """A photo of a red square on paper, and a map that is sure of its middle alone, and of the paper far from it."""
    photo = Image.new("RGB", (96, 96), (240, 240, 240))
    photo.paste((200, 30, 30), (24, 32, 72, 64))
    probability = torch.full((96, 96), 0.3)
    probability[44:52, 40:56] = 0.99
    probability[:8], probability[-8:], probability[:, :8], probability[:, -8:] = 0, 0, 0, 0
    return photo, probability


def test_masks_follow_the_edges_of_the_photo(preset, red_square):
    photo, probability = red_square
    exact = presets.change(preset, segment={"smooth": 0.0, "grow": 0.0, "edges": 3e4})
    assert segment.to_mask(probability, photo, exact).getbbox() == (24, 32, 72, 64)
    without = presets.change(exact, segment={"edges": 0.0, "threshold": 0.2})
    assert segment.to_mask(probability, photo, without).getbbox() == (8, 8, 88, 88)


def test_a_large_photo_has_a_mask_of_its_own_size(preset, red_square):
    photo, probability = red_square
    exact = presets.change(preset, segment={"smooth": 0.0, "grow": 0.0, "edges": 3e4})
    mask = segment.to_mask(probability, photo.resize((960, 960)), exact)
    assert mask.size == (960, 960) and np.abs(np.subtract(mask.getbbox(), (240, 320, 720, 640))).max() <= 10


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_without_sure_pixels_of_both_kinds_the_map_stays(red_square, value):
    probability = torch.full((8, 8), value)
    assert segment.follow_edges(probability, red_square[0], 3e4) is probability
