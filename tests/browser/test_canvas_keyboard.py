"""The canvas without a pointer, and on a telephone."""

import numpy as np
import pytest
from PIL import Image
from tools.desk import HEIGHT, SIZE, WIDTH, assert_stroke, pixels

from dp_helpers import masks

MIDDLE = (WIDTH / 2, HEIGHT / 2)  # where the crosshair begins
STEP = 2  # pixels of the photo: what an arrow key moves it


@pytest.fixture
def by_key(open_desk):
    desk = open_desk(brush_size=10)
    desk.page.focus("canvas")
    return desk


def keys(desk, text: str) -> None:
    """Press keys, given as words: "Enter 5xArrowRight"."""
    for word in text.split():
        count, _, key = word.rpartition("x") if word[0].isdigit() else ("1", "", word)
        for _ in range(int(count)):
            desk.press(key)


def test_a_stroke_by_keyboard(by_key):
    keys(by_key, "Enter 10xArrowRight")
    assert by_key.saved == [] and by_key.status() == "Drawing at 80, 45"
    keys(by_key, "5xArrowUp Enter")
    assert_stroke(by_key.mask(), 10, MIDDLE, (80, 45), (80, 35))
    assert len(by_key.saved) == 1


def test_a_stroke_by_mouse_ends_the_one_by_keyboard_and_both_can_be_undone(by_key):
    keys(by_key, "Enter 10xArrowRight")
    by_key.drag((20, 70), (100, 70))
    both = by_key.mask()
    assert both[45, 62:78].all() and both[70, 22:98].all()
    by_key.press("Control+z")
    assert_stroke(by_key.mask(), 10, MIDDLE, (80, 45))
    by_key.press("Control+z")
    assert not by_key.mask().any()


def test_shift_and_an_arrow_move_by_a_pixel(by_key):
    keys(by_key, "3xShift+ArrowLeft 2xShift+ArrowDown")
    assert by_key.status() in ("Crosshair at 57, 47", "Crosshair at 57, 48")


def test_a_rectangle_by_keyboard(by_key):
    keys(by_key, "r 10xArrowLeft 5xArrowUp Enter 20xArrowRight 10xArrowDown Enter")
    box = Image.fromarray(by_key.mask()).getbbox()
    assert np.allclose(box, (40, 35, 80, 55), atol=1)


def test_a_polygon_by_keyboard_closed_by_enter_twice(by_key):
    keys(by_key, "p Enter 15xArrowRight Enter 15xArrowDown Enter")
    assert not [message for message in by_key.saved if "mask_data_url" in message]
    keys(by_key, "Enter")
    assert abs(int(by_key.mask().sum()) - 30 * 30 / 2) < 40


def test_a_lasso_a_fill_and_a_straight_line_by_keyboard(by_key):
    keys(by_key, "l Enter 10xArrowRight 10xArrowDown 10xArrowLeft Enter")
    assert abs(int(by_key.mask().sum()) - 400) < 40
    keys(by_key, "b 20xArrowLeft 15xArrowUp Enter Enter 30xArrowRight Shift+Enter Enter")
    mask = by_key.mask()
    assert mask[35, 20:80].all()
    keys(by_key, "x f Enter")
    assert not by_key.mask()[35, 20:80].any() and by_key.mask().any()


def test_escape_gives_a_stroke_up_and_alt_subtracts(open_desk):
    desk = open_desk(brush_size=10, mask=masks.full(SIZE))
    desk.page.focus("canvas")
    keys(desk, "e Enter 5xArrowRight Escape")
    assert not [message for message in desk.saved if "mask_data_url" in message]
    keys(desk, "b Alt+Enter 5xArrowLeft Enter")
    assert_stroke(~desk.mask(), 10, (70, 45), (60, 45))


def test_the_crosshair_stays_in_sight(by_key):
    keys(by_key, "4x+ 40xArrowRight")
    assert by_key.status() == "Crosshair at 120, 45"
    keys(by_key, "Enter Enter")
    assert by_key.mask()[45, 119] and not by_key.mask()[45, 110]


def test_the_crosshair_begins_at_the_pointer(by_key):
    by_key.page.mouse.move(*by_key.screen(30, 20))
    keys(by_key, "Enter Enter")
    assert_stroke(by_key.mask(), 10, (30, 20))


def test_the_whole_job_by_keyboard_alone(open_desk):
    """From outside: Tab in, choose a tool, draw, change the brush, undo, save. The pointer is never used."""
    desk = open_desk(brush_size=10)
    for _ in range(5):
        desk.press("Tab")
    desk.press("Enter")
    for _ in range(13):
        desk.press("Tab")
    assert desk.page.evaluate("document.activeElement.tagName") == "CANVAS"
    keys(desk, "10xArrowLeft 10xArrowUp Enter 20xArrowRight 20xArrowDown Enter i Control+z")
    assert (desk.mask() == pixels(masks.rectangle(SIZE, (40, 25, 80, 65)))).all()
    with desk.page.expect_download() as download:
        desk.press("s")
    assert download.value.suggested_filename == "mask.png"


# -- the telephone ---------------------------------------------------------------------------------------------------

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


@pytest.fixture
def phone(open_desk):
    return open_desk(width=320, context=PHONE, brush_size=10, mask=masks.rectangle(SIZE, (20, 15, 60, 45)))


def test_it_fits_a_telephone_with_result_and_keys_shown(phone):
    phone.canvas.result = Image.new("RGB", SIZE, "red")
    phone.page.evaluate("url => model.fromKernel('result_data_url', url)", phone.canvas.result_data_url)
    phone.page.locator(".dp-compare").wait_for()
    phone.page.tap("[data-name=keys]")
    assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    inner = phone.page.evaluate(
        """() => { const root = document.querySelector('.dp-canvas').getBoundingClientRect();
            return [...document.querySelectorAll('.dp-canvas *')].filter(each => each.offsetParent).filter(each => {
                const box = each.getBoundingClientRect();
                return box.left < root.left - 1 || box.right > root.right + 1; }).map(each => each.className); }"""
    )
    assert inner == []


def test_every_button_is_wide_enough_for_a_finger(phone):
    sizes = phone.page.evaluate(
        "[...document.querySelectorAll('.dp-canvas button')].map(each => [each.offsetWidth, each.offsetHeight])"
    )
    assert np.array(sizes).min() >= 44


def test_the_tools_work_by_finger(phone):
    scale = phone.page.locator("canvas").bounding_box()["width"] / WIDTH
    phone.page.tap("[data-name=subtract]")
    phone.page.tap("[data-name=polygon]")
    for point in ((10, 5), (110, 5), (110, 85), (10, 85), (10, 5)):
        phone.page.touchscreen.tap(*phone.screen(*point, scale))
    phone.settle()
    assert not phone.mask().any()
