"""The mask canvas, kernel side: what goes to the browser, what comes back, and what is refused. No browser here."""

import base64
import io
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dp_helpers.errors import InputError, Note
from dp_helpers.widgets import canvas as canvas_module
from dp_helpers.widgets.canvas import MAX_SIDE, MaskCanvas

PNG = "data:image/png;base64,"
JPEG = "data:image/jpeg;base64,"


def png_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return PNG + base64.b64encode(buffer.getvalue()).decode()


def picture(url: str, prefix: str) -> Image.Image:
    assert url.startswith(prefix)
    return Image.open(io.BytesIO(base64.b64decode(url[len(prefix) :])))


def assert_same(got: Image.Image, wanted: Image.Image) -> None:
    assert (got.mode, got.size) == ("L", wanted.size)
    assert (np.asarray(got) == np.asarray(wanted)).all()


def test_nothing_is_marked_at_first(photo):
    canvas = MaskCanvas(photo)
    assert canvas.mask_data_url == ""
    assert_same(canvas.mask, Image.new("L", photo.size, 0))
    assert canvas.photo is photo


def test_the_photo_travels_as_a_data_url_of_its_own_size(photo):
    canvas = MaskCanvas(photo)
    assert picture(canvas.photo_data_url, JPEG).size == photo.size == (canvas.mask_width, canvas.mask_height)


def test_a_given_mask_comes_back_and_goes_to_the_browser(photo, mask):
    canvas = MaskCanvas(photo, mask)
    assert_same(canvas.mask, mask)
    assert_same(picture(canvas.mask_data_url, PNG), mask)


def test_what_the_browser_sends_is_read(photo, mask):
    canvas = MaskCanvas(photo)
    canvas.set_state({"mask_data_url": png_url(mask.convert("RGBA"))})  # how the kernel takes a message
    assert_same(canvas.mask, mask)
    canvas.set_state({"mask_data_url": ""})
    assert canvas.mask.getbbox() is None


def test_a_message_is_not_echoed_by_reading_the_mask(photo, mask):
    canvas, sent = MaskCanvas(photo), []
    canvas.set_state({"mask_data_url": png_url(mask)})
    canvas.observe(sent.append)
    assert_same(canvas.mask, mask)
    assert sent == []


def test_observers_hear_of_every_change_once(photo, mask):
    canvas, heard = MaskCanvas(photo), []
    canvas.observe(lambda change: heard.append(canvas.mask), names="mask_data_url")
    canvas.set_state({"mask_data_url": png_url(mask)})
    canvas.mask = Image.new("L", photo.size, 255)
    canvas.mask = Image.new("L", photo.size, 255)
    assert [np.asarray(each).mean() for each in heard] == [np.asarray(mask).mean(), 255]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_masks_of_any_mode_become_hard(photo, mask, mode):
    canvas = MaskCanvas(photo)
    canvas.set_mask(mask.convert("RGB").convert(mode))
    assert_same(canvas.mask, mask)


@pytest.mark.parametrize(("values", "factor"), [(np.uint16, 257), (np.int32, 1), (np.float32, 1 / 255)])
def test_deep_masks_and_photos_are_read_in_all_their_levels(photo, mask, values, factor):
    deep = Image.fromarray((np.asarray(mask) * float(factor)).astype(values))
    with pytest.warns(Note, match="is read with 8"):
        canvas = MaskCanvas(deep, deep)
    assert_same(canvas.mask, mask)
    shown = np.asarray(picture(canvas.photo_data_url, JPEG).convert("L"))
    assert abs(shown.astype(int) - np.asarray(mask)).mean() < 3


def test_grey_is_split_at_the_middle_and_transparent_is_black(photo):
    grey = Image.new("L", photo.size, 127)
    grey.paste(128, (0, 0, 10, 10))
    clear = Image.new("RGBA", photo.size, (255, 255, 255, 0))
    clear.paste((255, 255, 255, 255), (0, 0, 10, 10))
    for mask in (grey, clear):
        assert MaskCanvas(photo, mask).mask.getbbox() == (0, 0, 10, 10)


def test_grey_from_the_browser_becomes_hard_too(photo):
    canvas = MaskCanvas(photo)
    canvas.mask_data_url = png_url(Image.linear_gradient("L").resize(photo.size))
    assert set(np.unique(np.asarray(canvas.mask))) == {0, 255}


def test_the_mask_got_is_a_copy(photo, mask):
    canvas = MaskCanvas(photo, mask)
    canvas.mask.paste(255, (0, 0, 90, 70))
    assert_same(canvas.mask, mask)


def test_a_large_photo_is_painted_smaller_and_its_mask_comes_back_at_its_own_size():
    photo = Image.new("RGB", (3000, 1001))
    mask = Image.new("L", photo.size, 0)
    mask.paste(255, (900, 300, 2100, 701))
    canvas = MaskCanvas(photo, mask)
    drawing = (MAX_SIDE, round(1001 * MAX_SIDE / 3000))
    assert (canvas.mask_width, canvas.mask_height) == drawing
    assert (canvas.photo_width, canvas.photo_height) == photo.size
    assert picture(canvas.photo_data_url, JPEG).size == picture(canvas.mask_data_url, PNG).size == drawing
    assert_same(canvas.mask, mask)  # exactly, as long as nobody painted

    painted = Image.new("L", drawing, 0)
    painted.paste(255, (0, 0, drawing[0] // 2, drawing[1]))
    canvas.set_state({"mask_data_url": png_url(painted)})
    half = np.asarray(canvas.mask)
    assert half.shape == (1001, 3000)
    assert (half[:, :1500] == 255).all() and (half[:, 1500:] == 0).all()


def test_a_photo_of_the_largest_side_is_painted_pixel_by_pixel():
    canvas = MaskCanvas(Image.new("L", (MAX_SIDE, 3)))
    assert (canvas.mask_width, canvas.mask_height) == (MAX_SIDE, 3)


def test_a_very_narrow_photo_keeps_a_pixel():
    canvas = MaskCanvas(Image.new("RGB", (3 * MAX_SIDE, 1)))
    assert (canvas.mask_width, canvas.mask_height) == (MAX_SIDE, 1)
    assert canvas.mask.size == (3 * MAX_SIDE, 1)


def test_rotation_in_the_exif_data_does_not_reach_the_browser(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    canvas = MaskCanvas(Image.open(tmp_path / "turned.jpg"))
    shown = picture(canvas.photo_data_url, JPEG)
    assert shown.size == canvas.mask.size == (40, 20)
    assert 0x0112 not in shown.getexif()


def test_a_transparent_photo_stands_on_white():
    canvas = MaskCanvas(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    assert picture(canvas.photo_data_url, JPEG).getpixel((4, 4)) == (255, 255, 255)


def test_only_plain_traits_are_synced(photo, mask):
    state = MaskCanvas(photo, mask).get_state()
    ours = {name for name, trait in MaskCanvas.class_own_traits().items() if trait.metadata.get("sync")}
    assert ours >= {"photo_data_url", "mask_data_url", "tool", "brush_size", "overlay_opacity"}
    assert {name for name in ours if not isinstance(state[name], (str, int, float))} == set()
    assert "export default" in state["_esm"] and ".dp-canvas" in state["_css"]


def test_the_browsers_half_is_small_files_that_are_all_sent_and_installed(photo):
    package = Path(canvas_module.__file__).parent
    sources = sorted(package.glob("canvas/*.js"))
    assert {source.name for source in sources} == set(canvas_module.SOURCES)
    sent = MaskCanvas(photo).get_state()["_esm"]
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert text in sent and len(text.splitlines()) < 250
        assert ("export default" in text) == (source.name == canvas_module.SOURCES[-1])
    pyproject = tomllib.loads((package.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = pyproject["tool"]["setuptools"]["package-data"]["dp_helpers.widgets"]
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path for path in package.rglob("*.*") if path.suffix not in (".py", ".pyc")} == installed


def test_settings_are_taken_and_checked(photo):
    canvas = MaskCanvas(photo, tool="ellipse", brush_size=3, overlay_opacity=1)
    assert (canvas.tool, canvas.brush_size, canvas.overlay_opacity) == ("ellipse", 3, 1.0)
    assert MaskCanvas(photo).brush_size == 7  # a tenth of the shorter side
    for wrong in ({"tool": "spray"}, {"brush_size": 0}, {"overlay_opacity": 2}):
        with pytest.raises(canvas_module.traitlets.TraitError):
            MaskCanvas(photo, **wrong)


@pytest.mark.parametrize("not_a_photo", ["photo.png", None, np.zeros((4, 4, 3)), Image.new("RGB", (0, 5))])
def test_a_photo_must_be_a_picture(not_a_photo):
    with pytest.raises(InputError, match="The photo must be a PIL image") as error:
        MaskCanvas(not_a_photo)
    assert "load_photo" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("not_a_mask", ["mask.png", np.zeros((70, 90)), 7, (90, 70)])
def test_a_mask_must_be_a_black_and_white_picture(photo, mask, not_a_mask):
    canvas = MaskCanvas(photo, mask)
    with pytest.raises(InputError, match="The mask must be a PIL image"):
        canvas.set_mask(not_a_mask)
    with pytest.raises(InputError, match="The mask must be a PIL image"):
        MaskCanvas(photo, not_a_mask)
    assert_same(canvas.mask, mask)  # the one before stays


def test_none_is_no_mask_to_assign(photo):
    with pytest.raises(InputError, match="not NoneType"):
        MaskCanvas(photo).mask = None


def test_a_mask_of_another_size_is_refused(photo):
    with pytest.raises(InputError, match="64 x 64 pixels but the photo is 90 x 70"):
        MaskCanvas(photo, Image.new("L", (64, 64)))


@pytest.mark.parametrize("text", ["hello", PNG, PNG + "AAAA", PNG + "???", "data:image/svg+xml;base64,AAAA"])
def test_text_that_is_no_picture_is_refused_when_read(photo, text):
    canvas = MaskCanvas(photo)
    canvas.mask_data_url = text
    with pytest.raises(InputError, match="mask_data_url is not a picture"):
        _ = canvas.mask


def test_importing_the_canvas_loads_no_torch():
    heavy = ("torch", "diffusers", "transformers")
    code = f"import sys, dp_helpers.widgets.canvas; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
