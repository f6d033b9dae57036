"""Recipes under data/build/ that need no renderer: what training products look like, and the sheets of failures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data.build.measure import failures
from data.build.render import products
from data.build.render.items import ITEMS


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
