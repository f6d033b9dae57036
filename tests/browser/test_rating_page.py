"""The rating panel in a browser: rated by keyboard alone, each score saved at once by the kernel's side of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tools.rating import make_example_study

from dp_helpers.evaluation.raters import open_ratings
from dp_helpers.widgets.rating import RatingPanel

# The colour of one pixel of the picture to rate.
PIXEL = """() => {
  const image = document.querySelector(".dp-picture img"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  return [...pen.getImageData(24, 20, 1, 1).data];
}"""
SYNCED = [name for name, trait in RatingPanel.class_own_traits().items() if trait.metadata.get("sync")]


class RatingDesk:
    """A page that shows one panel, and the panel itself, which gets and gives what a kernel would."""

    def __init__(self, page, panel: RatingPanel) -> None:
        self.page, self.panel, self.taken = page, panel, 0
        self.state = self._state()
        page.wait_for_function("window.ready")
        page.evaluate("state => start(state)", self.state)
        page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth)")

    def _state(self) -> dict:
        return {name: getattr(self.panel, name) for name in SYNCED}

    def press(self, *keys: str, synced: bool = True) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            if synced:
                self.sync()

    def sync(self) -> None:
        """Hand the page's messages to the panel, and what the panel changes to the page."""
        messages = self.page.evaluate("model.saved")
        for message in messages[self.taken :]:
            self.panel.set_state(message)
            self.state |= message
        self.taken = len(messages)
        for name, value in self._state().items():
            if self.state[name] != value:
                self.page.evaluate("([name, value]) => model.fromKernel(name, value)", [name, value])
                self.state[name] = value

    def text(self, selector: str) -> str:
        return self.page.text_content(selector)

    def pressed(self) -> dict[str, str]:
        """Return the score that is shown as given, by criterion."""
        shown = "each => [each.closest('.dp-question').dataset.name, each.textContent]"
        return dict(self.page.evaluate(f"[...document.querySelectorAll('[aria-pressed=true]')].map({shown})"))

    def chosen(self) -> str:
        return self.page.get_attribute(".dp-chosen", "data-name")


def serve(text: str, kind: str):
    return lambda route: route.fulfill(body=text, content_type=kind)


@pytest.fixture
def study(tmp_path):
    return make_example_study(tmp_path)[0]


@pytest.fixture
def open_panel(browser, address):
    """A function that opens a `RatingDesk`. An error on its page fails the test."""
    contexts, errors = [], []

    def open_panel(panel, **options) -> RatingDesk:
        contexts.append(browser.new_context(**({"viewport": {"width": 900, "height": 800}} | options)))
        for name, kind, text in (("js", "text/javascript", panel._esm), ("css", "text/css", panel._css)):
            contexts[-1].route(f"**/canvas.{name}", serve(text, kind))  # the page of the canvas, with another widget
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and errors.append(message.text))
        page.goto(address)
        return RatingDesk(page, panel)

    yield open_panel
    for context in contexts:
        context.close()
    assert errors == []


def test_a_study_is_rated_by_keyboard_alone(open_panel, study):
    desk = open_panel(RatingPanel(study, "anna"))
    assert desk.text(".dp-head strong") == "Picture 1 of 12" and desk.page.locator("[data-name=back]").is_disabled()
    desk.press("Tab")  # from the page to the panel
    for number in range(12):
        assert desk.chosen() == "similarity"
        desk.press("3")
        assert desk.chosen() == "harmony"
        desk.press(str(number % 5 + 1))
        assert desk.pressed() == {"similarity": "3", "harmony": str(number % 5 + 1)}
        desk.press("Enter")
    assert desk.text(".dp-stage") == "All 12 pictures are rated. Thank you!"
    order = study.order("anna")
    wanted = {card.name: {"similarity": 3, "harmony": number % 5 + 1} for number, card in enumerate(order)}
    assert open_ratings(study, "anna").scores == wanted
    assert desk.text("[role=status]").startswith("Saved in ")


def test_the_picture_shown_is_the_card_rated(open_panel, study):
    desk = open_panel(RatingPanel(study, "anna"))
    desk.press("Tab", "ArrowRight", "ArrowRight", "ArrowLeft", "1", "5")
    [(name, scores)] = open_ratings(study, "anna").scores.items()
    card = next(card for card in study.cards if card.name == name)
    assert scores == {"similarity": 1, "harmony": 5} and study.order("anna")[1] == card
    with Image.open(card.picture) as picture:
        wanted = np.asarray(picture)[20, 24]
    assert desk.page.evaluate(PIXEL)[:3] == wanted.tolist()
    assert desk.page.locator(".dp-product > img").count() == len(card.references)


def test_a_rating_can_be_changed_and_a_picture_skipped(open_panel, study):
    desk = open_panel(RatingPanel(study, "anna"))
    desk.press("Tab", "2", "4", "ArrowUp", "1")
    assert desk.pressed() == {"similarity": "1", "harmony": "4"}
    desk.press("ArrowRight")
    assert desk.text("[data-name=next]") == "Skip →"
    desk.press("ArrowRight", "5", "ArrowLeft", "ArrowLeft")
    assert desk.pressed() == {"similarity": "1", "harmony": "4"} and desk.text("[data-name=next]") == "Next →"
    first, _, third, *_ = (card.name for card in study.order("anna"))
    assert open_ratings(study, "anna").scores == {first: {"similarity": 1, "harmony": 4}, third: {"similarity": 5}}
    desk.press(*["ArrowRight"] * 12)
    assert desk.text(".dp-stage") == "1 of 12 pictures are rated."
    desk.press("Tab", "Tab", "Enter")  # Back, then the button that leads to what is missing
    assert desk.text(".dp-head strong") == "Picture 2 of 12" and desk.chosen() == "similarity"
    desk.press("2")  # the focus is in the panel again
    assert desk.pressed() == {"similarity": "2"}


def test_a_rater_goes_on_after_the_last_rating(open_panel, study):
    before = open_ratings(study, "anna")
    for card in study.order("anna")[:4]:
        before.rate(card.name, similarity=1, harmony=2)
    desk = open_panel(RatingPanel(study, "anna"))
    assert desk.text(".dp-head strong") == "Picture 5 of 12" and "4 of 12 rated by anna" in desk.text(".dp-head")
    assert desk.text("[role=status]").startswith("Goes on in ")
    desk.press("Tab", "ArrowLeft")
    assert desk.pressed() == {"similarity": "1", "harmony": "2"}


def test_a_busy_kernel_loses_nothing_and_nobody_rates_an_unseen_picture(open_panel, study):
    desk = open_panel(RatingPanel(study, "anna"))
    desk.press("Tab", "1", "2", "Enter", "3", "4", "Enter", "5", "5", synced=False)
    assert desk.page.locator(".dp-waiting").count() == 1  # the third picture is not there yet
    desk.sync()
    assert desk.page.locator(".dp-waiting").count() == 0
    one, two, *_ = (card.name for card in study.order("anna"))
    wanted = {one: {"similarity": 1, "harmony": 2}, two: {"similarity": 3, "harmony": 4}}
    assert open_ratings(study, "anna").scores == wanted and desk.pressed() == {}


def test_a_file_that_cannot_be_saved_is_told(open_panel, study, monkeypatch):
    panel = RatingPanel(study, "anna")
    desk = open_panel(panel)
    monkeypatch.setattr("dp_helpers.evaluation.raters.whole_file", lambda path: open(study.folder))
    desk.press("Tab", "1")
    assert desk.text("[role=status]").startswith("Not saved: ")


def test_the_mouse_works_too_and_other_keys_stay_the_notebooks(open_panel, study):
    desk = open_panel(RatingPanel(study, "anna"))
    desk.page.evaluate("window.heard = []; document.addEventListener('keydown', (event) => heard.push(event.key))")
    desk.page.click("[data-name=harmony] [data-score='4']")
    desk.sync()
    assert desk.pressed() == {"harmony": "4"} and desk.chosen() == "similarity"
    desk.press("7", "a", "Enter", "Escape")  # Enter presses the button that has the focus
    assert desk.pressed() == {"harmony": "4"} and desk.page.evaluate("heard") == ["Enter", "Escape"]
    desk.page.click("[data-name=next]")
    assert desk.text(".dp-head strong") == "Picture 2 of 12"


def test_the_raters_name_is_text(open_panel, study):
    panel = RatingPanel(study, "anna")
    panel.rater = panel.message = "<img src=x onerror=alert(1)>"
    desk = open_panel(panel)
    assert "<img src=x" in desk.text(".dp-head") and desk.page.locator("[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 900])
def test_the_panel_fits_its_page(open_panel, study, scheme, width, tmp_path):
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    desk = open_panel(RatingPanel(study, "anna"), **options)
    desk.press("Tab", "2")
    desk.page.screenshot(path=tmp_path / "panel.png")
    assert desk.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    panel, last = (desk.page.locator(name).last.bounding_box() for name in (".dp-rating", ".dp-scores span"))
    assert last["x"] + last["width"] <= panel["x"] + panel["width"] - 14
