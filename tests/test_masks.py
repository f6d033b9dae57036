"""Masks: where they are, what they hide, and that they shrink as the pipeline shrinks them."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from dp_helpers import masks
from dp_helpers.errors import InputError
from dp_helpers.presets import Masks


@pytest.fixture
def shape():
    image = Image.new("L", (64, 64), 0)
    image.paste(255, (20, 16, 44, 56))
    return image


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_mask_of_any_mode_becomes_binary(mode):
    mask = masks.rectangle((64, 64), (5, 8, 45, 28))
    made = masks.binary(mask.convert("RGB").convert(mode))
    assert made.mode == "L" and (np.asarray(made) == np.asarray(mask)).all()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
def test_grey_is_split_at_128(mode):
    ramp = Image.linear_gradient("L").convert(mode)  # rows of 0 to 255
    made = np.asarray(masks.binary(ramp))
    assert (made[:128] == 0).all() and (made[128:] == 255).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_counts_as_black(mode):
    white = Image.new(mode, (256, 256), "white")
    white.putalpha(Image.linear_gradient("L"))  # white, less and less transparent
    made = np.asarray(masks.binary(white))
    assert (made[:128] == 0).all() and (made[128:] == 255).all()


def test_a_transparent_palette_colour_counts_as_black(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([255, 255, 255, 255, 255, 255])
    image.paste(0, (0, 0, 4, 8))
    image.save(tmp_path / "mask.png", transparency=0)
    with Image.open(tmp_path / "mask.png") as opened:
        assert masks.binary(opened).getbbox() == (4, 0, 8, 8)


def test_a_binary_mask_stays_as_it_is_and_the_given_one_too():
    grey = Image.new("L", (8, 8), 200)
    made = masks.binary(grey)
    assert made.getextrema() == (255, 255) and grey.getextrema() == (200, 200)
    assert masks.binary(made).tobytes() == made.tobytes()


def test_rectangle_and_ellipse_fill_their_box():
    box = (5, 8, 45, 28)
    assert masks.rectangle((64, 64), box).getbbox() == box
    ellipse = masks.ellipse((64, 64), box)
    assert ellipse.getbbox() == box
    area = (np.asarray(ellipse) > 0).sum()
    assert area == pytest.approx(np.pi / 4 * 40 * 20, rel=0.05)


def test_full_hides_everything(shape):
    assert masks.coverage(masks.full(shape.size), shape) == 1


def test_grow_and_shrink(shape):
    assert masks.grow(shape, 3).getbbox() == (17, 13, 47, 59)
    assert masks.grow(shape, -3).getbbox() == (23, 19, 41, 53)
    assert masks.grow(shape, 0).getbbox() == shape.getbbox()


@pytest.mark.parametrize("pixels", [-7, -2, -1, 1, 2, 7, 40])
@pytest.mark.parametrize("size", [(31, 22), (5, 40), (1, 1)])
def test_grow_is_pils_rank_filter_which_large_photos_cannot_wait_for(pixels, size, monkeypatch):
    grey = np.random.default_rng(abs(pixels)).integers(0, 256, size[::-1], dtype=np.uint8)
    kind = ImageFilter.MaxFilter if pixels > 0 else ImageFilter.MinFilter
    wanted = Image.fromarray(grey).filter(kind(2 * abs(pixels) + 1))
    monkeypatch.setattr(ImageFilter.RankFilter, "filter", lambda *_: pytest.fail("PIL filtered"))
    made = masks.grow(Image.fromarray(grey), pixels)
    assert (made.mode, made.size) == ("L", size) and made.tobytes() == wanted.tobytes()


def test_feather_stays_inside(shape):
    blend = np.asarray(masks.feather(shape, 6))
    inside = np.asarray(shape) > 0
    assert (blend[~inside] == 0).all()
    assert blend.max() == 255
    assert len(np.unique(blend[inside])) > 3


def test_feather_leaves_something_of_a_thin_mask():
    thin = masks.rectangle((64, 64), (10, 10, 50, 14))
    assert np.asarray(masks.feather(thin, 40)).max() > 100


@pytest.mark.parametrize("factor", [4, 8])
def test_latent_size_picks_the_pixels_that_torch_picks(factor):
    mask = Image.fromarray((np.random.default_rng(0).integers(0, 2, (64, 64)) * 255).astype(np.uint8))
    ours = np.asarray(masks.to_latent_size(mask, factor))
    pixels = torch.from_numpy(np.array(mask)).float()[None, None]
    theirs = torch.nn.functional.interpolate(pixels, size=(64 // factor, 64 // factor))[0, 0].numpy()
    assert (ours == theirs).all()


@pytest.mark.parametrize("kind", ["rectangle", "ellipse", "object", "full"])
def test_every_drawn_mask_hides_a_part_of_the_product(shape, kind):
    shares = Masks(**({"rectangle": 0, "ellipse": 0, "object": 0, "full": 0} | {kind: 1}))
    rng = np.random.default_rng(0)
    drawn = [masks.draw_mask(shape, rng, shares) for _ in range(200)]
    assert min(masks.coverage(mask, shape) for mask in drawn) >= masks.MIN_COVERAGE
    for mask in drawn:
        assert mask.mode == "L" and mask.size == shape.size and set(np.unique(mask)) <= {0, 255}
        assert masks.to_latent_size(mask, 8).getbbox() is not None


def test_masks_around_the_product_hold_all_of_its_box(shape):
    rng = np.random.default_rng(0)
    box = masks.rectangle(shape.size, shape.getbbox())
    drawn = [masks.draw_mask(shape, rng, Masks(ellipse=0, object=0, full=0, around=1)) for _ in range(200)]
    assert min(masks.coverage(mask, box) for mask in drawn) == 1
    widths = [mask.getbbox()[2] - mask.getbbox()[0] for mask in drawn]
    width = box.getbbox()[2] - box.getbbox()[0]
    assert max(widths) <= width * (1 + masks.MARGIN[1]) + 2 and max(widths) > width * 1.1


def test_mixture_has_the_shares_asked_for(shape):
    rng = np.random.default_rng(0)
    shares = Masks(rectangle=1, ellipse=1, object=0, full=2)
    drawn = [masks.draw_mask(shape, rng, shares) for _ in range(400)]
    full = sum(masks.coverage(mask, masks.full(mask.size)) == 1 for mask in drawn)
    assert full / 400 == pytest.approx(0.5, abs=0.08)


def test_a_mask_needs_an_object():
    with pytest.raises(InputError, match="empty"):
        masks.draw_mask(Image.new("L", (8, 8), 0), np.random.default_rng(0), Masks())
