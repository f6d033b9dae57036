"""Statistics: the item is the unit, differences are paired, nothing is made of one item."""

import csv
import io
import math

import numpy as np
import pytest

from dp_helpers.evaluation import statistics

SCORES = {"ours": 0.9, "example": 0.8, "title": 0.6}


def rows(items=5, spread=0.1):
    return [
        {
            "pair": f"item {i}--{context}",
            "item": f"item {i}",
            "painter": name,
            "seed": seed,
            "score": score + i * spread + seed / 100,
        }
        for i in range(items)
        for context in range(2)
        for seed in range(2)
        for name, score in SCORES.items()
    ]


def test_pairs_and_seeds_of_an_item_are_averaged_first():
    found = statistics.by_item([*rows(), {"item": "item 0", "painter": "ours", "score": math.nan}], "ours", "score")
    assert found == pytest.approx({f"item {i}": 0.9 + i / 10 + 0.005 for i in range(5)})
    assert statistics.mean(rows(), "ours", "score").n == 5


def test_interval_holds_the_mean_and_narrows_with_more_items():
    few, many = (statistics.mean(rows(items, spread=1 / items), "ours", "score") for items in (5, 40))
    assert few.low < few.mean < few.high and few.mean == pytest.approx(0.9 + 0.4 + 0.005)
    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize("items", [6, 30])
def test_interval_covers_the_truth_in_about_95_of_100_samples(items):
    """Plain percentiles cover it in 86 of 100 with six items."""
    rng = np.random.default_rng(0)
    found = [statistics.estimate(rng.normal(0.5, 0.1, items)) for _ in range(200)]
    assert 0.9 <= sum(one.low <= 0.5 <= one.high for one in found) / 200 <= 0.99


def test_paired_differences_do_not_see_how_much_items_differ():
    found = statistics.difference(rows(spread=3), "score", "ours", "example")
    assert found.estimate.mean == pytest.approx(0.1)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((0.1, 0.1))
    assert (found.higher, found.lower) == (5, 0) and found.p == pytest.approx(2 / 2**5)


def test_sign_test_leaves_ties_out():
    values = {"ours": [1, 2, 3, 4], "other": [1, 1, 1, 5]}
    table = [
        {"item": str(i), "painter": name, "score": value}
        for name, list_ in values.items()
        for i, value in enumerate(list_)
    ]
    found = statistics.difference(table, "score", "ours", "other")
    assert (found.higher, found.lower) == (2, 1) and found.p == 1.0
    assert statistics.difference(table, "score", "ours", "ours").p == 1.0


def test_one_item_has_a_mean_and_no_interval():
    found = statistics.mean(rows(items=1), "ours", "score")
    assert found.n == 1 and math.isnan(found.low) and str(found) == "0.905"
    assert str(statistics.mean(rows(), "nobody", "score")) == "-"


def test_wins_over_the_twins():
    scores = {"true-picture": 0.9, "twin-1": 0.8, "twin-2": 0.95}
    table = [{"pair": pair, "painter": name, "score": value} for pair in "ab" for name, value in scores.items()]
    assert statistics.wins(table, "score", "higher", "true-picture", "twin-") == (2, 4)
    assert statistics.wins(table, "score", "lower", "true-picture", "twin-") == (2, 4)
    assert statistics.wins(table, "score", "nearer to 1", "true-picture", "twin-1") == (2, 2)
    table[1]["score"] = math.nan  # this case does not count
    table[4]["score"] = 0.9  # a tie is no win
    assert statistics.wins(table, "score", "higher", "true-picture", "twin-1") == (0, 1)


def test_tables():
    table = [{"painter": "a, b", "score": 1}, {"painter": "c", "score": 2}]
    assert list(csv.DictReader(io.StringIO(statistics.to_csv(table))))[0] == {"painter": "a, b", "score": "1"}
    assert statistics.to_markdown(table) == "| painter | score |\n| --- | --- |\n| a, b | 1 |\n| c | 2 |\n"


def test_names_are_text_in_a_markdown_table():
    table = statistics.to_markdown([{"name": "<script>alert(1)</script>", "a|b": "x|y"}])
    assert "<script>" not in table and "a\\|b" in table and "x\\|y" in table
