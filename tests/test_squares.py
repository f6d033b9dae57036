"""Squares: found around the mask, cut out of any photo, and pasted back."""

import numpy as np
import pytest
from PIL import Image

from dp_helpers import squares


@pytest.mark.parametrize("size", [(90, 70), (70, 90), (7, 2), (5, 5)])
def test_padding_to_a_square_can_be_undone(size):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
    padded = squares.pad_to_square(image)
    assert padded.size == (max(size),) * 2
    assert squares.crop_from_square(padded, size).tobytes() == image.tobytes()
    white = (np.asarray(padded) == 255).all(-1).sum()
    assert white == max(size) ** 2 - size[0] * size[1]
    assert squares.pad_to_square(Image.new("L", size, 255), 0).histogram()[255] == size[0] * size[1]


def test_square_around_the_mask():
    assert squares.square_around((40, 40, 60, 50), (100, 80), 2.0) == (30, 25, 70, 65)
    assert squares.square_around((0, 0, 20, 20), (100, 80), 2.0) == (0, 0, 40, 40)
    assert squares.square_around((40, 40, 60, 50), (100, 80), 99.0) == (10, 0, 90, 80)
    # longer than the photo is high
    assert squares.square_around((5, 30, 95, 50), (100, 80), 2.0) == (0, -10, 100, 90)


def test_cut_repeats_the_edge(photo):
    assert squares.cut(photo, (10, 10, 30, 30)).tobytes() == photo.crop((10, 10, 30, 30)).tobytes()
    tall = squares.cut(photo, (0, -10, 90, 80))
    assert tall.size == (90, 90) and tall.getpixel((7, 0)) == photo.getpixel((7, 0))
    assert squares.cut(Image.new("L", (9, 9), 255), (-1, 0, 8, 9), outside=0).getpixel((0, 0)) == 0


@pytest.mark.parametrize("box", [(10, 10, 50, 50), (0, -10, 90, 80)])
def test_what_is_pasted_back_shows_where_the_blend_says(photo, mask, box):
    painted = Image.new("RGB", (8, 8), "red")
    pasted = np.asarray(squares.paste_back(photo, painted, mask, box))
    square = Image.new("L", photo.size, 0)
    square.paste(255, box)
    inside = (np.asarray(mask) == 255) & (np.asarray(square) == 255)
    assert (pasted[inside] == (255, 0, 0)).all()
    outside = np.asarray(mask) == 0
    assert (pasted[outside] == np.asarray(photo)[outside]).all()
    half = np.asarray(squares.paste_back(photo, painted, mask.point(lambda value: value // 2), box)).astype(int)
    wanted = (np.asarray(photo).astype(int)[inside] * 128 + np.array([255, 0, 0]) * 127) / 255
    assert abs(half[inside] - wanted).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_lends_no_colour_to_the_edge_of_a_painting(mode):
    """A clear pixel is often black below its transparency. Half of that black would be a dark fringe."""
    photo, blend = Image.new("RGBA", (30, 1), (0, 0, 0, 0)), Image.new("L", (30, 1), 128)
    photo.paste((9, 9, 9, 3), (0, 0, 5, 1))  # premultiplied, this colour would not come back
    blend.paste(0, (0, 0, 10, 1))
    blend.paste(255, (20, 0, 30, 1))
    photo, painted = photo.convert(mode), Image.new("RGBA", (30, 30), (200, 200, 200, 255)).convert(mode)
    photo.info["dpi"] = (72, 72)
    pasted = squares.paste_back(photo, painted, blend, (0, 0, 30, 30))
    pixels = np.asarray(pasted).astype(int)[0]
    assert pasted.mode == mode and pasted.info["dpi"] == (72, 72)
    assert (pixels[:10] == np.asarray(photo)[0, :10]).all()
    assert (abs(pixels[10:20, :-1] - 200) <= 1).all() and (abs(pixels[10:20, -1] - 128) <= 1).all()
    assert (pixels[20:] == np.asarray(painted)[0, 20:]).all()
