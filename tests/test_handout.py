"""The page to print: one file with everything in it, three pictures a page, and a line to answer for each."""

import base64
import io
import re

import pytest
from PIL import Image
from tools.rating import make_evaluation

from dp_helpers.evaluation import handout
from dp_helpers.evaluation.study import make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return make_study(*make_evaluation(folder), folder / "study", folder / "key.csv")


@pytest.fixture(scope="module")
def text(study, tmp_path_factory):
    return handout.write_handout(study, tmp_path_factory.mktemp("print") / "print.html").read_text(encoding="utf-8")


def test_the_page_needs_no_other_file(text):
    urls = re.findall(r'(?:src|href)="([^"]{0,30})', text) + re.findall(r"url\(", text)
    assert urls and all(url.startswith("data:image/jpeg;base64,") for url in urls)
    assert "<script" not in text and "$" not in text


def test_each_card_has_its_pictures_and_its_line(text, study):
    articles = re.findall(r"<article>.*?</article>", text, re.DOTALL)
    assert len(articles) == len(study.cards) == 12
    for article, card in zip(articles, study.cards, strict=True):
        assert f"<h2>{card.name}</h2>" in article and article.count("<img ") == 2 + len(card.references)
        url = re.search(r'alt="Picture \d+" src="data:image/jpeg;base64,([^"]+)"', article)[1]
        shown = Image.open(io.BytesIO(base64.b64decode(url)))
        with Image.open(card.picture) as picture:
            pairs = zip(shown.getpixel((24, 20)), picture.getpixel((24, 20)), strict=True)
        assert max(abs(one - other) for one, other in pairs) < 8
    lines = re.findall(r"<tr><td>(\d+)</td>(.*?)</tr>", text)
    assert [name for name, _ in lines] == [card.name for card in study.cards]
    rings = "".join(f"<i>{score}</i>" for score in range(1, 6))
    assert all(cells == f"<td>{rings}</td><td>{rings}</td>" for _, cells in lines)


def test_it_says_which_end_is_best_and_which_study_it_is(text, study):
    assert text.count("1 is the best, 5 is the worst") == 2 and f"Study: {study.name}" in text


def test_black_and_white_are_all_its_colours(text):
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert set(re.findall(r"#[0-9a-f]{3,6}", style)) == {"#000", "#fff"}
    assert not re.search(r"(?<!object-)(?:rgb|hsl|red|blue|green|gr[ae]y)\b", style)
