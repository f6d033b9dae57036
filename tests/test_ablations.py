"""Ablations: the data are checked, every level is what its data say, and the verdict follows from the rows."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tools.family import make_item, product_photo

from dp_helpers import baselines, catalog, files, finetune, inpaint, models, presets
from dp_helpers.__main__ import main
from dp_helpers.errors import InputError
from dp_helpers.evaluation import ablation_report, ablation_runs, ablations, benchmark, columns, cost, verdicts
from dp_helpers.evaluation import rows as rows_file
from dp_helpers.evaluation.ablations import Level
from dp_helpers.evaluation.pairs import load_gallery_items, load_pairs

RESULTS = files.find_data() / "results" / "ablations"
TEXT = """
[size]
question = "Which size?"
axis = "size"
pairs = 2
[size.levels]
right = {}
small = { mask_scale = 0.5 }
short = { finetune.steps = 1, prompt = "{prompt}, {color}" }
base = { base = true, mask = "drawn" }
[[size.claims]]
says = "The right size is better."
better = "right"
worse = "small"
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A red item and a blue one, in a hall with two masks and true pictures; the blue one in a kitchen, too."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("blue-box", "red-box"):
        make_item(folder / "catalog" / name, count=5, color=name.split("-")[0])
    for name in ("hall", "kitchen"):
        (folder / "contexts" / name / "masks").mkdir(parents=True)
        pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "contexts" / name / "photo.png")
        for mask, box in (("rectangle", (8, 6, 38, 36)), ("drawn", (12, 10, 34, 32))):
            image = Image.new("L", (48, 40), 0)
            image.paste(255, box)
            image.save(folder / "contexts" / name / "masks" / f"{mask}.png")
    for item, context in (("blue-box", "hall"), ("blue-box", "kitchen"), ("red-box", "hall")):
        pair = folder / "benchmark" / f"{item}--{context}"
        pair.mkdir(parents=True)
        product_photo(1).save(pair / "truth.png")
        image = Image.new("L", (48, 40), 0)
        image.paste(255, (11, 8, 36, 33))
        image.save(pair / "mask.png")
        (pair / "pair.json").write_text(json.dumps({"item": item, "context": context}))
    return folder


def write(folder, text=TEXT):
    (folder / "own.toml").write_text(text)
    return folder / "own.toml"


@pytest.fixture(scope="module")
def ablation(tmp_path_factory):
    return ablations.load(write(tmp_path_factory.mktemp("toml")))["size"]


@pytest.fixture(scope="module")
def pairs(data, ablation):
    return ablation_runs.choose_pairs(ablation, load_pairs(data))


def run(ablation, pairs, preset, data, folder, runs):
    options = {"gallery_items": load_gallery_items(data), "runs": runs, "folder": folder}
    return ablation_runs.run(ablation, pairs, preset, **options)


@pytest.fixture(scope="module")
def whole(ablation, pairs, preset, data, tmp_path_factory):
    """The folder of an ablation that was run, the folder of its fine-tunes, and its rows."""
    folder = tmp_path_factory.mktemp("whole")
    return folder / "out", folder / "runs", run(ablation, pairs, preset, data, folder / "out", folder / "runs")


# the data


@pytest.mark.parametrize("name", ["tiny", "sd15"])
def test_every_ablation_fits_the_presets_of_the_package(name):
    for ablation in ablations.choose():
        ablations.check(ablation, presets.load(name))


def test_every_ablation_has_six_items_and_two_seeds_and_the_cheap_ones_come_first():
    chosen = ablations.choose()
    assert all(len(one.items) >= 6 or not one.items for one in chosen) and all(one.seeds >= 2 for one in chosen)
    everything = load_pairs(files.find_data())
    assert all(len({pair.item.name for pair in ablation_runs.choose_pairs(one, everything)}) >= 6 for one in chosen)
    train = [any(level.finetune or level.masks or level.photos for level in one.levels.values()) for one in chosen]
    assert train == sorted(train)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("axis =", "axes =", "unknown key 'axes'"),
        ("mask_scale = 0.5", "mask_size = 0.5", "unknown key 'levels.small.mask_size'"),
        ("mask_scale = 0.5", 'mask_scale = "half"', "levels.small.mask_scale is 'half', but must be a finite number"),
        ("mask_scale = 0.5", "mask_scale = 0", "greater than 0"),
        ("mask_scale = 0.5", "photos = 0", "levels.small.photos is 0, but must be at least 1"),
        (
            "mask_scale = 0.5",
            "paint = false",
            "levels.small paints nothing: give a start, the index of the photo to paste",
        ),
        ("mask_scale = 0.5", "start = -1", "levels.small.start is -1, but must be at least 0"),
        ("pairs = 2", "pairs = 0", "pairs is 0"),
        ('worse = "small"', 'worse = "large"', "a claim names 'large'; the levels are right, small, short, base"),
        ('worse = "small"', 'worse = "small"\nmetric = "seam_ratio"', "'seam_ratio'; accepted are clip_score"),
        ("[[size.claims]]", "[[size.notes]]", "unknown key 'notes'"),
        ("[size]", "[size", "cannot be read as a TOML file"),
        ("[size]", "number = 3\n[size]", "3 is not a table"),
    ],
)
def test_a_mistake_in_the_data_is_told_in_one_sentence(tmp_path, old, new, said):
    with pytest.raises(InputError) as told:
        ablations.load(write(tmp_path, TEXT.replace(old, new, 1)))
    assert said in str(told.value) and "own.toml" in str(told.value) and "\n" not in str(told.value)


def test_an_unknown_ablation_and_a_setting_out_of_range_are_told(tmp_path, preset):
    path = write(tmp_path, TEXT.replace("finetune.steps = 1", "finetune.steps = 0"))
    with pytest.raises(InputError, match="no ablation 'colour': name some of size"):
        ablations.choose(["colour"], path)
    with pytest.raises(InputError, match="level 'short' of the ablation size does not fit: finetune.steps is 0"):
        ablations.check(ablations.choose(["size"], path)[0], preset)


def test_reading_the_data_loads_no_torch():
    code = "import sys; from dp_helpers.evaluation import ablations; ablations.load(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# the levels


def test_fewer_photos_are_spread_over_all_and_keep_their_masks(data):
    item = catalog.load_item(data / "catalog" / "red-box")
    for count, wanted in ((1, [0]), (2, [0, 2]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3, 4]), (None, [0, 1, 2, 3, 4])):
        taught, chosen = ablation_runs.taught_item(Level(photos=count), item)
        assert chosen == wanted and taught.paths == [item.paths[index] for index in wanted]
        assert len(taught.photos) == len(taught.own_masks) == len(wanted)


def test_a_fine_tune_is_shared_by_all_levels_that_do_not_change_it(data, preset, tmp_path):
    item = catalog.load_item(data / "catalog" / "red-box")

    def folder(**changes):
        return ablation_runs.run_folder(Level(**changes), item, preset, tmp_path)

    plain = benchmark.run_folder(item, preset, tmp_path)
    steps = preset.finetune.steps
    same = [{}, {"inpaint": {"eta": 0.5}}, {"mask_scale": 2.0}, {"prompt": "x"}, {"photos": 5}]
    assert {folder(**changes) for changes in [*same, {"finetune": {"steps": steps}}]} == {plain}
    others = [{"finetune": {"steps": 9}}, {"masks": {"object": 0}}, {"photos": 4}, {"class_noun": "mug"}]
    assert len({folder(**changes) for changes in others} | {plain}) == 5
    assert folder(finetune={"steps": 9}) == folder(finetune={"steps": 9}, inpaint={"eta": 0.5})
    assert folder(base=True) is None and folder(start=0, paint=False) is None
    assert folder(start=0, inpaint={"strength": 0.5}) == plain


def test_prompts(data, preset):
    item = catalog.load_item(data / "catalog" / "red-box")
    for prompt, class_noun, wanted in (
        ("{prompt}", None, "a sks armchair"),
        ("{prompt}, {color}", "mug", "a sks mug, red"),
        ("a {class_noun}: {title}", None, "a armchair: Red box"),
    ):
        assert ablation_runs.prompt_of(Level(prompt=prompt, class_noun=class_noun), item, preset) == wanted
    for prompt in ("{colour}", "{", "{}"):
        with pytest.raises(InputError, match="does not fit the item red-box"):
            ablation_runs.prompt_of(Level(prompt=prompt), item, preset)


def test_masks_are_scaled_about_their_centre_and_cut_at_the_photo(pairs):
    def box(**changes):
        return ablation_runs.mask_of(Level(**changes), pairs[0]).getbbox()

    assert box() == (8, 6, 38, 36) and box(mask="drawn") == (12, 10, 34, 32)
    assert box(mask_scale=0.5) in [(15, 13, 30, 28), (16, 14, 31, 29), (16, 13, 31, 28)]
    assert box(mask_scale=2.5) == (0, 0, 48, 40)
    with pytest.raises(InputError, match="hall has no mask 'star'; it has"):
        box(mask="star")


# the run


def test_every_level_is_painted_for_every_pair_and_seed(whole, ablation):
    folder, runs, rows = whole
    found = {(row["pair"], row["painter"], row["seed"]) for row in rows}
    names = ["blue-box--hall", "blue-box--kitchen", "red-box--hall"]
    assert found == {(pair, level, seed) for pair in names for level in ablation.levels for seed in (0, 1)}
    assert all(row["outside_max_change"] == 0 for row in rows)
    assert len(list(runs.iterdir())) == 4  # two fine-tunes of each item; none for the base model


def test_a_level_paints_what_its_data_say(whole, pairs, preset):
    folder, runs, _ = whole
    photo = pairs[0].context.photo

    def painted(level):
        return np.asarray(catalog.load_photo(rows_file.picture_path(folder, pairs[0].name, level, 1)))

    base = inpaint.load_painter(preset)(photo, pairs[0].context.masks["drawn"], prompt="a sks armchair", seed=1)
    assert (painted("base") == np.asarray(base.image)).all()
    tuned = inpaint.load_painter(preset, benchmark.run_folder(pairs[0].item, preset, runs))
    assert (painted("right") == np.asarray(tuned(photo, pairs[0].mask, seed=1).image)).all()
    small = ablation_runs.mask_of(Level(mask_scale=0.5), pairs[0])
    assert (painted("small") == np.asarray(tuned(photo, small, seed=1).image)).all()
    (short,) = runs.glob("*-blue-box-*-*")
    prompt = "a sks armchair, blue"
    again = inpaint.load_painter(preset, short)(photo, pairs[0].mask, prompt=prompt, seed=1)
    assert (painted("short") == np.asarray(again.image)).all()


def test_a_level_can_start_from_a_paste_in(whole, ablation, pairs, preset, data, tmp_path):
    _, runs, _ = whole
    levels = {"started": Level(start=2, inpaint={"strength": 0.5}), "pasted": Level(start=2, paint=False)}
    short, pair = replace(ablation, levels=levels), pairs[0]
    left = cost.work(short, [pair], preset, runs, tmp_path)
    assert left == cost.Work({}, 4, 2 * int(preset.inpaint.num_inference_steps * 0.5))
    run(short, [pair], preset, data, tmp_path, runs)

    def painted(level):
        return np.asarray(catalog.load_photo(rows_file.picture_path(tmp_path, pair.name, level, 1)))

    pasted = baselines.paste_in(preset, pair.item, pair.item.own_masks)(pair.context.photo, pair.mask, variant=2).image
    tuned = inpaint.load_painter(preset, benchmark.run_folder(pair.item, preset, runs))
    started = tuned(pair.context.photo, pair.mask, start=pasted, strength=0.5, seed=1).image
    assert (painted("pasted") == np.asarray(pasted)).all() and (painted("started") == np.asarray(started)).all()
    assert (painted("started") != painted("pasted")).any()


def test_a_killed_run_goes_on_and_nothing_is_done_twice(whole, ablation, pairs, preset, data, tmp_path, monkeypatch):
    _, runs, rows = whole
    monkeypatch.setattr(finetune, "finetune", None)  # all fine-tunes are there
    measure, calls = benchmark.measure, []

    def killed(*given):
        calls.append(given)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return measure(*given)

    monkeypatch.setattr(benchmark, "measure", killed)
    with pytest.raises(KeyboardInterrupt):
        run(ablation, pairs, preset, data, tmp_path, runs)
    left = cost.work(ablation, pairs, preset, runs, tmp_path)
    assert left == cost.Work({}, 24 - 3, (24 - 3) * preset.inpaint.num_inference_steps)
    again = run(ablation, pairs, preset, data, tmp_path, runs)
    assert len(calls) == 1 + 24  # the picture at which it was killed is painted again, and no other one
    one, other = ([{**row, "seconds": 0} for row in found] for found in (again, rows))
    assert all(first == pytest.approx(second, nan_ok=True) for first, second in zip(one, other, strict=True))
    assert cost.work(ablation, pairs, preset, runs, tmp_path) == cost.Work()


def test_rows_of_a_level_that_changed_are_not_mixed(whole, ablation, pairs, preset, data):
    folder, runs, rows = whole
    changed = replace(ablation, levels=ablation.levels | {"small": Level(mask_scale=0.6)})
    with pytest.raises(InputError, match="another 'small': name a new folder"):
        run(changed, pairs, preset, data, folder, runs)
    fewer = replace(ablation, levels={"right": Level()}, seeds=1)
    assert len(run(fewer, pairs, preset, data, folder, runs)) == 3


def test_the_forecast_counts_a_shared_fine_tune_once(ablation, pairs, preset, tmp_path):
    left = cost.work(ablation, pairs, preset, tmp_path / "runs", tmp_path / "out")
    assert sorted(left.runs.values()) == [1, 1, 3, 3] and left.pictures == 24
    speed = cost.Speed(encode=100, step=1000, denoise=1, measure=10)
    assert speed.seconds(left) == 4 * 100 + 8 * 1000 + 24 * 10 + 24 * preset.inpaint.num_inference_steps
    lines = cost.forecast({"one": left, "two": left}, speed)
    assert lines[0].startswith("one: fine-tunes: 4, pictures: 24, about 2.4 hours")
    assert (
        "two" in lines[1] and "4.8 minutes" in lines[1] and lines[2].startswith("in all: fine-tunes: 4, pictures: 48")
    )


def test_this_machine_is_measured(pairs, preset):
    speed = cost.measure_speed(preset, pairs[0], steps=3)
    assert min(speed.step, speed.denoise, speed.measure) > 0 and speed.encode >= 0


# the report


def judged(differences, metric="similarity"):
    """The word for a claim, from the differences between its levels in each item."""
    rows = [
        {"item": str(item), "painter": painter, metric: value}
        for item, difference in enumerate(differences)
        for painter, value in (("a", difference), ("b", 0.0))
    ]
    claim = ablations.Claim("A is better.", "a", "b", metric)
    one = ablations.Ablation("x", "?", "x", {"a": Level(), "b": Level()}, (claim,))
    (verdict,) = verdicts.judge(one, rows)
    return verdict


def test_a_verdict_needs_an_interval_on_one_side_of_zero():
    above, below, mixed = [0.1, 0.2, 0.3] * 2, [-0.1, -0.2, -0.3] * 2, [0.1, -0.2, 0.1] * 2
    assert judged(above).word == "agrees" and judged(below).word == "disagrees"
    assert judged(above, "color_difference").word == "disagrees"  # lower is better
    assert judged(below, "color_difference").word == "agrees"
    assert judged(mixed).word == judged(above[:5]).word == judged([]).word == "cannot tell"
    said = str(judged(mixed, "color_difference"))
    assert "cannot tell" in said and "over 6 items (lower is better); 'a' is better in 2 of them and worse in 4" in said


def test_rows_that_the_ablation_does_not_ask_for_are_left_out(whole, ablation):
    folder, _, rows = whole
    assert len(verdicts.read(ablation, folder)) == len(rows)
    fewer = replace(ablation, items=("blue-box",), pairs=1, seeds=1, levels={"right": Level()})
    (row,) = verdicts.read(fewer, folder)
    assert (row["pair"], row["painter"], row["seed"]) == ("blue-box--hall", "right", 0)


def test_the_best_level():
    rows = [{"item": "x", "painter": level, "color_difference": value} for level, value in (("a", 2.0), ("b", 1.0))]
    claim = ablations.Claim("A is better.", "a", "b", "color_difference")
    one = ablations.Ablation("x", "?", "x", {"a": Level(), "b": Level(), "c": Level()}, (claim,))
    assert verdicts.best(one, rows) == "b" and verdicts.best(one, []) is None


def test_report_and_figure(whole, ablation, pairs, preset):
    folder, _, rows = whole
    path = ablation_report.write(ablation, rows, pairs, preset, folder, "the command")
    text = path.read_text()
    assert "the command" in text and "Seeds of painting: 0, 1" in text and "2 items, 3 pairs, 24 painted" in text
    assert str(verdicts.judge(ablation, rows)[0]) in text
    with (folder / "table.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [line["level"] for line in table[:: len(columns.METRICS)]] == list(ablation.levels)
    with Image.open(folder / "pictures.jpg") as sheet:
        assert sheet.size == (5 * ablation_report.SIDE, 3 * ablation_report.SIDE)
    figure = ablation_report.figure(ablation, folder)
    assert "similarity (higher is better), by size. right: " in figure.get_label()
    assert len(figure.axes) == 1 + 5


def test_the_command_says_how_long_it_will_take_and_runs(data, family, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DREAMPAINT_DATA", str(data))
    words = ["evaluate", "--preset", str(family / "preset.toml"), "--out", str(tmp_path / "out"), "--quick"]
    words += ["--runs", str(tmp_path / "runs"), "--ablation", "painting-steps"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "out" / "painting-steps" / "report.md")
    assert "painting-steps: fine-tunes: 1, pictures: 10, about" in said.err and "in all:" in said.err
    assert main([*words[:-1], "nothing"]) == 2
    assert "no ablation 'nothing': name some of guidance, autoguidance" in capsys.readouterr().err


# the results that are committed

FOLDERS = sorted(path.parent for path in RESULTS.glob("*/rows.csv"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_committed_table_follows_from_its_rows(folder):
    (ablation,) = ablations.choose([folder.name])
    rows = verdicts.read(ablation, folder)
    lines = verdicts.table(ablation, rows)
    with (folder / "table.csv").open() as file:
        assert list(csv.DictReader(file)) == [{key: str(value) for key, value in line.items()} for line in lines]
    text = (folder / "report.md").read_text()
    assert all(str(verdict) in text for verdict in verdicts.judge(ablation, rows))


@pytest.mark.skipif(not (RESULTS / "steps" / "rows.csv").is_file(), reason="the ablation `steps` has not been run yet")
def test_a_committed_row_can_be_painted_and_measured_again(tmp_path):
    """The base model needs no fine-tune, so one row of it takes seconds."""
    (ablation,) = ablations.choose(["steps"])
    preset, data = presets.load("tiny"), files.find_data()
    if f"weights {models.fingerprint(preset)};" not in (RESULTS / "steps" / "report.md").read_text():
        pytest.skip("the committed rows were made with earlier weights")
    levels = {"0": ablation.levels["0"]}
    small = replace(ablation, levels=levels, claims=(), items=("lantern-lamp",), pairs=1, seeds=1)
    pairs = ablation_runs.choose_pairs(small, load_pairs(data, small.items))
    (row,) = run(small, pairs, preset, data, tmp_path, tmp_path)
    committed = {(one["pair"], one["painter"], one["seed"]): one for one in rows_file.read_rows(RESULTS / "steps")}
    before = committed[row["pair"], "0", 0]
    for metric in ("clip_score", "similarity", "structural_similarity", "patch_distance"):
        assert row[metric] == pytest.approx(before[metric], abs=0.02), metric
    assert row["color_difference"] == pytest.approx(before["color_difference"], abs=1)
