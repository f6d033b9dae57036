"""The reader: every format to the right pixels, and whatever a file holds, a picture or one sentence."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from tools import corpus, profiles

from dp_helpers import catalog, pictures
from dp_helpers.errors import InputError, Note

EXACT = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}
CLOSE = {"JPEG": {"quality": 95, "subsampling": 0}, "AVIF": {"quality": 95}, "GIF": {}}


def read(content, name="given"):
    return pictures.decode_photo(content, name)


@pytest.mark.parametrize("kind", [*EXACT, *CLOSE])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_format_gives_its_pixels(kind, mode):
    scene = corpus.scene().convert(mode)
    loaded = read(corpus.encoded(scene, kind, **(EXACT | CLOSE)[kind])).convert("RGB")
    difference = abs(np.asarray(loaded).astype(int) - np.asarray(scene.convert("RGB")))
    assert difference.max() == 0 if kind in EXACT else difference.mean() < 12


def test_heic_photos_are_read(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "photo.HEIC"
    pillow_heif.from_pillow(corpus.scene()).save(path, quality=95)
    assert ".heic" in pictures.known_endings()
    difference = abs(np.asarray(catalog.load_photo(path)).astype(int) - np.asarray(corpus.scene()))
    assert difference.mean() < 5


@pytest.mark.parametrize("number", range(1, 9))
def test_all_eight_orientations_stand_upright(number):
    upright = read(corpus.oriented(number))
    assert upright.size == corpus.SIZE
    assert abs(np.asarray(upright).astype(int) - np.asarray(corpus.scene())).mean() < 4
    assert upright.getexif().get(0x0112, 1) == 1


def test_the_first_frame_is_taken():
    moving = corpus.encoded(corpus.scene(), "GIF", save_all=True, append_images=[corpus.hole().convert("RGB")])
    assert np.asarray(read(moving).convert("RGB")).std() == pytest.approx(np.asarray(corpus.scene()).std(), rel=0.1)


def test_cmyk_is_read_by_its_profile(tmp_path):
    press = corpus.scene().convert("CMYK")
    press.save(tmp_path / "press.tif", icc_profile=profiles.cmyk())
    with pytest.warns(Note, match="press.tif is CMYK: it is read as sRGB"):
        loaded = pictures.read_photo(tmp_path / "press.tif")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profiles.cmyk()))
    wanted = ImageCms.profileToProfile(
        press, profile, ImageCms.createProfile("sRGB"), 1, "RGB", flags=ImageCms.Flags.BLACKPOINTCOMPENSATION
    )
    assert loaded.mode == "RGB" and "icc_profile" not in loaded.info
    assert (np.asarray(loaded) == np.asarray(wanted)).all()
    assert abs(np.asarray(loaded).astype(int) - np.asarray(press.convert("RGB"))).max() > 30


def png_of_16_bits(kind: int, channels: int, side: int = 8) -> bytes:
    """Return a black PNG of 16 bits a channel, which PIL cannot write. ``kind`` is PNG's number for its colours."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 16, kind, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(2 * channels * side)) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)], ids=["grey", "RGB", "grey A", "RGBA"])
def test_what_is_cut_to_8_bits_is_told_once(kind, channels):
    with pytest.warns(Note, match="given has more than 8 bits a channel: it is read with 8") as notes:
        read(png_of_16_bits(kind, channels))
    assert len(notes) == 1


def test_catalogue_photos_are_learnt_in_their_own_colours(tmp_path):
    photo = Image.new("RGB", (16, 16), (182, 79, 57))
    photo.save(tmp_path / "photo.png", icc_profile=profiles.display_p3())
    loaded = catalog.load_photo(tmp_path / "photo.png")
    assert loaded.getpixel((0, 0))[0] > 190 and "icc_profile" not in loaded.info
    assert pictures.read_photo(tmp_path / "photo.png").getpixel((0, 0)) == (182, 79, 57)


def test_alpha_is_on_white_for_models_and_kept_for_painting(tmp_path):
    photo = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    photo.save(tmp_path / "photo.png")
    assert catalog.load_photo(tmp_path / "photo.png").getpixel((0, 0)) == (255, 255, 255)
    assert pictures.read_photo(tmp_path / "photo.png").getpixel((0, 0)) == (255, 0, 0, 0)


@pytest.mark.parametrize("name", [case[0] for case in corpus.MASKS if case[2] == [corpus.NO_RUN]])
def test_all_good_masks_of_the_corpus_mark_the_same_pixels(tmp_path, name):
    make = next(case[1] for case in corpus.MASKS if case[0] == name)
    path = make(tmp_path)[3]
    marked = np.asarray(pictures.read_mask(path, corpus.SIZE)) > 0
    assert (marked == (np.asarray(corpus.hole()) > 0)).all()


def test_a_soft_mask_is_kept_on_request(tmp_path):
    corpus.soft_hole().save(tmp_path / "mask.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        soft = pictures.read_mask(tmp_path / "mask.png", corpus.SIZE, soft=True)
    assert soft.tobytes() == corpus.soft_hole().tobytes()


def test_50_megapixels_are_read(tmp_path):
    Image.new("L", (8000, 6250), 200).save(tmp_path / "large.png")
    assert pictures.read_photo(tmp_path / "large.png").size == (8000, 6250)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_picture_or_one_sentence(content):
    picture_or_sentence(content)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*EXACT, *CLOSE]), st.integers(0, 2**20), st.integers(0, 255), st.integers(0, 2**20))
def test_damaged_files_are_a_picture_or_one_sentence(kind, place, value, length):
    content = bytearray(corpus.encoded(corpus.scene(), kind))
    content[place % len(content)] = value
    picture_or_sentence(bytes(content[: len(content) - length % 40]))


def picture_or_sentence(content):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            photo = pictures.decode_photo(content, "given.png")
        except InputError as error:
            assert str(error).startswith("given.png ") and "\n" not in str(error)
        else:
            assert photo.mode in ("RGB", "RGBA", "L", "LA")
