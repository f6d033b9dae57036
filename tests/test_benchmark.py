"""The benchmark: everything is painted once, a killed run goes on, and the report says what the rows hold."""

import csv
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tools.example import make_example_parts
from tools.family import make_item, product_photo

from dp_helpers import inpaint, presets
from dp_helpers.__main__ import main
from dp_helpers.errors import InputError
from dp_helpers.evaluation import benchmark, floors, report
from dp_helpers.evaluation import rows as rows_file
from dp_helpers.evaluation.pairs import load_gallery_items, load_pairs

REFERENCES = {"true-picture", "untouched-photo", "paste-in", "wrong-item", "coloured-box"}
ROOT = Path(__file__).resolve().parents[1]
SCENES = ("bare", "twin-1", "turned-15")


def make_data(folder):
    """Two items, a twin of the first, two contexts, and three pairs; one of them shows twins and the turned item."""
    for name in ("blue-box", "red-box"):
        make_item(folder / "catalog" / name, title=name.replace("-", " "))
    make_item(folder / "twins" / "red-box-1", count=2, twin_of="red-box")
    rng = np.random.default_rng(0)
    for name in ("hall", "kitchen"):
        context = folder / "contexts" / name
        (context / "masks").mkdir(parents=True)
        photo = Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8))
        photo.save(context / "photo.png")
        mask = Image.new("L", photo.size, 0)
        mask.paste(255, (8, 6, 38, 36))
        mask.save(context / "masks" / "rectangle.png")
    for item, context in (("blue-box", "hall"), ("red-box", "hall"), ("red-box", "kitchen")):
        pair = folder / "benchmark" / f"{item}--{context}"
        pair.mkdir(parents=True)
        product_photo(1).save(pair / "truth.png")
        item_mask = Image.new("L", (48, 40), 0)
        item_mask.paste(255, (11, 8, 36, 33))
        item_mask.save(pair / "mask.png")
        (pair / "pair.json").write_text(json.dumps({"item": item, "context": context}))
    for name in SCENES:
        product_photo(3).save(folder / "benchmark" / "red-box--hall" / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data"))


class Painter:
    """Paints the whole photo in one colour for each variant; counts its calls, and is killed at one of them."""

    variants = 3

    def __init__(self, killed_at=None):
        self.calls, self.killed_at = [], killed_at

    def __call__(self, photo, mask, *, seed, variant):
        self.calls.append((seed, variant))
        if len(self.calls) == self.killed_at:
            raise KeyboardInterrupt
        image = Image.composite(Image.new("RGB", photo.size, (80 * variant, 30 * seed, 0)), photo, mask)
        return inpaint.Result(image, {"seed": seed, "variant": variant}, image)


def run(data, preset, folder, painter, seeds=2, items=None):
    options = {"preset": preset, "gallery_items": load_gallery_items(data), "folder": folder}
    return benchmark.run({"fake": lambda item, masks: painter}, load_pairs(data, items or []), range(seeds), **options)


def without_seconds(rows):
    """Return the rows without their seconds, and None for nan, which is not equal to itself."""
    return [{key: value if value == value else None for key, value in row.items() if key != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def whole(data, preset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(data, preset, folder, Painter())


def test_every_pair_is_painted_with_every_seed_next_to_floors_and_ceilings(whole):
    folder, rows = whole
    found = {(row["pair"], row["painter"], row["seed"]) for row in rows}
    pairs = ["blue-box--hall", "red-box--hall", "red-box--kitchen"]
    expected = {(pair, "fake", seed) for pair in pairs for seed in (0, 1)}
    expected |= {(pair, name, 0) for pair in pairs for name in REFERENCES}
    expected |= {("red-box--hall", name, 0) for name in SCENES}
    assert found == expected and len(rows) == len(expected)
    for row in rows:
        with Image.open(rows_file.picture_path(folder, row["pair"], row["painter"], row["seed"])) as picture:
            assert picture.size == (48, 40)


def test_true_picture_is_perfect_and_the_photo_untouched(whole):
    for row in whole[1]:
        if row["painter"] == "true-picture":
            assert row["color_difference"] == row["patch_distance"] == 0
            assert row["structural_similarity"] == row["seam_ratio"] == 1
        if row["painter"] in ("untouched-photo", "fake", "paste-in", "coloured-box"):
            assert row["outside_max_change"] == 0
        if row["pair"] == "red-box--hall" and row["painter"] in ("true-picture", "bare"):
            assert row["detail_error"] == (row["painter"] == "bare")
        if row["pair"] != "red-box--hall":  # there is no picture without the details
            assert math.isnan(row["detail_error"])


def test_of_variants_the_one_with_the_greatest_clip_score_counts(data, preset, whole):
    pair = load_pairs(data)[0]
    for seed in (0, 1):
        results = [Painter()(pair.context.photo, pair.mask, seed=seed, variant=index) for index in range(3)]
        scores = [benchmark.metrics.clip_score(one.image, pair.item.photos, pair.mask, preset) for one in results]
        row = next(row for row in whole[1] if (row["pair"], row["painter"], row["seed"]) == (pair.name, "fake", seed))
        assert row["clip_score"] == pytest.approx(max(scores), abs=1e-5) and row["variant"] == scores.index(max(scores))


@pytest.mark.parametrize("killed_at", [2, 8])
def test_killed_run_goes_on_where_it_stopped(data, preset, whole, tmp_path, killed_at):
    with pytest.raises(KeyboardInterrupt):
        run(data, preset, tmp_path, Painter(killed_at))
    before = rows_file.read_rows(tmp_path)
    with (tmp_path / "rows.csv").open("a") as file:  # the kill came in the middle of a line
        file.write("red-box--hall,red-b")
    painter = Painter()
    rows = run(data, preset, tmp_path, painter)
    assert len(painter.calls) == 6 * 3 - 3 * sum(row["painter"] == "fake" for row in before)
    key = lambda row: (row["pair"], row["painter"], row["seed"])  # noqa: E731
    assert sorted(without_seconds(rows), key=key) == sorted(without_seconds(whole[1]), key=key)
    again = run(data, preset, tmp_path, Painter(killed_at=1))  # nothing is left to paint
    assert without_seconds(again) == without_seconds(rows)


def test_more_seeds_add_rows_and_fewer_return_fewer(data, preset, tmp_path):
    run(data, preset, tmp_path, Painter(), seeds=1, items=["blue-box"])
    painter = Painter()
    assert len(run(data, preset, tmp_path, painter, seeds=2, items=["blue-box"])) == 2 + len(REFERENCES)
    assert {seed for seed, _ in painter.calls} == {1}
    assert len(run(data, preset, tmp_path, Painter(killed_at=1), seeds=1, items=["blue-box"])) == 1 + len(REFERENCES)


def test_rows_of_another_preset_or_gallery_are_not_mixed(data, preset, tmp_path):
    run(data, preset, tmp_path, Painter(), seeds=1, items=["blue-box"])
    with pytest.raises(InputError, match="another preset"):
        run(data, presets.change(preset, inpaint={"feather": 0.1}), tmp_path, Painter())
    options = {"preset": preset, "gallery_items": load_gallery_items(data)[:2], "folder": tmp_path}
    with pytest.raises(InputError, match="another gallery"):
        benchmark.run({}, load_pairs(data), [0], **options)


def test_rows_that_nothing_tells_how_are_refused(data, preset, tmp_path):
    run(data, preset, tmp_path, Painter(), seeds=1, items=["blue-box"])
    (tmp_path / "conditions.json").unlink()
    with pytest.raises(InputError, match="rows.csv, but no conditions.json"):
        run(data, preset, tmp_path, Painter())


def test_a_report_names_all_commits_that_have_painted(data, preset, tmp_path, monkeypatch):
    for seeds, commit in ((1, "aaa"), (1, "bbb"), (2, "ccc")):  # the second paints nothing
        monkeypatch.setattr(rows_file, "commit", lambda commit=commit: commit)
        run(data, preset, tmp_path, Painter(), seeds=seeds, items=["blue-box"])
    assert rows_file.commits(tmp_path) == "aaa, ccc"


def test_rows_of_a_moved_repository_are_kept(data, preset, tmp_path):
    before = run(data, preset, tmp_path / "out", Painter(), seeds=1, items=["blue-box"])
    shutil.copytree(preset.folder, tmp_path / "moved")
    moved = presets.load(tmp_path / "moved" / "preset.toml")
    again = run(data, moved, tmp_path / "out", Painter(killed_at=1), seeds=1, items=["blue-box"])
    assert without_seconds(again) == without_seconds(before)


def test_rows_of_other_weights_are_not_mixed(data, preset, tmp_path, monkeypatch):
    run(data, preset, tmp_path, Painter(), seeds=1, items=["blue-box"])
    monkeypatch.setattr(rows_file.models, "fingerprint", lambda *_: "00000000")
    with pytest.raises(InputError, match="another weights"):
        run(data, preset, tmp_path, Painter())


def test_box_has_the_products_mean_colour(preset, item, photo, mask):
    item.photos[:] = [Image.new("RGB", one.size, "white") for one in item.photos]
    masks = [Image.new("L", one.size, 0) for one in item.photos]
    for one, own in zip(item.photos, masks, strict=True):
        one.paste((200, 100, 0), (2, 2, 8, 8))
        own.paste(255, (2, 2, 8, 8))
    painter = floors.colored_box(preset, item, masks)
    assert painter.color == (200, 100, 0)
    result = painter(photo, mask, feather=0.0)
    inside = np.asarray(mask) > 127
    assert (np.asarray(result.image)[inside] == painter.color).all()
    assert (np.asarray(result.image)[~inside] == np.asarray(photo)[~inside]).all()


def test_an_item_has_no_more_views_in_the_gallery_than_its_twin(data):
    photos = {item.name: [path.name for path in item.paths] for item in load_gallery_items(data)}
    both = ["photo-1.png", "photo-2.png"]
    assert photos == {"blue-box": [*both, "photo-3.png"], "red-box": both, "red-box-1": both}
    assert all(len(item.photos) == len(item.own_masks) == len(item.paths) for item in load_gallery_items(data))


def test_products_and_photos_of_ones_own_need_no_true_pictures(data, preset, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(data / "catalog" / "red-box", own / "catalog" / "red-box")
    shutil.copytree(data / "contexts", own / "contexts")
    (own / "contexts" / "hall" / "context.json").write_text('{"fits": ["mug"]}')
    assert [pair.name for pair in load_pairs(own)] == ["red-box--kitchen"]  # an armchair does not fit the hall
    rows = run(own, preset, tmp_path / "out", Painter(), seeds=1)
    # there is no other item to be wrong
    assert {row["painter"] for row in rows} == {"fake", "paste-in", "coloured-box", "untouched-photo"}
    assert all(math.isnan(row["color_difference"]) and math.isfinite(row["clip_score"]) for row in rows)
    path = report.write_report(rows, ["fake"], load_pairs(own), preset, tmp_path / "out", "command")
    assert "there are no true pictures" in path.read_text()


def test_murecom(tmp_path):
    for category, word in (("Coffee_cup", "Coffee cup"), ("Box", "Box")):
        for number in (1, 2):
            folder = tmp_path / category / f"fg{number}"
            folder.mkdir(parents=True)
            for index in range(3):
                product_photo(index).save(folder / f"{index}.jpg")
                Image.new("L", (48, 40), 255).save(folder / f"{index}.png")
        (tmp_path / category / "bg").mkdir()
        for index in range(2):
            Image.new("RGB", (60, 50), "grey").save(tmp_path / category / "bg" / f"{index}.jpg")
        (tmp_path / category / "bg" / "bbox.txt").write_text(f"{word} 0.jpg 10 5 29 44\n{word} 1.jpg 40 10 70 60\n")
    pairs = load_pairs(tmp_path, ["Coffee_cup-fg2"])
    assert [pair.name for pair in pairs] == ["Coffee_cup-fg2--0", "Coffee_cup-fg2--1"]
    assert [pair.mask.getbbox() for pair in pairs] == [(10, 5, 30, 45), (40, 10, 60, 50)]
    assert pairs[0].item.class_noun == "coffee cup" and pairs[0].truth is None
    assert pairs[0].item.own_masks[0].getbbox() == (0, 4, 48, 44) and len(pairs[0].item.photos) == 3
    assert [item.name for item in load_gallery_items(tmp_path, ["Coffee_cup-fg2"])] == [
        "Coffee_cup-fg1",
        "Coffee_cup-fg2",
    ]
    assert len(load_pairs(tmp_path)) == 8


def test_unknown_items_and_painters_are_refused(data, preset, tmp_path):
    with pytest.raises(InputError, match="green-box"):
        load_pairs(data, ["red-box", "green-box"])
    with pytest.raises(InputError, match="'photoshop'"):
        benchmark.make_painters(preset, tmp_path, ["title", "photoshop"])


def test_report_orders_pairs_by_rank_then_by_score(whole):
    rows = [
        {"pair": pair, "painter": painter, "seed": seed, "rank": rank, "clip_score": score}
        for pair, painter, seed, rank, score in (
            ("a", "ours", 0, 2, 0.9),
            ("b", "ours", 0, 1, 0.5),
            ("c", "ours", 0, 1, 0.6),
            ("a", "ours", 1, 1, 1.0),
            ("b", "other", 0, 9, 0.1),
        )
    ]
    assert report.ranked_pairs(rows, "ours") == ["c", "b", "a"]


def test_command_writes_all_tables(data, family, preset, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DREAMPAINT_DATA", str(data))
    make_example_parts(tmp_path / "example")
    text = (family / "preset.toml").read_text().replace('"./', f'"{family}/')
    text = text.replace("[segment]", f'paint_by_example = ["{tmp_path / "example"}"]\n[segment]')
    (tmp_path / "own.toml").write_text(text)
    out = tmp_path / "out"
    words = ["evaluate", "--preset", str(tmp_path / "own.toml"), "--out", str(out), "--runs", str(tmp_path / "runs")]
    assert main([*words, "--seeds", "1", "--items", "red-box"]) == 0
    assert capsys.readouterr().out.strip() == str(out / "report.md")
    with (out / "table1.csv").open() as file:
        table = {row["painter"]: row for row in csv.DictReader(file)}
    assert {name for name, row in table.items() if row["kind"] == "painter"} == set(benchmark.PAINTERS)
    assert {name for name, row in table.items() if row["kind"] == "reference"} == {*REFERENCES, *SCENES}
    assert {name: row["paper"] for name, row in table.items() if row["paper"]} == {
        "dreampaint": "0.7",
        "paint-by-example": "0.68",
        "title": "0.62",
    }
    assert all(table[name]["items"] == "1" and table[name]["pictures"] == "2" for name in benchmark.PAINTERS)
    text = (out / "report.md").read_text()
    assert all(name in text for name in (*benchmark.PAINTERS, *REFERENCES, "turned-15"))
    assert (
        "`python -m dp_helpers evaluate" in text and "| detail_error ↓ | 1 of 1 |" in text
    )  # better than the one twin
    assert (out / "gallery.png").stat().st_size > 1000
    (kept,) = (tmp_path / "runs").glob("own-red-box-*/run.json")
    modified = kept.stat().st_mtime_ns
    assert main([*words, "--quick", "--painters", "dreampaint", "title"]) == 0  # nothing new: blue-box comes first
    assert list((tmp_path / "runs").glob("own-blue-box-*/run.json")) and kept.stat().st_mtime_ns == modified


def test_a_picture_that_the_safety_checker_rejects_is_left_out(data, preset, tmp_path):
    class Strict(Painter):
        def __call__(self, photo, mask, *, seed, variant):
            if seed == 1:
                raise inpaint.Rejected("The safety checker rejected it")
            return super().__call__(photo, mask, seed=seed, variant=variant)

    with pytest.warns(UserWarning, match="by fake is left out: The safety checker rejected it"):
        rows = run(data, preset, tmp_path / "out", Strict(), items=["blue-box"])
    assert {row["seed"] for row in rows if row["painter"] == "fake"} == {0}
    rows_file.picture_path(tmp_path / "out", "blue-box--hall", "fake", 0).unlink()
    pairs = load_pairs(data, ["blue-box"])  # a report of what is left must not end for a picture that is not there
    assert rows_file.load_picture(tmp_path / "out", pairs[0], "fake", 0).getcolors() == [(48 * 40, (128, 128, 128))]
    report.write_report(rows, ["fake"], pairs, preset, tmp_path / "out", "the command")


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "results").rglob("*.md")), ids=lambda path: path.parent.name)
def test_committed_reports_name_no_folder_of_a_machine(path):
    assert not re.search(r"/(home|Users|root|work|tmp|content)/\w", path.read_text(encoding="utf-8"))
