"""A slider in a real Chromium: named, moved by keyboard, its number typed, and narrow enough for a phone."""

from __future__ import annotations

import pytest

from browser.test_rating_page import serve
from dp_helpers.widgets.slider import Slider

NAMES = ("value", "min", "max", "step", "description")


@pytest.fixture
def page(browser, address):
    """A page of 390 pixels with a slider from 0 to 1; an error on it fails the test."""
    context, errors, slider = (
        browser.new_context(viewport={"width": 390, "height": 400}),
        [],
        Slider(0.7, "eta", 0, 1, 0.01),
    )
    for name, kind, text in (("js", "text/javascript", slider._esm), ("css", "text/css", slider._css)):
        context.route(f"**/canvas.{name}", serve(text, kind))  # the page of the canvas, with another widget
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_function("window.ready")
    page.evaluate("state => start(state)", {name: getattr(slider, name) for name in NAMES})
    yield page
    context.close()
    assert errors == []


def sent(page) -> list[float]:
    return [message["value"] for message in page.evaluate("model.saved")]


def test_a_slider_has_a_name_and_moves_by_keyboard(page):
    slider, number = page.get_by_role("slider", name="eta"), page.get_by_role("spinbutton", name="eta, as a number")
    slider.press("ArrowRight")
    slider.press("Home")
    assert sent(page) == [0.71, 0] and number.input_value() == "0"


def test_a_number_can_be_typed_and_one_out_of_the_range_goes_back(page):
    number = page.get_by_label("eta, as a number")
    for typed in ("0.25", "3", ""):
        number.fill(typed)
        number.press("Enter")
    assert sent(page) == [0.25] and number.input_value() == "0.25"
    assert page.get_by_role("slider").input_value() == "0.25"


def test_a_slider_follows_the_kernel(page):
    page.evaluate("model.fromKernel('max', 4); model.fromKernel('value', 3)")
    assert page.get_by_role("slider").input_value() == page.get_by_label("eta, as a number").input_value() == "3"


def test_a_slider_fits_a_phone(page):
    right = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.dp-setting *')].map(e => e.getBoundingClientRect().right))"
    )
    assert right <= 390 and page.get_by_role("slider").bounding_box()["width"] >= 100
