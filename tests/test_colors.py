"""Modes and colour profiles: what a model sees, and what is painted in the photo's own colours."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from tools import profiles

from dp_helpers import colors, inpaint, presets
from dp_helpers.errors import InputError, Note

PROFILES = {"RGB": [None, profiles.adobe_rgb(), profiles.display_p3()], "L": [None, profiles.grey()]}


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_an_opaque_picture_becomes_rgb(mode):
    image = Image.new("RGB", (4, 4), "white").convert(mode)
    flat = colors.flatten(image, (0, 0, 0))
    assert flat.mode == "RGB" and flat.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_shows_the_color_and_half_of_it_a_blend(mode):
    image = Image.new("RGBA", (3, 1), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 128))
    image = image.convert("LA").convert(mode)
    red, green, blue = (np.asarray(channel)[0] for channel in colors.flatten(image).split())
    assert red.tolist() == green.tolist() == blue.tolist() and red.tolist()[:2] == [0, 255]
    assert red[2] == pytest.approx(127, abs=1)
    assert colors.flatten(image, (10, 20, 30)).getpixel((1, 0)) == (10, 20, 30)


def test_a_transparent_palette_colour_is_transparency(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "picture.png", transparency=0)
    with Image.open(tmp_path / "picture.png") as opened:
        flat = colors.flatten(opened)
    assert flat.getpixel((0, 0)) == (255, 255, 255) and flat.getpixel((1, 1)) == (0, 0, 255)


def noise(size, mode, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    if mode in ("RGBA", "LA"):
        return Image.fromarray(pixels if mode == "RGBA" else np.ascontiguousarray(pixels[..., :2]))
    return Image.fromarray(np.ascontiguousarray(pixels[..., :3])).convert(mode)


def linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def from_linear(value: float) -> float:
    return value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def test_adobe_rgb_is_seen_in_its_own_colours():
    """By the matrices that Adobe and the sRGB standard publish, both for the white D65."""
    adobe = (182, 79, 57)
    image = Image.new("RGB", (8, 8), adobe)
    image.info["icc_profile"] = profiles.adobe_rgb()
    to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    to_rgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    light = to_rgb @ to_xyz @ (np.array(adobe) / 255) ** 2.19921875
    wanted = [255 * from_linear(value) for value in light]
    assert colors.to_srgb(image).getpixel((0, 0)) == pytest.approx(wanted, abs=2)
    assert "icc_profile" not in colors.to_srgb(image).info


def test_a_grey_profile_counts():
    image = Image.new("L", (8, 8), 100)
    image.info["icc_profile"] = profiles.grey(1.8)
    wanted = 255 * from_linear((100 / 255) ** 1.8)
    assert colors.to_srgb(image).getpixel((0, 0)) == pytest.approx([wanted] * 3, abs=1)


@pytest.mark.parametrize(("mode", "profile"), [(mode, profile) for mode in PROFILES for profile in PROFILES[mode]])
def test_what_is_painted_comes_back_in_the_photos_colours(mode, profile):
    photo = Image.new(mode, (8, 8))
    if profile:
        photo.info["icc_profile"] = profile
    painted = Image.new("RGB", (8, 8), (120, 110, 100) if mode == "RGB" else (110,) * 3)
    own = colors.like(photo, painted)
    assert own.mode == mode
    own.info = dict(photo.info)
    there = colors.to_srgb(own).getpixel((0, 0))
    assert there == pytest.approx(painted.getpixel((0, 0)), abs=2)
    if profile:
        assert own.getpixel((0, 0)) != painted.convert(mode).getpixel((0, 0))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_what_is_8_bits_already_stays_as_it_is(mode):
    photo = noise((9, 7), mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert colors.as_photo(photo) is photo


@pytest.mark.parametrize("values", [np.uint16, np.int32, np.float32])
def test_all_levels_of_deep_pictures_are_read(values):
    ramp = np.tile(np.arange(256), (8, 1))
    deep = ramp * 257 if values is np.uint16 else ramp / 255 if values is np.float32 else ramp
    with pytest.warns(Note, match="is read with 8"):
        photo = colors.as_photo(Image.fromarray(deep.astype(values)))
    assert photo.mode == "L" and (np.asarray(photo) == ramp).all()
    assert (np.asarray(colors.levels(Image.fromarray(deep.astype(values)))) == ramp).all()


def test_of_16_bits_the_upper_8_are_kept():
    values = np.random.default_rng(0).integers(0, 65536, (16, 16), dtype=np.uint16)
    with pytest.warns(Note):
        assert (np.asarray(colors.as_photo(Image.fromarray(values))) == values // 256).all()


@pytest.mark.parametrize("thing", ["photo.png", None, np.zeros((9, 9, 3), np.uint8), 3])
def test_only_pictures_are_taken(thing):
    with pytest.raises(InputError, match="must be a PIL image: load it with"):
        colors.as_photo(thing)
    with pytest.raises(InputError, match="must be a PIL image: load it with"):
        colors.levels(thing)


@st.composite
def photos(draw):
    mode = draw(st.sampled_from(["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr", "I;16"]))
    size = draw(st.tuples(st.integers(1, 90), st.integers(1, 90)))
    seed = draw(st.integers(0, 2**32 - 1))
    if mode == "I;16":
        photo = Image.fromarray(np.random.default_rng(seed).integers(0, 65536, size[::-1], dtype=np.uint16))
    else:
        photo = noise(size, mode, seed)
    own = PROFILES["L"] if mode in ("L", "LA", "1", "I;16") else PROFILES["RGB"]
    profile = draw(st.sampled_from(own)) if mode not in ("CMYK", "YCbCr") else None
    if profile:
        photo.info["icc_profile"] = profile
    photo.info["dpi"] = (300, 300)
    return photo


@settings(max_examples=150, deadline=None)
@given(st.data(), photos(), st.floats(1, 4), st.floats(0, 0.4), st.booleans())
def test_outside_the_mask_a_photo_keeps_values_mode_profile_and_alpha(data, photo, crop_scale, feather, soft):
    corners = [sorted(data.draw(st.integers(0, side)) for _ in range(2)) for side in photo.size]
    mask = Image.new("L", photo.size, 0)
    mask.paste(data.draw(st.sampled_from([255, 180])), [corners[0][0], corners[1][0], corners[0][1], corners[1][1]])
    if mask.getbbox() is None:
        mask.putpixel((0, 0), 255)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Note)
        wanted = colors.as_photo(photo)
        chosen = presets.Inpaint(crop_scale=crop_scale, feather=feather, soft_mask=soft)
        square = inpaint.cut_square(photo, mask, chosen, 32, 4)
    assert square.image.mode == "RGB" and square.image.size == (32, 32)
    result = square.paste(Image.new("RGB", (32, 32), (90, 140, 60)), {}).image
    assert result.mode == wanted.mode and result.size == photo.size
    assert result.info.get("icc_profile") == wanted.info.get("icc_profile") and result.info["dpi"] == (300, 300)
    outside = np.asarray(mask) == 0
    assert (np.asarray(result)[outside] == np.asarray(wanted)[outside]).all()
    if not feather and not soft:  # what is painted is opaque
        alpha = np.asarray(result.convert("RGBA"))[..., 3]
        assert (alpha[~outside] == 255).all()


def test_a_soft_mask_blends_by_its_grey_levels():
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1)))
    photo, white = Image.new("RGB", (64, 64)), Image.new("RGB", (32, 32), "white")
    soft = inpaint.cut_square(photo, ramp, presets.Inpaint(soft_mask=True, feather=0.3), 32, 4)
    assert np.asarray(soft.paste(white, {}).image)[..., 0] == pytest.approx(np.asarray(ramp), abs=1)
    with pytest.warns(Note, match="^The mask is grey for the most part"):
        hard = inpaint.cut_square(photo, ramp, presets.Inpaint(), 32, 4)
    assert set(np.unique(np.asarray(hard.paste(white, {}).image))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_a_saved_result_keeps_profile_and_resolution(tmp_path, mode):
    photo, mask = noise((40, 30), mode), Image.new("L", (40, 30), 0)
    mask.paste(255, (10, 10, 20, 20))
    profile = profiles.grey() if mode in ("L", "LA") else profiles.display_p3()
    photo.info |= {"icc_profile": profile, "dpi": (300, 300), "exif": b"Exif\0\0place"}
    square = inpaint.cut_square(photo, mask, presets.Inpaint(), 32, 4)
    path = inpaint.save_result(square.paste(Image.new("RGB", (32, 32)), {"seed": 0}), tmp_path / "out.png")
    with Image.open(path) as saved:
        saved.load()
        assert saved.mode == mode and saved.info["icc_profile"] == profile and "exif" not in saved.info
        assert saved.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        outside = np.asarray(mask) == 0
        assert (np.asarray(saved)[outside] == np.asarray(photo)[outside]).all()


@pytest.mark.parametrize("dpi", [(float("nan"), 72), (float("inf"),) * 2, (4e9, 4e9), (0.5, 72), (0, 0)])
def test_odd_dots_per_inch_do_not_lose_a_painting(tmp_path, photo, dpi):
    photo.info["dpi"] = dpi
    path = inpaint.save_result(inpaint.Result(photo, {"seed": 0}, photo), tmp_path / "out.png")
    with Image.open(path) as saved:
        assert "dpi" not in saved.info and saved.tobytes() == photo.tobytes()


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_a_deep_picture_with_a_transparent_level_keeps_its_greys(mode):
    """Its level is one of 65,536, so it says nothing of 8 bits."""
    values = np.linspace(0, 65535, 64).reshape(8, 8).astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode])
    deep = Image.fromarray(values)
    assert deep.mode == mode
    wanted = np.asarray(colors.levels(deep))
    deep.info["transparency"] = 65535
    with pytest.warns(Note, match="more than 8 bits"):
        assert (np.asarray(colors.to_srgb(deep))[..., 0] == wanted).all()
    grey = colors.levels(deep)
    assert "transparency" not in grey.info and (np.asarray(grey) == wanted).all()
    assert (np.asarray(colors.levels(grey)) == wanted).all()


@pytest.mark.parametrize("mode", "1 L P PA LA La RGB RGBA RGBa RGBX CMYK YCbCr HSV LAB I F I;16".split())
def test_a_mask_may_have_any_mode(mode):
    assert colors.levels(Image.new(mode, (4, 4))).mode == "L"


def test_a_lab_picture_is_a_mask():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    mask = Image.new("RGB", (8, 8))
    mask.paste("white", (2, 2, 6, 6))
    made = colors.levels(ImageCms.profileToProfile(mask, srgb, lab, outputMode="LAB"))
    assert abs(np.asarray(made).astype(int) - np.asarray(mask)[..., 0]).max() <= 2


@pytest.mark.parametrize("color", ["black", "red", "#20ff0040", "#ffffff64"])
def test_strokes_on_a_clear_ground_count_as_white(color):
    image = Image.new("RGBA", (20, 20), (255, 255, 255, 0))
    image.paste(color, (5, 5, 15, 15))
    with pytest.warns(Note, match=r"no white on its clear ground: what is drawn there \(25% of it\) counts as white"):
        grey = colors.levels(image)
    assert grey.getbbox() == (5, 5, 15, 15) and sorted(level for _, level in grey.getcolors()) == [0, 255]


def test_with_white_on_a_clear_ground_other_colours_stay_black():
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    image.paste("white", (5, 5, 15, 15))
    image.paste("red", (0, 0, 5, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grey = colors.levels(image)
    assert grey.getpixel((2, 2)) == 76 and grey.getpixel((9, 9)) == 255


@pytest.mark.parametrize("color", [(0, 0, 0, 255), (200, 0, 0, 100), (255, 255, 255, 3)])
def test_without_a_clear_ground_or_strokes_nothing_is_guessed(color):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert colors.levels(Image.new("RGBA", (20, 20), color)).getextrema()[1] < 128
