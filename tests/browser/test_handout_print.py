"""The page to print, as a browser prints it: A4, the answer sheet on one page, three cards on each other page."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tools.rating import make_example_study

from dp_helpers.evaluation import handout

A4 = (595, 842)  # points
CARD_BOXES = "[...document.querySelectorAll('article')].map(each => [each.scrollHeight, each.clientHeight])"


@pytest.fixture
def study(tmp_path):
    """A study of 60 cards, as many as in the paper: those of a small one again and again."""
    study, _ = make_example_study(tmp_path)
    return replace(study, cards=tuple(replace(card, name=f"{n:02}") for n, card in enumerate(study.cards * 5, 1)))


@pytest.fixture
def page(browser, study, tmp_path):
    page = browser.new_page(viewport={"width": 900, "height": 1200})
    page.goto(handout.write_handout(study, tmp_path / "print.html").as_uri())
    yield page
    page.close()


def test_sixty_cards_are_21_pages_of_a4(page):
    pdf = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 21
    sizes = {tuple(map(float, size.split()[2:])) for size in re.findall(rb"/MediaBox\s*\[([\d. ]+)\]", pdf)}
    assert {(round(width), round(height)) for width, height in sizes} == {A4}


def test_no_card_is_cut_off(page):
    page.emulate_media(media="print")
    assert page.locator("article").count() == 60
    assert all(needed <= height for needed, height in page.evaluate(CARD_BOXES))


def test_the_note_to_the_teacher_is_on_the_screen_alone(page):
    assert page.locator("aside").is_visible()
    page.emulate_media(media="print")
    assert not page.locator("aside").is_visible()
