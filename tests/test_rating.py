"""The rating panel, kernel side: what goes to the browser, what comes back, and what is saved. No browser here."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from tools.rating import make_example_study

from dp_helpers.errors import InputError
from dp_helpers.evaluation.raters import open_ratings
from dp_helpers.widgets.rating import RatingPanel


@pytest.fixture
def study(tmp_path):
    return make_example_study(tmp_path)[0]


def pixels(url):
    prefix = "data:image/png;base64,"
    assert url.startswith(prefix)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url[len(prefix) :]))))


def test_the_first_picture_and_the_next_are_there_at_once(study):
    panel = RatingPanel(study.folder, rater="anna")
    first, second, *_ = study.order("anna")
    assert panel.cards == [card.name for card in study.order("anna")]
    for view, card in ((panel.view, first), (panel.ahead, second)):
        assert view["card"] == card.name
        assert (pixels(view["picture"]) == np.asarray(Image.open(card.picture))).all()
        assert (pixels(view["photo"]) == np.asarray(Image.open(card.photo))).all()
        assert len(view["references"]) == len(card.references)
    panel.set_state({"place": len(panel.cards) - 1})  # how the kernel takes a message
    assert panel.view["card"] == panel.cards[-1] and panel.ahead == {}
    panel.set_state({"place": len(panel.cards)})
    assert panel.view == {} == panel.ahead


def test_scores_from_the_browser_are_those_of_the_plain_call(study, tmp_path):
    panel = RatingPanel(study, "anna", tmp_path / "one")
    card = panel.cards[0]
    panel.set_state({"scores": {card: {"similarity": 2}}})
    panel.set_state({"scores": {card: {"similarity": 2, "harmony": 5}}})
    plain = open_ratings(study, "anna", tmp_path / "two")
    plain.rate(card, similarity=2, harmony=5)
    assert panel.ratings.scores == plain.scores and panel.ratings.path.read_text() == plain.path.read_text()
    assert panel.message == f"Saved in {panel.ratings.path}"


def test_a_new_panel_goes_on_at_the_first_picture_without_a_rating(study):
    panel = RatingPanel(study, "anna")
    panel.ratings.rate(panel.cards[0], similarity=1, harmony=1)
    panel.ratings.rate(panel.cards[1], similarity=1)
    again = RatingPanel(study, "anna")
    assert again.place == 1 and again.scores == panel.ratings.scores
    for card in again.cards:
        again.ratings.rate(card, similarity=1, harmony=1)
    assert RatingPanel(study, "anna").place == len(study.cards)
    assert RatingPanel(study, "ben").place == 0


@pytest.mark.parametrize("scores", [{"99": {"similarity": 1}}, {"01": {"similarity": 9}}])
def test_wrong_scores_are_told_and_not_saved(study, scores):
    panel = RatingPanel(study, "anna")
    panel.set_state({"scores": scores})
    assert not panel.ratings.path.exists()
    assert panel.message.startswith("Not saved: ")


def test_a_folder_without_a_study_and_a_bad_name_are_refused(study, tmp_path):
    with pytest.raises(InputError, match="holds no study"):
        RatingPanel(tmp_path, "anna")
    with pytest.raises(InputError, match="cannot name a file"):
        RatingPanel(study, "../anna")
