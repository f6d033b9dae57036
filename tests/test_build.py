"""Recipes under data/build/ that need no renderer: what training products look like, sheets of failures, and fakes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data.build.measure import failures, fool
from data.build.render import products
from data.build.render.items import ITEMS
from dp_helpers import files
from dp_helpers.evaluation import metrics, truth
from dp_helpers.evaluation.pairs import load_pairs


def specs(count: int = 200):
    for number in range(count):
        rng = np.random.default_rng(number)
        yield products.decorate(products.random_spec(rng), rng)


def test_decorated_products_keep_their_main_colour_and_mostly_have_another():
    more = []
    for spec in specs():
        colors = {part.surface.color for part in products.build(spec).parts}
        assert products.decorated(spec) and spec["shade"] in colors, spec
        more.append(
            bool(colors & set(spec["paint"].values()) or spec["emblem"])
        )  # a vase may lack the handles to paint
    assert np.mean(more) > 0.9


def test_no_training_product_wears_an_emblem_of_the_catalogue():
    own = {item["spec"]["emblem"][0] for item in ITEMS if "emblem" in item["spec"]}
    drawn = {spec["emblem"][0] for spec in specs() if spec["emblem"]}
    assert own == {"star", "heart"} and drawn and not own & drawn


def test_sheet_of_failures_shows_the_worst(tmp_path):
    sheet, path = failures.Failures(), tmp_path / "failures.jpg"
    sheet.save(path)
    assert not path.exists()
    for badness in range(12):
        sheet.add([np.full((128, 128, 3), 20 * badness, np.uint8)], f"picture {badness}", badness)
    sheet.save(path)
    with Image.open(path) as picture:
        assert picture.size == (4 * 136 - 8, 2 * 152 - 8)
        shown = [picture.getpixel((col * 136 + 64, row * 152 + 80))[0] for row in range(2) for col in range(4)]
    assert shown == pytest.approx([20 * badness for badness in range(11, 3, -1)], abs=3)


def test_fakes_of_a_metric_change_the_picture_under_the_mask_alone():
    pair = load_pairs(files.find_data(), ["sweetheart-mug"])[0]
    made = fool.fakes(pair, np.random.default_rng(0))
    assert len(made) == 5
    for name, picture in made.items():
        assert picture.size == pair.truth.size
        assert metrics.outside_max_change(pair.truth, picture, pair.mask) == 0, name
        assert truth.color_difference(picture, pair.truth, pair.item_mask) > 2, name
    assert np.ptp(np.asarray(made["without colour"])[np.asarray(pair.item_mask) > 127], axis=1).max() == 0


def test_every_item_has_two_fresh_twins():
    assert set(fool.FRESH) == {item["name"] for item in ITEMS}
    for item in ITEMS:
        own = item["spec"]
        for changes in fool.FRESH[item["name"]]:
            paint = own["paint"] | changes.get("paint", {})
            assert own | changes | {"paint": paint} != own, item["name"]
