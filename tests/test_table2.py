"""Table 2: known values of alpha, means that can be computed by hand, and an empty result that says so."""

import csv
import math

import pytest
from tools.command import Done
from tools.rating import make_evaluation, make_example_study

from dp_helpers.evaluation import raters, table2
from dp_helpers.evaluation.study import PAINTERS, load_key, load_study
from dp_helpers.files import find_data

NAN = math.nan
# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section C: four observers, twelve units.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]


def as_merged(observers, criterion="similarity"):
    return {
        f"rater {index}": {f"{unit:02}": {criterion: score} for unit, score in enumerate(own, 1) if score == score}
        for index, own in enumerate(observers)
    }


def test_alpha_is_that_of_the_literature():
    assert table2.agreement(as_merged(OBSERVERS), "similarity") == pytest.approx(0.815, abs=5e-4)
    assert math.isnan(table2.agreement(as_merged(OBSERVERS), "harmony"))


def test_alpha_by_hand():
    """Two raters and units {1,1}, {2,2}, {1,2}: n1 = n2 = 3, so Do = 2/6, De = 2*3*3/(6*5), alpha = 4/9."""
    assert table2.agreement(as_merged([[1, 2, 1], [1, 2, 2]]), "similarity") == pytest.approx(4 / 9)
    assert table2.agreement(as_merged([[1, 5, 3], [1, 5, 3]]), "similarity") == 1
    assert table2.agreement(as_merged([[1, 5], [5, 1]]), "similarity") < 0


@pytest.mark.parametrize(
    "observers", [[], [[1, 2, 3]], [[1, NAN], [NAN, 2]], [[3, 3], [3, 3]], [[2, NAN, 4], [2, 5, NAN]]]
)
def test_alpha_has_no_value_where_nothing_can_be_compared(observers):
    assert math.isnan(table2.agreement(as_merged(observers), "similarity"))


@pytest.fixture
def made(tmp_path):
    study, path = make_example_study(tmp_path)
    return study, load_key(path, study)


def rate(study, key, scores, names=("anna", "ben")):
    """Let every rater give a painter's pictures the same scores (similarity, harmony)."""
    for name in names:
        ratings = raters.open_ratings(study, name)
        for card, about in key.items():
            similarity, harmony = scores[about["painter"]]
            ratings.rate(card, similarity=similarity, harmony=harmony)
    return raters.merge(study, raters.rating_files(study))


SCORES = {"dreampaint": (2, 1), "paint-by-example": (4, 3), "title": (5, 3)}


def test_means_stand_next_to_the_papers_worst_first(made):
    study, key = made
    table = table2.table2(table2.opened(rate(study, key, SCORES), key), PAINTERS)
    assert [line["painter"] for line in table] == ["title", "paint-by-example", "dreampaint"]
    assert [(line["similarity"], line["harmony"]) for line in table] == [(5, 3), (4, 3), (2, 1)]
    assert [(line["similarity_paper"], line["harmony_paper"]) for line in table] == [
        (4.41, 2.75),
        (3.82, 2.57),
        (2.68, 2.33),
    ]
    assert all(line["similarity_ratings"] == 8 and line["items"] == 2 for line in table)


def test_the_interval_is_over_items_and_missing_ratings_are_left_out(made):
    study, key = made
    ratings = raters.open_ratings(study, "anna")
    score = {"blue-box": 1, "red-box": 3}
    for card, about in key.items():
        if about["painter"] == "title":
            ratings.rate(card, similarity=score[about["item"]], harmony=3 if about["pair"] == "red-box--hall" else None)
    rows = table2.opened(raters.merge(study, [ratings.path]), key)
    [line] = table2.table2(rows, ["title"])
    assert (line["similarity"], line["similarity_low"], line["similarity_high"]) == (2, 1, 3)
    assert line["harmony"] == 3 and math.isnan(line["harmony_low"]) and line["harmony_ratings"] == 1
    [none] = table2.table2(rows, ["dreampaint"])
    assert math.isnan(none["similarity"]) and none["similarity_ratings"] == 0


def test_the_command_merges_what_it_made(tmp_path, monkeypatch, capsys):
    results, data = make_evaluation(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = Done(capsys, "study", "make", "results", "--data", "data", "--out", "blind", "--pairs", 4)
    assert (done.returncode, done.stdout) == (0, "blind\n") and "keep the key blind-key.csv" in done.stderr
    done = Done(capsys, "study", "merge", "blind", "--out", "empty")
    assert done.returncode == 0 and "nobody has rated" in done.stderr
    text = (tmp_path / "empty" / "report.md").read_text()
    assert "There is no result: nobody has rated this study yet." in text and "|" not in text
    assert "Pictures: 12. Methods: " in text and all(painter in text for painter in PAINTERS)
    assert sorted(path.name for path in (tmp_path / "empty").iterdir()) == ["report.md"]
    study = load_study(tmp_path / "blind")
    rate(study, load_key(tmp_path / "blind-key.csv", study), SCORES)
    done = Done(capsys, "study", "merge", "blind", "--out", "rated")
    assert done.returncode == 0 and done.stdout.strip().endswith("report.md") and "2 raters" in done.stderr
    report = (tmp_path / "rated" / "report.md").read_text()
    assert "`python -m dp_helpers study merge blind --out rated`" in report
    assert "| title | 5.000 [5.000, 5.000] | 4.41 | 8 | 3.000 [3.000, 3.000] | 2.75 | 8 | 2 |" in report
    assert "similarity 1.000, harmony 1.000" in report
    assert "| title | -3.000 [-3.000, -3.000] 2:0 p 0.500 |" in report
    with (tmp_path / "rated" / "ratings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24 and {row["painter"] for row in rows} == set(PAINTERS)
    done = Done(capsys, "study", "merge", "blind", "blind/study.json", "--out", "wrong")
    assert done.returncode == 2 and "study.json is not a file of ratings" in done.stderr
    assert not (tmp_path / "wrong").exists()


def test_no_ratings_are_committed():
    """An example must not look like a result. Whoever commits real ratings changes this test and says whose."""
    headers = {path: path.read_text(encoding="utf-8").partition("\n")[0] for path in find_data().rglob("*.csv")}
    assert [path for path, header in headers.items() if "rater" in header.split(",")] == []
    assert "nobody has rated" in (find_data() / "results" / "study" / "report.md").read_text(encoding="utf-8")
