"""The button "Open": a picture file becomes the mask as if the kernel had read it, or is refused in a sentence."""

import base64
import io
import re
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from tools.desk import HEIGHT, WIDTH

from dp_helpers import masks, pictures
from dp_helpers.errors import InputError
from dp_helpers.widgets.canvas import MAX_SIDE, MaskCanvas

SIZE = (WIDTH, HEIGHT)
MASK = masks.rectangle(SIZE, (20, 15, 60, 45))
TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}


def file(image: Image.Image, kind: str = "PNG", name: str | None = None, **options) -> dict:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return {"name": name or f"mask.{kind.lower()}", "mimeType": TYPES[kind], "buffer": buffer.getvalue()}


def choose(desk, file: dict) -> None:
    """Press the button and choose this file; wait until the canvas has said something new."""
    desk.page.evaluate("document.querySelector('[role=status]').textContent = ''")
    with desk.page.expect_file_chooser() as chooser:
        desk.click("open")
    chooser.value.set_files(file)
    desk.settle()


def half_transparent() -> Image.Image:
    """White all over, its transparency a ramp: what is less than half there is kept."""
    image = Image.new("RGBA", SIZE, (255, 255, 255, 0))
    image.putalpha(Image.linear_gradient("L").resize(SIZE))
    return image


def drawing(color: str, ground: int = 0) -> Image.Image:
    """A drawing on a clear ground."""
    image = Image.new("RGBA", SIZE, (255, 255, 255, ground))
    image.paste(color, (20, 15, 60, 45))
    return image


def colors() -> Image.Image:
    ramp, other = Image.linear_gradient("L").resize(SIZE), Image.linear_gradient("L").rotate(90).resize(SIZE)
    return Image.merge("RGB", (ramp, other, ramp.transpose(Image.Transpose.ROTATE_180)))


@pytest.mark.parametrize(
    "image, kind",
    [(MASK, "PNG"), (MASK.convert("1"), "PNG"), (MASK.convert("P"), "PNG"), (MASK.convert("LA"), "PNG")]
    + [(MASK, "JPEG"), (MASK.convert("RGB"), "WEBP"), (colors(), "PNG"), (half_transparent(), "PNG")]
    + [(Image.linear_gradient("L").resize(SIZE), "PNG"), (masks.full(SIZE), "PNG")]
    + [(drawing(color), "PNG") for color in ("black", "red", "#20ff0040", "white")]
    + [(drawing("white", ground=100), "PNG")],
)
def test_a_file_is_read_as_the_kernel_would(desk, image, kind):
    desk.drag((5, 5), (100, 80))
    chosen = file(image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    choose(desk, chosen)
    wanted = MaskCanvas(desk.canvas.photo, Image.open(io.BytesIO(chosen["buffer"]))).mask
    assert (desk.mask() == (np.asarray(wanted) == 255)).all()
    assert len(desk.saved) == 2 and list(desk.saved[-1]) == ["mask_data_url"]
    assert desk.status().startswith("Mask covers")


def test_the_files_numbers_count_whatever_it_says_of_gamma(desk):
    note = PngInfo()
    note.add(b"gAMA", struct.pack(">I", 100000))  # linear light: shown, 100 would be as bright as 168
    choose(desk, file(Image.linear_gradient("L").resize(SIZE), pnginfo=note))
    assert (desk.mask() == (np.asarray(Image.linear_gradient("L").resize(SIZE)) >= 128)).all()


def test_a_photo_lying_on_its_side_is_turned_as_everywhere(desk):
    exif = Image.Exif()
    exif[0x0112] = 6
    choose(desk, file(MASK.rotate(90, expand=True), "JPEG", exif=exif))
    assert (desk.mask() == (np.asarray(MASK) == 255)).mean() > 0.99


def test_opening_is_one_step_to_undo_and_the_same_file_can_be_opened_again(desk):
    desk.drag((80, 20), (100, 20))
    stroke = desk.mask()
    choose(desk, file(MASK))
    assert (
        desk.page.evaluate("document.querySelector('[type=file]').value") == ""
    )  # else a browser would not tell again
    desk.press("Control+z")
    assert (desk.mask() == stroke).all()
    desk.click("redo")
    assert (desk.mask() == (np.asarray(MASK) == 255)).all()
    desk.click("clear")
    choose(desk, file(MASK))
    assert (desk.mask() == (np.asarray(MASK) == 255)).all()
    assert len(desk.saved) == 6


def test_another_size_is_refused_in_the_words_of_the_kernel(desk):
    desk.drag((20, 20), (60, 20))
    before = desk.mask()
    choose(desk, file(Image.new("L", (64, 32), 255)))
    said = "The mask is 64 x 32 pixels but the photo is 120 x 90: make them the same size."
    assert desk.status() == said
    with pytest.raises(ValueError, match=said):
        desk.canvas.set_mask(Image.new("L", (64, 32), 255))
    assert len(desk.saved) == 1
    choose(desk, file(Image.fromarray(before)))  # the mask that is there already: nothing to send, but something to say
    assert len(desk.saved) == 1 and desk.status().startswith("Mask covers")


@pytest.mark.parametrize(
    "content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"]
)
def test_what_is_no_picture_is_refused_by_name_and_harms_nothing(desk, content):
    desk.drag((20, 20), (60, 20))
    before = desk.mask()
    name = "<b onclick=alert(1)>.png"
    choose(desk, {"name": name, "mimeType": "image/png", "buffer": content})
    assert desk.status() == f"{name} cannot be read as a picture: save it again as PNG or JPEG."
    assert desk.page.locator("[role=status] > *").count() == 0
    assert len(desk.saved) == 1
    desk.click("invert")
    assert (desk.mask() == ~before).all()


@pytest.mark.parametrize("image", [Image.new("L", SIZE), Image.new("L", SIZE, 100), drawing("#ff000005")])
def test_a_file_in_which_nothing_is_marked_is_refused_as_by_the_kernel(desk, image, tmp_path):
    desk.drag((20, 20), (60, 20))
    before = desk.mask()
    choose(desk, file(image))
    said = "paint the region to fill in white (255) on black (0)."
    assert desk.status() == f"The mask has no white: {said}" and len(desk.saved) == 1
    image.save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=re.escape(said)):
        pictures.read_mask(tmp_path / "mask.png", SIZE)
    desk.click("invert")
    assert (desk.mask() == ~before).all()


def test_choosing_nothing_changes_nothing(desk):
    desk.drag((20, 20), (60, 20))
    desk.page.locator("[type=file]").set_input_files([])
    desk.page.locator("[type=file]").dispatch_event("change")
    desk.settle()
    assert len(desk.saved) == 1 and desk.status().startswith("Mask covers") and desk.errors == []


def test_the_button_asks_for_one_picture_file(desk):
    with desk.page.expect_file_chooser() as chooser:
        desk.click("open")
    assert chooser.value.element.get_attribute("accept") == "image/png,image/jpeg,image/webp"
    assert not chooser.value.is_multiple()
    assert desk.page.get_attribute("[data-name=open]", "aria-label") == "Open"


@pytest.mark.parametrize("key", ["Enter", " "])
def test_the_button_works_by_key(desk, key):
    # Playwright misses the chooser that Enter opens, a plain input's too: so look for what opens it.
    desk.page.evaluate(
        "document.querySelector('[type=file]').onclick = () => (window.asked = navigator.userActivation.isActive)"
    )
    desk.page.focus("[data-name=open]")
    desk.press(key)
    assert desk.page.evaluate("window.asked") is True


def test_a_photo_larger_than_the_drawing_takes_a_mask_of_its_own_size(open_desk):
    size = (3000, 600)
    desk = open_desk(photo=Image.new("RGB", size), width=602)
    box = (750, 150, 2250, 450)
    choose(desk, file(masks.rectangle(size, box)))
    got = Image.fromarray(desk.mask()).getbbox()
    assert np.allclose(got, box, atol=2)
    choose(desk, file(Image.new("L", (MAX_SIDE, round(600 * MAX_SIDE / 3000)), 255)))
    assert desk.status() == "The mask is 2048 x 410 pixels but the photo is 3000 x 600: make them the same size."


def drop(desk, chosen: dict) -> None:
    chosen = chosen | {"buffer": base64.b64encode(chosen["buffer"]).decode()}
    desk.page.evaluate(
        """async (file) => {
            const bytes = Uint8Array.from(atob(file.buffer), (letter) => letter.charCodeAt(0));
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytes], file.name, { type: file.mimeType }));
            document.querySelector('[role=status]').textContent = '';
            for (const name of ['dragover', 'drop']) {
                const event = new DragEvent(name, { dataTransfer, bubbles: true, cancelable: true });
                document.querySelector('canvas').dispatchEvent(event);
                if (!event.defaultPrevented) throw new Error('the browser would leave the page for the file');
            }
        }""",
        chosen,
    )
    desk.settle()


def test_a_file_can_be_dropped_on_the_photo(desk):
    drop(desk, file(MASK))
    assert (desk.mask() == (np.asarray(MASK) == 255)).all()
    assert len(desk.saved) == 1
