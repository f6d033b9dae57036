"""Unseen angles: the nearest view is found, in yaw and in looks, and the table holds the scenes that count."""

import pytest
from PIL import Image

from dp_helpers import files, inpaint, presets
from dp_helpers.evaluation import angles, report, rows
from dp_helpers.evaluation.pairs import Pair, load_pairs

PAIRS = {"sunny-chair--kitchen": False, "sunny-chair--hallway": True}  # the chair's angle in it was seen in a photo


@pytest.fixture(scope="module")
def tiny():
    return presets.load("tiny")


@pytest.fixture(scope="module")
def pairs():
    return load_pairs(files.find_data(), ["sunny-chair"])


@pytest.fixture(scope="module")
def views(pairs, tiny):
    return angles.load_views(pairs[0].item, tiny)


def test_views_are_all_photos_and_the_held_back_ones(views, pairs):
    assert [view.photo for view in views if view.seen] == pairs[0].item.photos
    assert [view.yaw for view in views if not view.seen] == pairs[0].item.info["heldout_yaws"]


def test_yaws_say_which_scenes_count(views, pairs):
    assert {pair.name: angles.nearest_in_yaw(views, pair.yaw).seen for pair in pairs} == PAIRS


def test_every_photo_looks_most_like_itself(views, pairs, tiny):
    for view in views:
        pair = Pair("photo", pairs[0].item, pairs[0].context, Image.new("L", view.photo.size, 255))
        assert angles.nearest_in_looks(view.photo, pair, views, tiny) is view


def test_an_item_without_yaws_has_no_views(item, preset):
    assert angles.load_views(item, preset) == []


def test_table_has_the_true_pictures_and_the_paintings_of_unseen_angles(pairs, tiny, tmp_path):
    (unseen,) = (pair for pair in pairs if not PAIRS[pair.name])
    found = []
    for pair in pairs:
        for seed in (0, 1):  # true pictures stand for paintings
            path = rows.picture_path(tmp_path, pair.name, "ours", seed)
            inpaint.save_result(inpaint.Result(pair.truth, {}, pair.truth), path)
            found.append({"pair": pair.name, "painter": "ours", "seed": seed})
    lines = angles.table(found, "ours", pairs, tiny, tmp_path)
    assert [(line["pair"], line["seed"]) for line in lines if line["picture"] == "ours"] == [
        (unseen.name, 0),
        (unseen.name, 1),
    ]
    true = {line["pair"]: line for line in lines if line["picture"] == "true-picture"}
    assert {name: not line["unseen"] for name, line in true.items()} == PAIRS
    turned = {line["picture"]: line["yaw"] for line in lines if line["picture"].startswith("turned-")}
    (first,) = {line["pair"] for line in lines if line["picture"] == "turned-15"}
    assert turned == {f"turned-{turn}": pytest.approx(true[first]["yaw"] + turn) for turn in (15, 30)}
    assert "paintings in the 1 scenes with an unseen angle" in angles.summary(lines, "ours")
    figure = report.angles_figure(lines, "ours", pairs, tiny, tmp_path)
    assert "held back, 25°" in figure.get_label() and "nearest photo, 3°" in figure.get_label()
