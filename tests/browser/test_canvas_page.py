"""The mask canvas in a browser: what is drawn is what the kernel gets, pixel by pixel, once per lifted pointer."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from tools.desk import HEIGHT, SCALE, SIZE, WIDTH, assert_stroke, distance_to, look, pixels

from dp_helpers import masks

BOX = (20, 15, 60, 45)  # a mask that the kernel sets, left, top, right, bottom


# -- tools ---------------------------------------------------------------------------------------------------------


def test_a_rectangle_is_exact(desk):
    desk.click("rectangle")
    desk.drag((10, 20), (70, 60))
    assert (desk.mask() == pixels(masks.rectangle(SIZE, (10, 20, 70, 60)))).all()


def test_a_rectangle_can_be_dragged_up_and_left_and_beyond_the_photo(desk):
    desk.click("rectangle")
    desk.drag((40, 30), (-3, -4))
    assert (desk.mask() == pixels(masks.rectangle(SIZE, (0, 0, 40, 30)))).all()


@pytest.mark.parametrize("box", [(10, 20, 71, 60), (30, 5, 51, 84)])
def test_an_ellipse_is_pils_but_for_its_boundary(desk, box):
    desk.click("ellipse")
    desk.drag(box[:2], box[2:])
    wanted = masks.ellipse(SIZE, box)
    boundary = pixels(wanted.filter(ImageFilter.MaxFilter(3))) & ~pixels(wanted.filter(ImageFilter.MinFilter(3)))
    got = desk.mask()
    assert (got == pixels(wanted))[~boundary].all()
    assert Image.fromarray(got).getbbox() == box


def test_the_brush_paints_a_capsule(desk):
    desk.drag((20, 20), (90, 70))
    assert_stroke(desk.mask(), 10, (20, 20), (90, 70))


def test_a_stroke_follows_the_pointer_round_a_corner(desk):
    way = (20, 20), (100, 30), (60, 75)
    desk.drag(*way)
    assert_stroke(desk.mask(), 10, *way)


def test_a_click_paints_a_dot_and_the_smallest_brush_a_pixel(open_desk):
    desk = open_desk(brush_size=9)
    desk.drag((60, 45))
    assert_stroke(desk.mask(), 9, (60, 45))
    tiny = open_desk(brush_size=1)
    tiny.drag((60.6, 45.4))
    assert tiny.mask().sum() in (1, 2) and tiny.mask()[45, 60]


def test_the_eraser_takes_away(open_desk):
    desk = open_desk(mask=masks.full(SIZE), brush_size=12, tool="eraser")
    desk.drag((30, 40), (90, 40))
    assert_stroke(~desk.mask(), 12, (30, 40), (90, 40))


@pytest.mark.parametrize("tool", ["rectangle", "ellipse"])
def test_shift_makes_it_square(desk, tool):
    desk.click(tool)
    desk.page.keyboard.down("Shift")
    desk.drag((20, 20), (70, 40))
    desk.page.keyboard.up("Shift")
    assert Image.fromarray(desk.mask()).getbbox() == (20, 20, 70, 70)


def test_shift_pressed_and_let_go_during_the_drag_counts_as_it_is_in_the_end(desk):
    desk.click("rectangle")
    desk.drag((20, 20), (70, 40), lift=False)
    desk.page.keyboard.down("Shift")
    desk.page.keyboard.up("Shift")
    desk.page.mouse.up()
    assert Image.fromarray(desk.mask()).getbbox() == (20, 20, 70, 40)


def test_alt_makes_a_shape_erase(open_desk):
    desk = open_desk(mask=masks.full(SIZE), tool="rectangle")
    desk.page.keyboard.down("Alt")
    desk.drag((10, 10), (30, 30))
    desk.page.keyboard.up("Alt")
    assert (desk.mask() == ~pixels(masks.rectangle(SIZE, (10, 10, 30, 30)))).all()


@pytest.mark.parametrize("tool", ["brush", "rectangle", "ellipse"])
def test_escape_cancels_the_drag(open_desk, tool):
    desk = open_desk(tool=tool, mask=masks.rectangle(SIZE, BOX))
    desk.drag((5, 5), (100, 80), lift=False)
    desk.press("Escape")
    desk.page.mouse.move(*desk.screen(50, 50))
    desk.page.mouse.up()
    assert desk.saved == []
    desk.click("invert")
    assert (desk.mask() == ~pixels(masks.rectangle(SIZE, BOX))).all()


# -- messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["brush", "rectangle", "ellipse"])
def test_one_message_when_the_pointer_lifts_and_none_before(open_desk, tool):
    desk = open_desk(tool=tool)
    for count in (1, 2):
        desk.drag((40 * count, 10), (60, 40), (10, 80), lift=False)
        assert len(desk.saved) == count - 1
        desk.page.mouse.up()
        assert len(desk.saved) == count
        assert list(desk.saved[-1]) == ["mask_data_url"]
        assert desk.saved[-1]["mask_data_url"].startswith("data:image/png;base64,")


def test_what_changes_nothing_sends_nothing(desk):
    desk.drag((30, 30), (60, 60))
    for _ in range(2):
        desk.drag((40, 40), (50, 50))  # inside what is painted
    desk.page.mouse.move(*desk.screen(80, 20))
    desk.page.keyboard.press("Control+Shift+z")
    assert len(desk.saved) == 1


def test_the_overlays_opacity_leaves_the_mask_alone(desk):
    desk.drag((30, 30), (60, 60))
    before = desk.mask()
    for value in ("0", "100"):
        desk.page.locator("[data-name=opacity]").fill(value)
        desk.click("invert")
        desk.click("invert")
        assert (desk.mask() == before).all()
    assert [message["overlay_opacity"] for message in desk.saved if "overlay_opacity" in message] == [0, 1]


# -- undo, redo, clear, invert -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "undo, redo", [("Control+z", "Control+Shift+z"), ("Meta+z", "Meta+Shift+z"), ("Control+z", "Control+y")]
)
def test_undo_and_redo_by_key(desk, empty, undo, redo):
    desk.drag((20, 20), (60, 20))
    first = desk.mask()
    desk.drag((20, 70), (60, 70))
    second = desk.mask()
    desk.press(undo)
    assert (desk.mask() == first).all()
    desk.press(undo)
    assert (desk.mask() == empty).all()
    desk.press(undo)  # nothing left: no message
    assert len(desk.saved) == 4
    desk.press(redo)
    desk.press(redo)
    assert (desk.mask() == second).all()


def test_undo_and_redo_by_button_of_every_kind_of_change(desk):
    desk.drag((20, 20), (60, 20))
    desk.click("rectangle")
    desk.drag((70, 30), (90, 60))
    desk.click("invert")
    desk.click("clear")
    urls = [message["mask_data_url"] for message in desk.saved if "mask_data_url" in message]
    for wanted in reversed(urls[:-1]):
        desk.click("undo")
        assert desk.saved[-1] == {"mask_data_url": wanted}
    for wanted in urls[1:]:
        desk.click("redo")
        assert desk.saved[-1] == {"mask_data_url": wanted}
    assert desk.page.get_attribute("[data-name=redo]", "aria-disabled") == "true"


def test_a_new_stroke_ends_redo(desk):
    desk.drag((20, 20), (60, 20))
    desk.press("Control+z")
    desk.drag((20, 70), (60, 70))
    count = len(desk.saved)
    desk.page.click("[data-name=redo]", force=True)  # forced, since Playwright waits for what is marked as disabled
    assert len(desk.saved) == count
    assert_stroke(desk.mask(), 10, (20, 70), (60, 70))


def test_the_memory_of_undo_is_bounded(desk):
    desk.click("invert")
    for _ in range(102):
        desk.press("i")
    for _ in range(110):
        desk.press("Control+z")
    assert len(desk.saved) == 103 + 100


def test_clear_and_invert(desk, empty):
    desk.click("invert")
    assert desk.mask().all()
    desk.click("clear")
    assert (desk.mask() == empty).all()
    desk.drag((20, 20), (60, 20))
    before = desk.mask()
    desk.click("invert")
    assert (desk.mask() == ~before).all()


# -- masks from the kernel -----------------------------------------------------------------------------------------


def test_a_given_mask_is_shown_and_mended_by_the_eraser(open_desk):
    given = masks.rectangle(SIZE, BOX)
    desk = open_desk(mask=given, tool="eraser", brush_size=8)
    desk.drag((0, 30), (80, 30))
    distance = distance_to((0, 30), (80, 30))
    got = desk.mask()
    assert (got == pixels(given))[distance >= 5].all() and not got[distance <= 3].any()
    desk.press("Control+z")
    assert (desk.mask() == pixels(given)).all()


def test_a_mask_from_the_kernel_is_not_echoed_and_can_be_undone(desk):
    desk.drag((80, 20), (100, 20))
    stroke = desk.mask()
    desk.from_kernel(masks.rectangle(SIZE, BOX))
    assert len(desk.saved) == 1
    assert desk.status() == "Mask covers 11 % of the photo"
    desk.click("undo")
    assert (desk.mask() == stroke).all()
    desk.click("redo")
    assert (desk.mask() == pixels(masks.rectangle(SIZE, BOX))).all()


def test_the_kernel_can_set_a_mask_again_that_was_painted_over(desk):
    rectangle = masks.rectangle(SIZE, BOX)
    desk.from_kernel(rectangle)
    desk.click("clear")
    desk.from_kernel(rectangle)
    desk.click("invert")
    assert (desk.mask() == ~pixels(rectangle)).all()


def test_a_mask_set_while_one_draws_ends_the_drag(desk):
    desk.drag((80, 20), (100, 20), lift=False)
    desk.from_kernel(masks.rectangle(SIZE, BOX))
    desk.page.mouse.up()
    assert desk.saved == []
    desk.click("invert")
    assert (desk.mask() == ~pixels(masks.rectangle(SIZE, BOX))).all()


def test_text_that_is_no_picture_is_said_and_harms_nothing(desk):
    desk.drag((20, 20), (60, 20))
    before = desk.mask()
    desk.page.evaluate("model.fromKernel('mask_data_url', 'data:image/png;base64,AAAA')")
    desk.page.wait_for_function("document.querySelector('[role=status]').textContent.includes('cannot be read')")
    desk.click("invert")
    assert (desk.mask() == ~before).all()


def test_settings_from_the_kernel_show(desk):
    for name, value in (("brush_size", 7), ("tool", "eraser"), ("overlay_opacity", 0.25)):
        desk.page.evaluate("([name, value]) => model.fromKernel(name, value)", [name, value])
    assert desk.page.get_attribute("[data-name=eraser]", "aria-pressed") == "true"
    assert desk.page.input_value("[data-name=size]") == "7"
    assert desk.page.input_value("[data-name=opacity]") == "25"
    assert desk.saved == []


def test_two_views_of_one_canvas_show_the_same_mask(desk):
    desk.page.evaluate("() => { show() }")
    desk.settle()
    desk.page.locator("canvas").first.click(position={"x": 100, "y": 100})
    second = desk.page.locator("[role=status]").nth(1)
    desk.page.wait_for_function("[...document.querySelectorAll('[role=status]')][1].textContent.includes('covers')")
    assert second.text_content() == desk.page.locator("[role=status]").first.text_content()
    assert len(desk.saved) == 1


def test_a_closed_view_listens_no_more(desk):
    listeners = "Object.values(model.listeners).flat().length"
    assert desk.page.evaluate(listeners) == 6
    desk.page.evaluate("close()")
    assert desk.page.evaluate(listeners) == 0


# -- the view ------------------------------------------------------------------------------------------------------


def test_after_zooming_by_button_a_drawing_lands_where_the_pointer_is(desk):
    for _ in range(2):
        desk.click("zoom in")  # 1.5 x 1.5 about the middle of the photo
    desk.click("rectangle")
    zoomed, middle = 2.25 * SCALE, (WIDTH * SCALE / 2, HEIGHT * SCALE / 2)
    x, y = desk.screen(0, 0)
    start = (x + middle[0] - 12 * zoomed, y + middle[1] - 8 * zoomed)
    end = (x + middle[0] + 16 * zoomed, y + middle[1] + 12 * zoomed)
    desk.page.mouse.move(*start)
    desk.page.mouse.down()
    desk.page.mouse.move(*end)
    desk.page.mouse.up()
    assert Image.fromarray(desk.mask()).getbbox() == (60 - 12, 45 - 8, 60 + 16, 45 + 12)


def test_the_wheel_zooms_about_the_pointer_and_fit_comes_back(desk):
    desk.page.mouse.move(*desk.screen(30, 60))
    desk.page.keyboard.down("Control")
    for _ in range(3):
        desk.page.mouse.wheel(0, -100)
    desk.page.keyboard.up("Control")
    desk.page.wait_for_function("document.querySelector('[data-name=fit]').textContent === '332 %'")
    desk.drag((30, 60))
    assert_stroke(desk.mask(), 10, (30, 60))
    desk.click("fit")
    desk.drag((90, 20))
    assert_stroke(desk.mask() & (distance_to((30, 60)) > 8), 10, (90, 20))


def test_the_plain_wheel_is_the_pages(desk):
    desk.page.mouse.move(*desk.screen(30, 60))
    desk.page.mouse.wheel(0, -100)
    desk.settle()
    assert desk.page.text_content("[data-name=fit]") == "100 %"


@pytest.mark.parametrize("way", ["space", "tool", "arrows"])
def test_moving_the_view(desk, way):
    desk.click("zoom in")
    desk.page.focus("canvas")
    if way == "arrows":
        for key in ("m", "ArrowLeft", "ArrowUp", "ArrowLeft", "ArrowUp", "b"):
            desk.press(key)  # each arrow: 40 pixels of the screen
    else:
        desk.page.keyboard.down(" ") if way == "space" else desk.press("m")
        desk.drag((40, 40), (40 + 80 / SCALE, 40 + 80 / SCALE))
        desk.page.keyboard.up(" ") if way == "space" else desk.press("b")
    assert not [message for message in desk.saved if "mask_data_url" in message]
    desk.drag((WIDTH / 2, HEIGHT / 2))
    shift = 80 / (1.5 * SCALE)
    assert_stroke(desk.mask(), 10, (WIDTH / 2 - shift, HEIGHT / 2 - shift))


def test_after_the_page_is_resized_a_drawing_lands_where_the_pointer_is(desk):
    desk.page.evaluate("document.querySelector('#widget').style.width = '362px'")
    desk.page.wait_for_function("document.querySelector('canvas').style.height === '270px'")
    desk.click("rectangle")
    desk.drag((10, 20), (70, 60), scale=3)
    assert (desk.mask() == pixels(masks.rectangle(SIZE, (10, 20, 70, 60)))).all()


def test_a_widget_that_is_hidden_at_first_draws_once_it_shows(open_desk):
    desk = open_desk(tool="rectangle")
    desk.page.evaluate("() => { document.querySelector('#widget').style.display = 'none' }")
    desk.page.wait_for_timeout(50)
    desk.page.evaluate("() => { document.querySelector('#widget').style.display = '' }")
    desk.settle()
    desk.drag((10, 20), (70, 60))
    assert Image.fromarray(desk.mask()).getbbox() == (10, 20, 70, 60)


def test_a_sharp_screen_changes_nothing(open_desk):
    desk = open_desk(tool="rectangle", context={"device_scale_factor": 2})
    assert desk.page.evaluate("document.querySelector('canvas').width") == 2 * SCALE * WIDTH
    desk.drag((10, 20), (70, 60))
    assert (desk.mask() == pixels(masks.rectangle(SIZE, (10, 20, 70, 60)))).all()


def test_a_tall_photo_lies_in_the_middle(open_desk):
    photo = Image.new("RGB", (60, 340))  # twice as high on the screen: 680, the most that is allowed
    desk = open_desk(photo=photo, tool="rectangle")
    desk.drag((0, 0), (640, 700), scale=1)
    assert desk.mask().shape == (340, 60) and desk.mask().all()


def test_a_photo_larger_than_the_drawing_gets_a_mask_of_its_own_size(open_desk):
    desk = open_desk(photo=Image.new("RGB", (3000, 600)), tool="rectangle", width=602)
    desk.drag((0, 0), (300, 159), scale=1)  # 120 high on a stage of 160, the least that is allowed
    mask = desk.mask()
    assert mask.shape == (600, 3000)
    assert abs(mask.mean() - 0.5) < 0.01 and mask[:, :1490].all() and not mask[:, 1510:].any()


# -- touch and pen -------------------------------------------------------------------------------------------------


class Fingers:
    """Touches by way of the browser's own debugging protocol, so that its pointer events are the real ones."""

    def __init__(self, desk) -> None:
        self.desk, self.session = desk, desk.page.context.new_cdp_session(desk.page)

    def send(self, kind: str, *points: tuple[float, float]) -> None:
        at = [self.desk.screen(*point) for point in points]
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(at)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


@pytest.fixture
def fingers(open_desk):
    return Fingers(open_desk(brush_size=10, context={"has_touch": True}))


def test_a_finger_draws_and_the_page_does_not_scroll(fingers):
    fingers.desk.page.evaluate("document.body.style.height = '3000px'")
    fingers.send("touchStart", (20, 20))
    for step in range(1, 6):
        fingers.send("touchMove", (20 + 10 * step, 20 + 8 * step))
    assert fingers.desk.saved == []
    fingers.send("touchEnd")
    assert_stroke(fingers.desk.mask(), 10, (20, 20), (70, 60))
    assert len(fingers.desk.saved) == 1
    assert fingers.desk.page.evaluate("scrollY") == 0


def test_two_fingers_zoom_and_draw_nothing(fingers):
    fingers.send("touchStart", (50, 45))
    fingers.send("touchStart", (50, 45), (70, 45))
    fingers.send("touchMove", (40, 45), (80, 45))
    fingers.send("touchEnd", (40, 45))
    fingers.send("touchMove", (40, 45))
    fingers.send("touchEnd")
    assert fingers.desk.saved == []
    assert fingers.desk.page.text_content("[data-name=fit]") == "200 %"
    fingers.send("touchStart", (60, 45))
    fingers.send("touchEnd")
    assert_stroke(fingers.desk.mask(), 10, (60, 45))


def test_a_touch_that_the_system_takes_away_draws_nothing(fingers):
    fingers.send("touchStart", (20, 20))
    fingers.send("touchMove", (60, 60))
    fingers.send("touchCancel")
    assert fingers.desk.saved == []
    fingers.desk.click("invert")
    assert fingers.desk.mask().all()


def test_a_pen_draws(desk):
    session = desk.page.context.new_cdp_session(desk.page)
    for kind, point in (("mousePressed", (20, 20)), ("mouseMoved", (60, 50)), ("mouseReleased", (60, 50))):
        x, y = desk.screen(*point)
        event = {"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen"}
        session.send("Input.dispatchMouseEvent", event)
    assert_stroke(desk.mask(), 10, (20, 20), (60, 50))


# -- keyboard and screen readers -----------------------------------------------------------------------------------

TAB_STOPS = """brush eraser lasso polygon rectangle ellipse fill move subtract undo redo invert clear open save keys
size canvas opacity zoom-out fit zoom-in""".split()


def test_tab_reaches_everything_and_the_focus_is_seen(desk):
    reached = []
    for _ in TAB_STOPS:
        desk.press("Tab")
        reached.append(desk.page.evaluate("(document.activeElement.dataset.name ?? 'canvas').replace(' ', '-')"))
        assert desk.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert reached == TAB_STOPS
    desk.press("Tab")  # and there is a way out
    assert not desk.page.evaluate("document.querySelector('.dp-canvas').contains(document.activeElement)")


def test_tools_by_enter_space_and_letter(desk):
    pressed = "[...document.querySelectorAll('[aria-pressed=true]')].map(each => each.dataset.name)"
    desk.page.focus("[data-name=rectangle]")
    desk.press("Enter")
    assert desk.page.evaluate(pressed) == ["rectangle"]
    desk.page.focus("[data-name=eraser]")
    desk.press(" ")
    assert desk.page.evaluate(pressed) == ["eraser"]
    for key, name in zip("reomb", ("rectangle", "eraser", "ellipse", "move", "brush"), strict=True):
        desk.press(key)
        assert desk.page.evaluate(pressed) == [name]
        assert desk.saved[-1] == {"tool": name}


@pytest.mark.parametrize("where", ["canvas", "[data-name=brush]", "[data-name=size]"])
def test_brackets_change_the_size(desk, where):
    desk.page.focus(where)
    sizes = []
    for key in "]][[[":
        desk.press(key)
        sizes.append(int(desk.page.input_value("[data-name=size]")))
    assert 10 < sizes[0] < sizes[1] > sizes[2] > sizes[3] > sizes[4]
    assert desk.saved[-1] == {"brush_size": sizes[-1]}
    for _ in range(20):
        desk.press("[")
    assert desk.page.input_value("[data-name=size]") == "1"
    desk.drag((60, 45))
    assert desk.mask().sum() <= 4


def test_the_size_slider_sets_the_brush(desk):
    desk.page.locator("[data-name=size]").fill("20")
    desk.drag((60, 45))
    assert_stroke(desk.mask(), 20, (60, 45))


def test_keys_do_not_reach_the_notebook_but_what_is_not_ours_does(desk):
    desk.page.evaluate(
        "() => { window.heard = []; document.addEventListener('keydown', event => heard.push(event.key)) }"
    )
    desk.page.focus("canvas")
    for key in ("b", "d", "0", "[", "Control+z", "ArrowLeft", "Enter", "Enter"):
        desk.press(key)
    assert set(desk.page.evaluate("heard")) == {"Control"}
    for key in ("Control+s", "Control+Enter", "F2"):
        desk.press(key)
    assert set(desk.page.evaluate("heard")) == {"Control", "s", "Enter", "F2"}
    assert desk.page.get_attribute(".dp-canvas", "data-lm-suppress-shortcuts") == "true"


def test_every_control_has_a_name_and_the_status_is_spoken(desk):
    controls = desk.page.evaluate(
        """[...document.querySelectorAll('button, input, canvas')].filter(each => each.offsetParent).map(each => ({
            name: each.getAttribute('aria-label'), tag: each.tagName, type: each.type,
            pressed: each.getAttribute('aria-pressed'),
            width: each.getBoundingClientRect().width, height: each.getBoundingClientRect().height}))"""
    )
    assert len({control["name"] for control in controls}) == len(controls) == len(TAB_STOPS)
    words = desk.page.evaluate("[...document.querySelectorAll('.dp-word')].map(each => each.textContent)")
    assert len(words) == 16 and set(words) < {control["name"] for control in controls}  # what is read is what is spoken
    assert all(control["name"] and min(control["width"], control["height"]) >= 32 for control in controls)
    buttons = [control for control in controls if control["tag"] == "BUTTON"]
    assert {control["type"] for control in buttons} == {"button"}
    assert [control["pressed"] for control in buttons].count("true") == 1
    assert desk.page.get_attribute("[role=status]", "aria-live") == "polite"
    assert desk.page.locator("svg:not([aria-hidden=true])").count() == 0


def test_the_status_says_how_much_is_covered(desk):
    assert desk.status().startswith("Nothing marked yet")
    desk.drag((60, 45))
    assert desk.status() == "Mask covers less than 1 % of the photo"
    desk.click("invert")
    assert desk.status() == "Mask covers more than 99 % of the photo"
    desk.click("rectangle")
    desk.drag((0, 0), (WIDTH, HEIGHT))
    assert desk.status() == "Mask covers 100 % of the photo"


# -- looks ---------------------------------------------------------------------------------------------------------


INSIDE = [(x, y) for x in np.arange(30, 50, 0.6) for y in (25, 30.2)]


@pytest.mark.parametrize(
    "color", [(255, 255, 255), (123, 44, 191), (230, 159, 0), (240, 228, 66), (0, 0, 100), (0, 0, 0)]
)
def test_the_overlay_shows_on_every_colour_and_the_photo_shows_through(open_desk, color):
    """Seen against the photo: a violet tint, and white lines that show on violet itself."""
    desk = open_desk(photo=Image.new("RGB", SIZE, color), mask=masks.rectangle(SIZE, BOX), overlay_opacity=0.45)
    inside, outside = look(desk, *INSIDE)[:, :3], look(desk, (100, 80))[0, :3]
    assert np.allclose(outside, color, atol=4)
    assert np.abs(inside - np.array(color)).sum(axis=1).max() > 100
    tint = 0.55 * np.array(color) + 0.45 * np.array([123, 44, 191])
    assert (np.abs(inside - tint).max(axis=1) < 6).mean() > 0.5  # between the lines


@pytest.mark.parametrize("color", [(255, 255, 255), (0, 0, 0)])
def test_a_full_mask_has_an_outline_too(open_desk, color):
    desk = open_desk(photo=Image.new("RGB", SIZE, color), mask=masks.full(SIZE), overlay_opacity=0)
    edge = look(desk, (WIDTH / 2, 0.1), (0.1, HEIGHT / 2), (WIDTH - 0.15, HEIGHT / 2))[:, :3]
    assert np.allclose(edge, 255, atol=16) and np.allclose(look(desk, (60, 45))[0, :3], color, atol=4)


def test_the_outline_is_dark_outside_and_light_inside(open_desk):
    desk = open_desk(photo=Image.new("RGB", SIZE, (128, 128, 128)), mask=masks.rectangle(SIZE, BOX), overlay_opacity=0)
    dark, light = look(desk, (40, 14.9), (40, 15.1))[:, :3]
    assert dark.max() < 60 and light.min() > 230


@pytest.mark.parametrize("scheme, dark", [("light", False), ("dark", True)])
def test_it_follows_the_systems_theme_and_jupyterlabs_wins(open_desk, scheme, dark):
    desk = open_desk(context={"color_scheme": scheme})
    color = "getComputedStyle(document.querySelector('.dp-canvas')).backgroundColor"
    assert (desk.page.evaluate(color) == "rgb(255, 255, 255)") is not dark
    desk.page.evaluate("document.documentElement.style.setProperty('--jp-layout-color1', 'rgb(1, 2, 3)')")
    assert desk.page.evaluate(color) == "rgb(1, 2, 3)"
