"""Recipes under data/build/ that need no renderer: what training products look like, and the benchmark's arithmetic."""

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


def test_benchmark_pairs_differences_by_item():
    benchmark = pytest.importorskip("data.build.measure.benchmark", reason="needs data/build/requirements.txt")
    scores = {"dreampaint": 0.9, "pbe": 0.8, "title": 0.6}
    rows = [
        {"item": f"item {i}", "method": method, "clip_score": score + i / 10 + seed / 100, "ciede2000": 10 - score}
        for i in range(5)
        for seed in range(2)
        for method, score in scores.items()
    ]
    found = benchmark.summary(rows, np.random.default_rng(0))
    assert found["benchmark_dreampaint_clip_score"] == pytest.approx(0.9 + 0.2 + 0.005)
    # Items differ by far more than methods do; paired, the difference is the same for each, and its interval a point.
    assert found["benchmark_dreampaint_minus_pbe_clip_score_low"] == pytest.approx(0.1)
    assert found["benchmark_pbe_minus_title_clip_score_high"] == pytest.approx(0.2)
    assert found["benchmark_dreampaint_minus_title_ciede2000_low"] == pytest.approx(-0.3)


def test_colour_difference_counts_the_items_pixels_alone():
    benchmark = pytest.importorskip("data.build.measure.benchmark", reason="needs data/build/requirements.txt")
    truth, where = Image.new("RGB", (8, 8), "red"), Image.new("L", (8, 8), 0)
    image = truth.copy()
    image.paste("blue", (0, 0, 4, 8))
    where.paste(255, (4, 0, 8, 8))
    assert benchmark.color_difference(image, truth, where) == 0
    # pure red and pure blue: 52.88 by the formula of Sharma et al. (2005)
    assert benchmark.color_difference(image, truth, Image.new("L", (8, 8), 255)) == pytest.approx(52.88 / 2, abs=0.05)


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
