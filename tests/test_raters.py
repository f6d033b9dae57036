"""One file a rater: saved whole, gone on with later, merged with others, and refused where it does not fit."""

import csv

import pytest
from tools.rating import make_evaluation, make_example_study

from dp_helpers.errors import InputError
from dp_helpers.evaluation import raters
from dp_helpers.evaluation.study import make_study

HEADER = ",".join(raters.COLUMNS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_example_study(tmp_path_factory.mktemp("made"))[0]


@pytest.fixture
def study(made):
    yield made
    for path in raters.rating_files(made):
        path.unlink()


def lines(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_rating_is_saved_at_once_and_found_again(study):
    ratings = raters.open_ratings(study, "anna")
    assert not ratings.path.exists() and ratings.missing() == study.order("anna")
    ratings.rate("03", similarity=2)
    ratings.rate("05", similarity=1, harmony=5)
    ratings.rate("05", harmony=4)
    again = raters.open_ratings(study, "anna")
    assert again.scores == {"03": {"similarity": 2}, "05": {"similarity": 1, "harmony": 4}}
    assert "03" in {card.name for card in again.missing()} and len(again.missing()) == len(study.cards) - 1
    saved = lines(ratings.path)
    assert [row["card"] for row in saved] == [card.name for card in study.order("anna")]
    assert {row["study"] for row in saved} == {study.name} and {row["rater"] for row in saved} == {"anna"}
    assert sum(row["similarity"] != "" for row in saved) == 2


def test_a_file_is_whole_or_not_there(study, monkeypatch):
    ratings = raters.open_ratings(study, "anna")
    ratings.rate("01", similarity=1, harmony=1)
    before = ratings.path.read_text()
    monkeypatch.setattr(raters, "to_csv", lambda rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ratings.rate("02", similarity=5, harmony=5)
    assert ratings.path.read_text() == before and len(list(ratings.path.parent.iterdir())) == 1


@pytest.mark.parametrize("score", [0, 6, 2.5, True, "good", -1])
def test_scores_are_whole_numbers_from_1_to_5(study, score):
    ratings = raters.open_ratings(study, "anna")
    with pytest.raises(InputError, match="from 1"):
        ratings.rate("01", harmony=score)
    assert not ratings.path.exists() and ratings.scores == {}


@pytest.mark.parametrize("name", ["", "../key", "a/b", " anna", "anna ", "=1+1", ".hidden", "x" * 41, None, 7])
def test_a_name_that_is_no_file_name_is_refused(study, name):
    with pytest.raises(InputError, match="cannot name a file"):
        raters.open_ratings(study, name)


@pytest.mark.parametrize("name", ["anna", "Zoë", "rater 7", "班长", "a-b_c"])
def test_names_of_all_languages_are_welcome(study, name):
    raters.open_ratings(study, name).rate("01", similarity=3)
    assert raters.merge(study, raters.rating_files(study)) == {name: {"01": {"similarity": 3}}}


def test_raters_are_merged_and_missing_ratings_stay_missing(study):
    raters.open_ratings(study, "ben").rate("02", harmony=1)
    raters.open_ratings(study, "anna").rate("01", similarity=3, harmony=2)
    raters.open_ratings(study, "eve").rate("01", similarity=3)
    (study.folder / "ratings" / "late.csv").write_text(raters.write_form(study).read_text())  # nothing in it
    merged = raters.merge(study, raters.rating_files(study))
    assert merged == {
        "anna": {"01": {"similarity": 3, "harmony": 2}},
        "ben": {"02": {"harmony": 1}},
        "eve": {"01": {"similarity": 3}},
    }
    assert list(merged) == ["anna", "ben", "eve"]
    assert raters.merge(study, []) == {}


def write(study, rows, name="anna.csv", header=HEADER, mark=""):
    path = study.folder / "ratings" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(mark + "\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_what_a_spreadsheet_saves_is_read(study):
    rows = [f"{study.name};;1;2;3", f"{study.name};;12;;5"]
    path = write(study, rows, "sheet 4.csv", HEADER.replace(",", ";"), mark="\ufeff")
    wanted = {"sheet 4": {"01": {"similarity": 2, "harmony": 3}, "12": {"harmony": 5}}}
    assert raters.merge(study, [path]) == wanted


def test_empty_lines_and_a_name_in_the_first_line_only_are_read(study):
    path = write(study, [f"{study.name},anna,01,2,3", f"{study.name},,02,1,", ",,,,"])
    assert raters.merge(study, [path]) == {"anna": {"01": {"similarity": 2, "harmony": 3}, "02": {"similarity": 1}}}


def test_the_same_rating_twice_counts_once(study):
    path = write(study, [f"{study.name},anna,01,2,3", f"{study.name},anna,01,2,"])
    assert raters.merge(study, [path, path]) == {"anna": {"01": {"similarity": 2, "harmony": 3}}}


def test_files_that_do_not_fit_are_refused_in_one_sentence(study, tmp_path):
    other = make_study(*make_evaluation(tmp_path), tmp_path / "other", tmp_path / "key.csv", seed=3)
    foreign = raters.open_ratings(other, "anna")
    foreign.rate("01", similarity=1)
    name = study.name
    wrong = {
        foreign.path: f"another study .{other.name}.*leave it out",
        write(study, [f"{name},a,01,2,3", f"{name},a,01,2,4"], "twice.csv"): "card 01 twice",
        write(study, [f"{name},a,01,7,3"], "seven.csv"): "similarity is '7'",
        write(study, [f"{name},a,99,1,3"], "card.csv"): "card '99'.*01 to 12",
        write(study, [f"{name},a,01,1,3", f"{name},b,02,1,3"], "two.csv"): "2 raters",
        write(study, ["a,b"], "table.csv", "x,y"): "lacks the column 'study'",
        write(study, [f"{name},a,01,2"], "short.csv", HEADER[:-8]): "lacks the column 'harmony'",
        write(study, [f"{name},a,01,1,3", name], "cut.csv"): "the card ''",
        write(study, [], "empty.csv"): "has no line",
        study.cards[0].picture: "cannot be read as a table",
        tmp_path / "none.csv": "cannot be read as a table",
    }
    for path, message in wrong.items():
        with pytest.raises(InputError, match=message) as caught:
            raters.merge(study, [path])
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    one, two = (write(study, [f"{name},anna,01,{score},3"], f"{score}.csv") for score in (1, 2))
    with pytest.raises(InputError, match="2.csv rates card 01 in another way.*'anna'"):
        raters.merge(study, [one, two])
    with pytest.raises(InputError, match="another study"):
        raters.open_ratings(study, "anna", foreign.path.parent)
