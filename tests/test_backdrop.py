"""New backgrounds: the product stays whole, even white on white, and keeps its shadow."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dp_helpers import backdrop

SIDE, BOX = 96, (30, 24, 66, 72)


def scene(color, outline=None) -> tuple[Image.Image, Image.Image, np.ndarray]:
    """A box with a soft shadow on paper that darkens downwards; a mask that misses its lower half; the shadow, 0 to 1."""
    down, across = np.mgrid[:SIDE, :SIDE]
    shadow = 0.1 * np.exp(-(((across - 48) / 20) ** 2) - ((down - 76) / 16) ** 2)
    pixels = np.repeat(((245 - 0.1 * down) * (1 - shadow))[..., None], 3, 2)
    photo, mask = Image.fromarray(pixels.astype(np.uint8)), Image.new("L", (SIDE, SIDE), 0)
    left, top, right, bottom = BOX
    ImageDraw.Draw(photo).rectangle((left, top, right - 1, bottom - 1), color, outline)
    mask.paste(255, (left, top, right, (top + bottom) // 2))
    return photo, mask, shadow


def inside(margin: int) -> np.ndarray:
    down, across = np.mgrid[:SIDE, :SIDE]
    left, top, right, bottom = BOX
    return (across >= left - margin) & (across < right + margin) & (down >= top - margin) & (down < bottom + margin)


@pytest.mark.parametrize(("color", "outline"), [("red", None), ((238, 238, 238), (215, 215, 215))])
def test_the_whole_product_stays_and_its_surroundings_change(color, outline):
    photo, mask, _ = scene(color, outline)
    changed = np.abs(np.asarray(backdrop.change(photo, mask, np.random.default_rng(3))).astype(int) - np.asarray(photo)).max(-1)
    assert changed[inside(-3)].max() <= 3
    assert (changed[~inside(12)] > 15).mean() > 0.9


def test_the_shadow_falls_on_the_new_background(monkeypatch):
    monkeypatch.setattr(backdrop, "surroundings", lambda size, rng: np.full((SIDE, SIDE, 3), 100.0))
    photo, mask, shadow = scene("red")
    made = np.asarray(backdrop.change(photo, mask, np.random.default_rng(0))).astype(float)[..., 1]
    beside = ~inside(4)
    assert np.corrcoef(made[beside], -shadow[beside])[0, 1] > 0.6
    assert made[beside & (shadow > 0.07)].mean() < 97 < made[beside & (shadow < 0.01)].mean()


def test_a_photo_without_a_plain_background_stays_as_it_is():
    photo = Image.fromarray(np.random.default_rng(0).integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8))
    mask = scene("red")[1]
    assert backdrop.change(photo, mask, np.random.default_rng(0)) == photo
