"""The tools of the canvas that draw outlines, fill, subtract and compare, and its files, in a browser."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tools.desk import HEIGHT, SCALE, SIZE, WIDTH, assert_stroke, look, pixels

from dp_helpers import masks

TRIANGLE = (20, 15), (100, 30), (45, 80)


def polygon(*points: tuple[float, float]) -> np.ndarray:
    """Return which pixels have their centres inside a polygon, by PIL, at 8 times the resolution."""
    large = Image.new("L", (8 * WIDTH, 8 * HEIGHT), 0)
    ImageDraw.Draw(large).polygon([(8 * x, 8 * y) for x, y in points], fill=255)
    return np.asarray(large)[4::8, 4::8] == 255


def click(desk, *points: tuple[float, float]) -> None:
    for point in points:
        desk.page.mouse.click(*desk.screen(*point))


def held(desk, key: str, act) -> None:
    desk.page.keyboard.down(key)
    act()
    desk.page.keyboard.up(key)


# -- lasso, polygon, fill ------------------------------------------------------------------------------------------


def test_a_lasso_fills_what_it_encloses_in_one_message(desk):
    desk.click("lasso")
    desk.drag(*TRIANGLE, lift=False)
    assert not [message for message in desk.saved if "mask_data_url" in message]
    desk.page.mouse.up()
    assert (desk.mask() != polygon(*TRIANGLE)).sum() <= 12
    desk.press("Control+z")
    assert not desk.mask().any()


def test_a_lasso_that_crosses_itself_fills_both_loops(desk):
    desk.click("lasso")
    desk.drag((20, 20), (100, 70), (100, 20), (20, 70))
    mask = desk.mask()
    assert mask[45, 90] and mask[45, 30] and not mask[25, 60] and not mask[65, 60]


@pytest.mark.parametrize("way", ["first corner", "double click", "enter"])
def test_a_polygon_is_closed_in_three_ways(desk, way):
    desk.click("polygon")
    click(desk, *TRIANGLE)
    assert not [message for message in desk.saved if "mask_data_url" in message]
    if way == "first corner":
        click(desk, (20.6, 15.4))
    elif way == "double click":
        click(desk, TRIANGLE[-1])
    else:
        desk.press("Enter")
    assert (desk.mask() != polygon(*TRIANGLE)).sum() <= 12
    assert len([message for message in desk.saved if "mask_data_url" in message]) == 1


def test_corners_can_be_taken_back_and_the_polygon_given_up(desk):
    desk.click("polygon")
    click(desk, (20, 15), (100, 30), (110, 85))
    desk.press("Backspace")
    desk.page.click("[data-name=undo]", force=True)  # nothing else to undo, so it is marked as disabled
    click(desk, (100, 30), (45, 80), (20, 15))
    assert (desk.mask() != polygon(*TRIANGLE)).sum() <= 12
    count = len(desk.saved)
    click(desk, (60, 10), (110, 10), (110, 40))
    desk.press("Escape")
    click(desk, (60, 10))
    desk.press("Backspace")
    desk.click("brush")
    assert [list(message) for message in desk.saved[count:]] == [["tool"]]


def test_fill_fills_inside_a_closed_outline_only(desk):
    desk.page.locator("[data-name=size]").fill("4")
    desk.drag((20, 20), (80, 20), (80, 70), (20, 70), (20, 20))
    ring = desk.mask()
    desk.click("fill")
    click(desk, (50, 45))
    box = pixels(masks.rectangle(SIZE, (20, 20, 80, 70)))
    assert desk.mask()[box].all() and (desk.mask() == ring)[~box].all()
    click(desk, (50, 45))  # filled already: nothing to say
    desk.press("x")
    click(desk, (50, 45))
    assert not desk.mask().any()  # all of it is one area
    assert len([message for message in desk.saved if "mask_data_url" in message]) == 3


# -- straight lines and subtraction --------------------------------------------------------------------------------


def test_shift_and_a_click_draw_a_straight_line_from_the_last_stroke(desk):
    desk.drag((20, 20), (30, 20))
    held(desk, "Shift", lambda: click(desk, (100, 70)))
    assert_stroke(desk.mask(), 10, (20, 20), (30, 20), (100, 70))
    held(desk, "Shift", lambda: click(desk, (100, 20)))
    assert_stroke(desk.mask(), 10, (20, 20), (30, 20), (100, 70), (100, 20))
    desk.press("Control+z")
    assert_stroke(desk.mask(), 10, (20, 20), (30, 20), (100, 70))


def test_the_first_shift_click_is_a_dot(desk):
    held(desk, "Shift", lambda: click(desk, (60, 45)))
    assert_stroke(desk.mask(), 10, (60, 45))


DRAW = {
    "brush": lambda desk: desk.drag((30, 40), (90, 40)),
    "lasso": lambda desk: desk.drag(*TRIANGLE),
    "polygon": lambda desk: click(desk, *TRIANGLE, TRIANGLE[0]),
    "rectangle": lambda desk: desk.drag((20, 20), (90, 70)),
    "ellipse": lambda desk: desk.drag((20, 20), (90, 70)),
}


@pytest.mark.parametrize("tool", DRAW)
def test_every_tool_can_take_away(open_desk, tool):
    desk, full = open_desk(tool=tool, brush_size=10), open_desk(tool=tool, brush_size=10, mask=masks.full(SIZE))
    DRAW[tool](desk)
    assert desk.mask().any()
    for key in ("Alt", "Control"):
        held(full, key, lambda: DRAW[tool](full))
        assert (full.mask() == ~desk.mask()).all(), key
        full.press("Control+z")
    full.click("subtract")
    assert full.page.get_attribute("[data-name=subtract]", "aria-pressed") == "true"
    assert full.saved[-1] == {"subtract": True}
    DRAW[tool](full)
    assert (full.mask() == ~desk.mask()).all()


def test_while_subtract_is_on_the_modifier_adds(open_desk):
    desk = open_desk(tool="rectangle", subtract=True)
    held(desk, "Alt", lambda: desk.drag((20, 20), (90, 70)))
    assert (desk.mask() == pixels(masks.rectangle(SIZE, (20, 20, 90, 70)))).all()


# -- what is the page's ----------------------------------------------------------------------------------------------

HEAR = """name => {
    window.prevented = null;
    document.addEventListener(name, event => (window.prevented = event.defaultPrevented), { once: true });
}"""


@pytest.mark.parametrize("event", ["contextmenu", "wheel"])
def test_menu_and_scrolling_are_the_pages_unless_a_pointer_draws(desk, event):
    def happens() -> bool:
        desk.page.evaluate(HEAR, event)
        desk.page.evaluate(
            "name => document.querySelector('canvas').dispatchEvent(new (name === 'wheel' ? WheelEvent : MouseEvent)"
            "(name, { bubbles: true, cancelable: true, deltaY: 50, button: 2 }))",
            event,
        )
        return desk.page.evaluate("window.prevented")

    assert happens() is False
    desk.drag((20, 20), (60, 20), lift=False)
    assert happens() is True
    desk.page.mouse.up()
    assert happens() is False


def test_the_right_button_draws_nothing(desk):
    desk.page.mouse.click(*desk.screen(60, 45), button="right")
    assert desk.saved == []


def test_a_finger_scrolls_the_page_where_there_is_nothing_to_move(desk):
    action = "getComputedStyle(document.querySelector('canvas')).touchAction"
    assert desk.page.evaluate(action) == "none"
    desk.click("move")
    assert desk.page.evaluate(action) == "pan-x pan-y"
    desk.click("zoom in")
    assert desk.page.evaluate(action) == "none"


# -- undo with a held key ---------------------------------------------------------------------------------------------


def test_a_held_key_undoes_many_strokes_and_sends_the_mask_once(desk, empty):
    for y in (15, 35, 55, 75):
        desk.drag((20, y), (90, y))
    first = desk.saved[0]
    keyboard = desk.page.keyboard
    keyboard.down("Control")
    for _ in range(3):
        keyboard.down("z")  # without letting go: the browser marks these as repeated
    keyboard.up("z")
    keyboard.up("Control")
    desk.page.wait_for_function("model.saved.length === 6")  # the first press is sent at once, the rest together
    assert desk.saved[-1] == first
    desk.page.wait_for_timeout(400)
    assert len(desk.saved) == 6
    assert desk.page.get_attribute("[data-name=undo]", "aria-disabled") == "false"


# -- files and keys --------------------------------------------------------------------------------------------------


def saved_file(desk, act) -> tuple[str, np.ndarray]:
    with desk.page.expect_download() as download:
        act()
    with Image.open(io.BytesIO(download.value.path().read_bytes())) as image:
        assert set(np.unique(np.asarray(image.convert("L")))) <= {0, 255}
        return download.value.suggested_filename, np.asarray(image.convert("L")) == 255


@pytest.mark.parametrize("way", ["button", "key"])
def test_the_mask_is_saved_as_a_file_and_opens_again(desk, way):
    desk.drag((20, 20), (90, 60))
    name, mask = saved_file(desk, lambda: desk.click("save") if way == "button" else desk.press("s"))
    assert name == "mask.png" and (mask == desk.mask()).all()
    assert desk.status() == "The mask was saved as mask.png, 120 x 90 pixels."
    desk.click("clear")
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    desk.page.locator("[type=file]").set_input_files(
        {"name": name, "mimeType": "image/png", "buffer": buffer.getvalue()}
    )
    desk.page.wait_for_function("model.saved.length === 3")
    assert (desk.mask() == mask).all()


def test_the_mask_of_a_large_photo_is_saved_in_the_photos_size(open_desk):
    desk = open_desk(photo=Image.new("RGB", (3000, 600)), tool="rectangle", width=602)
    desk.drag((0, 0), (300, 159), scale=1)
    _, mask = saved_file(desk, lambda: desk.click("save"))
    assert mask.shape == (600, 3000) and (mask != desk.mask()).mean() < 0.001


def test_the_list_of_keys_is_shown_and_names_each_key(desk):
    keys = desk.page.locator(".dp-keys")
    assert not keys.is_visible()
    desk.click("keys")
    assert keys.is_visible() and desk.page.get_attribute("[data-name=keys]", "aria-expanded") == "true"
    shown = " ".join(desk.page.locator(".dp-keys dt").all_text_contents()).lower()
    letters = desk.page.evaluate("[...document.querySelectorAll('button')].map(each => each.title)")
    for title in letters:
        key = title[title.rfind("(") + 1 : -1].split(",")[0].split(" or ")[0].lower() if title.endswith(")") else ""
        assert key == "?" or key in shown, title
    desk.page.focus("canvas")
    desk.press("?")
    assert not keys.is_visible()


# -- the result ------------------------------------------------------------------------------------------------------

BLUE, RED = Image.new("RGB", SIZE, (0, 0, 200)), Image.new("RGB", SIZE, (200, 0, 0))
BOX = (20, 15, 60, 45)


def show(desk, result: Image.Image | None) -> None:
    desk.canvas.result = result
    desk.page.evaluate("url => model.fromKernel('result_data_url', url)", desk.canvas.result_data_url)
    desk.page.wait_for_timeout(100)
    desk.settle()


def test_the_result_takes_the_photos_place_and_the_mask_is_an_outline(open_desk):
    desk = open_desk(photo=BLUE, mask=masks.rectangle(SIZE, BOX))
    assert not desk.page.locator(".dp-compare").is_visible()
    show(desk, RED)
    inside, outside = look(desk, (40, 30), (100, 80))[:, :3]
    assert np.allclose(inside, (200, 0, 0), atol=4) and np.allclose(outside, (200, 0, 0), atol=4)
    assert look(desk, (40, 15.1))[0, :3].min() > 200  # the outline
    desk.drag((100, 20), (100, 40), lift=False)
    desk.settle()
    assert look(desk, (100, 30))[0, 2] > 50  # the tint is there while one draws
    desk.page.mouse.up()
    show(desk, None)
    assert np.allclose(look(desk, (110, 85))[0, :3], (0, 0, 200), atol=4)


def faint(desk) -> list[str]:
    """Return the words at the slider of what is not shown."""
    words = "[...document.querySelectorAll('.dp-compare span')]"
    return desk.page.evaluate(
        f"{words}.filter(each => getComputedStyle(each).opacity < 1).map(each => each.textContent)"
    )


def test_the_slider_shows_before_on_the_left_and_after_on_the_right(open_desk):
    desk = open_desk(photo=BLUE)
    show(desk, RED)
    slider = desk.page.locator("[data-name=compare]")
    slider.focus()
    slider.press("Home")
    assert faint(desk) == ["Before"]
    for _ in range(50):
        slider.press("ArrowRight")
    desk.settle()
    left, right = look(desk, (55, 45), (65, 45))[:, :3]
    assert np.allclose(left, (0, 0, 200), atol=4) and np.allclose(right, (200, 0, 0), atol=4)
    assert slider.get_attribute("aria-valuetext") == "50 % before"
    assert faint(desk) == []
    thumb = slider.bounding_box()
    assert thumb["x"] == desk.page.locator("canvas").bounding_box()["x"] and thumb["width"] == WIDTH * SCALE
    assert desk.saved == []
