"""Views: photo and mask move alike; on a new background the product stays whole and keeps its shadow."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tools.family import SIDE as RESOLUTION

from dp_helpers import masks, presets
from dp_helpers.training import views

SIDE, BOX = 96, (30, 24, 66, 72)


def scene(color, outline=None) -> tuple[Image.Image, Image.Image, np.ndarray]:
    """Draw a box with a soft shadow on paper that darkens downwards.

    Returns the photo, the box's mask, and the shadow, 0 to 1.
    """
    down, across = np.mgrid[:SIDE, :SIDE]
    shadow = 0.1 * np.exp(-(((across - 48) / 20) ** 2) - ((down - 76) / 16) ** 2)
    pixels = np.repeat(((245 - 0.1 * down) * (1 - shadow))[..., None], 3, 2)
    photo, mask = Image.fromarray(pixels.astype(np.uint8)), Image.new("L", (SIDE, SIDE), 0)
    left, top, right, bottom = BOX
    ImageDraw.Draw(photo).rectangle((left, top, right - 1, bottom - 1), color, outline)
    mask.paste(255, BOX)
    return photo, mask, shadow


def inside(margin: int) -> np.ndarray:
    """Return which pixels are in the box, made wider by ``margin`` on each side."""
    down, across = np.mgrid[:SIDE, :SIDE]
    left, top, right, bottom = BOX
    return (across >= left - margin) & (across < right + margin) & (down >= top - margin) & (down < bottom + margin)


# -- change_background ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("color", "outline"), [("red", None), ((238, 238, 238), (215, 215, 215))])
def test_the_whole_product_stays_and_its_surroundings_change(color, outline):
    photo, mask, _ = scene(color, outline)
    made = views.change_background(photo, mask, np.random.default_rng(3))
    changed = np.abs(np.asarray(made).astype(int) - np.asarray(photo)).max(-1)
    assert changed[inside(-3)].max() <= 3
    assert (changed[~inside(12)] > 15).mean() > 0.9


def test_a_tiny_view_keeps_its_product():
    photo, mask, _ = scene("red")
    small = [picture.resize((24, 24), Image.NEAREST) for picture in (photo, mask)]
    made = np.asarray(views.change_background(*small, np.random.default_rng(3))).astype(int)
    assert np.abs(made - np.asarray(small[0]))[9:15, 10:14].max() <= 3


def test_the_shadow_falls_on_the_new_background(monkeypatch):
    monkeypatch.setattr(views, "surroundings", lambda size, rng: np.full((SIDE, SIDE, 3), 100.0))
    photo, mask, shadow = scene("red")
    made = views.change_background(photo, mask, np.random.default_rng(0))
    made, outside = np.asarray(made).astype(float)[..., 1], ~inside(4)
    assert np.corrcoef(made[outside], -shadow[outside])[0, 1] > 0.6
    assert made[outside & (shadow > 0.07)].mean() < 97 < made[outside & (shadow < 0.01)].mean()


def test_a_photo_without_a_plain_background_stays_as_it_is():
    photo = Image.fromarray(np.random.default_rng(0).integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8))
    mask = scene("red")[1]
    assert views.change_background(photo, mask, np.random.default_rng(0)) == photo


# -- draw_view -----------------------------------------------------------------------------------------------------


def test_views_move_photo_and_mask_alike_and_cut_nothing(preset, item):
    changes = {"augment_scale": (0.5, 0.9), "augment_shift": 1.0, "augment_flip": True}
    chosen, rng = presets.change(preset, finetune=changes), np.random.default_rng(0)
    for mirrored in (False, True):
        for photo, object_mask in zip(item.photos, item.own_masks, strict=True):
            view, mask = views.draw_view(photo, object_mask, chosen, rng, mirrored=mirrored)
            dark = np.asarray(view).min(axis=2) < 100
            hidden = np.asarray(mask) > 0
            assert view.size == mask.size == (RESOLUTION, RESOLUTION)
            assert (dark & hidden).sum() > 0.85 * max(dark.sum(), hidden.sum())
            left, top, right, bottom = mask.getbbox()
            assert 0.5 - 3 / RESOLUTION <= max(right - left, bottom - top) / RESOLUTION <= 0.9 + 2 / RESOLUTION
            x0, y0, x1, y1 = object_mask.getbbox()  # of the same proportions: nothing was cut off
            assert abs((right - left) * (y1 - y0) - (bottom - top) * (x1 - x0)) <= 3 * max(x1 - x0, y1 - y0)


@pytest.mark.parametrize(("allowed", "mirrored", "flipped"), [(1, 1, True), (1, 0, False), (0, 1, False)])
def test_views_are_mirrored_only_if_the_preset_allows_it(preset, allowed, mirrored, flipped):
    photo, object_mask = Image.new("RGB", (64, 64), "white"), Image.new("L", (64, 64), 0)
    photo.paste("black", (16, 16, 32, 48))  # black on the left, red on the right
    photo.paste("red", (32, 16, 48, 48))
    object_mask.paste(255, (16, 16, 48, 48))
    changes = {"augment_flip": bool(allowed), "augment_scale": (0.8, 0.8), "augment_shift": 0.0}
    chosen = presets.change(preset, finetune=changes)
    view, _ = views.draw_view(photo, object_mask, chosen, np.random.default_rng(0), mirrored=bool(mirrored))
    left, right = (view.getpixel((at, RESOLUTION // 2))[0] for at in (RESOLUTION // 4, RESOLUTION * 3 // 4))
    assert (left > right) == flipped and abs(left - right) > 200


def test_a_new_background_leaves_the_product_as_it_is(preset, item):
    def view(share: float):
        changes = {"augment_scale": (0.8, 0.8), "augment_shift": 0.0, "augment_background": share}
        chosen = presets.change(preset, finetune=changes)
        drawn = views.draw_view(item.photos[0], item.own_masks[0], chosen, np.random.default_rng(1))
        return (np.asarray(image).astype(int) for image in drawn)

    (plain, mask), (other, other_mask) = view(0.0), view(1.0)
    hidden = np.asarray(masks.grow(Image.fromarray(mask.astype(np.uint8)), -2)) > 0
    outside = np.asarray(masks.grow(Image.fromarray(mask.astype(np.uint8)), 2)) == 0
    assert (mask == other_mask).all() and hidden.any() and outside.any()
    assert abs(plain - other)[hidden].max() <= 3
    assert abs(plain - other)[outside].mean() > 10


def test_a_new_background_keeps_the_thin_parts_of_a_mask_drawn_by_hand(preset):
    photo = Image.new("RGB", (RESOLUTION, RESOLUTION), "white")
    object_mask = Image.new("L", photo.size, 0)
    thin = (RESOLUTION // 2, RESOLUTION // 10, RESOLUTION // 2 + 2, RESOLUTION - RESOLUTION // 10)  # a lamp's pole
    photo.paste("black", thin)
    object_mask.paste(255, thin)
    changes = {"augment_scale": (0.8, 0.8), "augment_shift": 0.0, "augment_background": 1.0}
    chosen = presets.change(preset, finetune=changes)
    view, mask = views.draw_view(photo, object_mask, chosen, np.random.default_rng(1))
    assert np.asarray(view.crop(mask.getbbox())).mean() < 100


def test_a_mirrored_view_and_its_mask_belong_together(preset):
    """In a peer the picture is mirrored after its mask was made."""
    photo, object_mask = Image.new("RGB", (64, 64), "white"), Image.new("L", (64, 64), 0)
    for box in ((8, 16, 32, 24), (8, 16, 16, 48)):  # an L, which no mirroring leaves as it is
        photo.paste("black", box)
        object_mask.paste(255, box)
    chosen = presets.change(preset, finetune={"augment_flip": True, "augment_shift": 0.0, "augment_scale": (0.8, 0.8)})
    seen = []
    for mirrored in (False, True):
        view, mask = views.draw_view(photo, object_mask, chosen, np.random.default_rng(0), mirrored=mirrored)
        dark, inside = np.asarray(view.convert("L")) < 128, np.asarray(mask) > 0
        assert (dark == inside).mean() > 0.97
        seen.append(inside)
    assert (seen[0] == seen[1][:, ::-1]).mean() > 0.95 and (seen[0] == seen[1]).mean() < 0.9


@pytest.mark.parametrize("left", range(20, 30))
def test_a_part_thinner_than_a_pixel_of_the_view_stays(preset, left):
    photo, mask = Image.new("RGB", (400, 400), "white"), Image.new("L", (400, 400), 0)
    mask.paste(255, (100, 100, 380, 300))
    mask.paste(255, (left, 100, left + 2, 300))
    chosen = presets.change(preset, finetune={"augment_scale": (0.8, 0.8), "augment_shift": 0.0})
    marked = np.asarray(views.draw_view(photo, mask, chosen, np.random.default_rng(1))[1]) > 0
    assert marked[:, : RESOLUTION // 6].any(1).sum() > RESOLUTION // 3
