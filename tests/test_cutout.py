"""The cut-out: the product whole, also where it is white, without its shadow and without the paper between its legs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from dp_helpers.training.cutout import cut_out

SIDE = 128
LEGS = ((30, 60, 38, 108), (90, 60, 98, 108))


def table(color, *, legs="white") -> tuple[Image.Image, np.ndarray]:
    """Draw a table on paper, with a soft shadow between and around its legs. Returns it with its true mask."""
    shadow = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(shadow).ellipse((26, 100, 102, 114), fill=50)
    shadow = np.asarray(shadow.filter(ImageFilter.GaussianBlur(4)), np.float32)
    photo = Image.fromarray(np.repeat((240 - shadow)[..., None], 3, 2).astype(np.uint8))
    true, draw = Image.new("L", (SIDE, SIDE), 0), ImageDraw.Draw(photo)
    for box in LEGS:
        white = {"fill": (222, 222, 222), "outline": (200, 200, 200)}  # round legs are darker at their sides
        draw.rectangle(box, **white if legs == "white" else {"fill": legs})
        ImageDraw.Draw(true).rectangle(box, 255)
    draw.rectangle((20, 46, 108, 60), color)
    ImageDraw.Draw(true).rectangle((20, 46, 108, 60), 255)
    return photo, np.asarray(true) > 0


def coarse(box: tuple[int, int, int, int]) -> Image.Image:
    """Return an object mask that is a box."""
    mask = Image.new("L", (SIDE, SIDE), 0)
    mask.paste(255, box)
    return mask


@pytest.mark.parametrize("legs", ["orange", "white"])
def test_legs_that_the_object_mask_misses_are_kept_and_paper_and_shadow_are_not(legs):
    photo, true = table("green", legs=legs)
    opacity, light = cut_out(photo, coarse((14, 40, 114, 66)))  # the top with a rim of paper, without the legs
    assert opacity[true].mean() > 0.9
    assert opacity[~true].mean() < 0.03
    under = light[104:110, 50:78]
    assert under.mean() < 0.93 and abs(light[:30].mean() - 1) < 0.02


def test_the_hole_of_a_handle_is_paper_and_a_white_body_is_not():
    photo = Image.new("RGB", (SIDE, SIDE), (240, 240, 240))
    draw = ImageDraw.Draw(photo)
    draw.rectangle((30, 40, 70, 100), (236, 236, 236), outline=(215, 215, 215))  # a white mug
    draw.ellipse((66, 50, 104, 90), outline="black", width=6)  # its handle
    opacity, _ = cut_out(photo, coarse((28, 38, 74, 102)))
    assert opacity[50:90, 40:60].min() > 0.9
    assert opacity[62:78, 80:92].max() < 0.1


def test_dust_is_left_out():
    photo, _ = table("green")
    photo.paste((200, 60, 60), (4, 4, 8, 8))
    assert cut_out(photo, coarse((14, 40, 114, 66)))[0][:12, :12].max() < 0.1


def test_without_plain_paper_there_is_no_cut_out():
    noise = np.random.default_rng(0).integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)
    assert cut_out(Image.fromarray(noise), coarse((40, 40, 80, 80))) is None
    photo, _ = table("green")
    assert cut_out(photo, Image.new("L", photo.size, 255)) is None, "the product fills the picture"
