"""The blind study: its cards are drawn and shuffled by the seed, and nothing in it tells who painted a card."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tools.command import Done
from tools.rating import ITEMS, ROOMS, SECRETS, make_evaluation, make_example_study

from dp_helpers.catalog import load_photo
from dp_helpers.commands import study as study_command
from dp_helpers.errors import InputError
from dp_helpers.evaluation import rows
from dp_helpers.evaluation.study import PAINTERS, load_key, load_or_make_study, load_study, make_study, outlined
from dp_helpers.widgets.rating import RatingPanel


@pytest.fixture
def evaluation(tmp_path):
    return make_evaluation(tmp_path)


def read_key(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_each_card_is_the_picture_that_the_key_says(evaluation, tmp_path):
    results, data = evaluation
    study = make_study(results, data, tmp_path / "study", tmp_path / "key.csv")
    key = load_key(tmp_path / "key.csv", study)
    assert len(study.cards) == 12 and set(key) == {card.name for card in study.cards}
    assert Counter(row["painter"] for row in key.values()) == dict.fromkeys(PAINTERS, 4)
    for card in study.cards:
        about = key[card.name]
        painted = rows.picture_path(results, about["pair"], about["painter"], int(about["seed"]))
        assert about["seed"] == "0" and (np.asarray(load_photo(card.picture)) == np.asarray(load_photo(painted))).all()
        assert len(card.references) == 2 + ITEMS.index(about["item"])
        photo = load_photo(data / "contexts" / about["pair"].split("--")[1] / "photo.png")
        mask = Image.open(data / "contexts" / ROOMS[0] / "masks" / "rectangle.png")
        assert (np.asarray(load_photo(card.photo)) == np.asarray(outlined(photo, mask))).all()


def test_the_same_seed_makes_the_same_study_and_another_seed_another(evaluation, tmp_path):
    made = [
        make_study(*evaluation, tmp_path / f"study-{index}", tmp_path / f"key-{index}.csv", seed=seed)
        for index, seed in enumerate((0, 0, 1))
    ]
    assert made[0].name == made[1].name != made[2].name
    texts = [(tmp_path / f"key-{index}.csv").read_text() for index in range(3)]
    assert texts[0] == texts[1] != texts[2]
    painters = [[row["painter"] for row in read_key(tmp_path / f"key-{index}.csv")] for index in (0, 2)]
    assert painters[0] != painters[1]


def test_without_a_seed_nobody_can_compute_the_key(evaluation, tmp_path):
    for index in range(3):
        make_study(*evaluation, tmp_path / f"study-{index}", tmp_path / f"key-{index}.csv")
    assert len({str([row["painter"] for row in read_key(tmp_path / f"key-{index}.csv")]) for index in range(3)}) > 1


def test_a_lesson_that_runs_again_goes_on_with_the_same_cards(evaluation, tmp_path):
    paths = (*evaluation, tmp_path / "study", tmp_path / "key.csv")
    made = load_or_make_study(*paths, seed=1)
    assert load_or_make_study(*paths, seed=2) == made == load_study(tmp_path / "study")


def test_pairs_are_drawn_from_all_items_in_turn(evaluation, tmp_path):
    for seed in range(5):
        make_study(*evaluation, tmp_path / f"s{seed}", tmp_path / f"k{seed}.csv", pairs=2, seed=seed)
        found = read_key(tmp_path / f"k{seed}.csv")
        assert len(found) == 6 and {row["item"] for row in found} == set(ITEMS)


def test_every_rater_sees_the_cards_in_another_order(tmp_path):
    study, _ = make_example_study(tmp_path)
    orders = [[card.name for card in study.order(rater)] for rater in ("anna", "anna", "ben")]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == sorted(orders[2])


def test_nothing_that_raters_get_names_a_method(evaluation, tmp_path, monkeypatch, capsys):
    """File names, texts, every byte of the pictures, the printed page, and what the panel sends to the browser."""
    results, data = evaluation
    monkeypatch.chdir(tmp_path)
    painters = ("--painters", *SECRETS)
    done = Done(capsys, "study", "make", results, "--data", data, "--out", "blind", *painters)
    assert done.returncode == 0, done.stderr
    panel = RatingPanel("blind", rater="anna")
    panel.ratings.rate(panel.cards[0], similarity=1, harmony=2)
    secrets = re.compile("|".join((*SECRETS[:2], "title", "true", "dreampaint", "seed")).encode(), re.IGNORECASE)
    files = sorted(path for path in (tmp_path / "blind").rglob("*") if path.is_file())
    assert len(files) > 25
    for path in files:
        content = path.read_bytes().replace(b"<title>", b"").replace(b"</title>", b"")
        content = re.sub(rb"base64,[A-Za-z0-9+/=]+", b"", content)
        assert not secrets.search(content), path
        assert not secrets.search(str(path.relative_to(tmp_path)).encode()), path
        if path.suffix == ".png":
            kinds = re.findall(rb"IHDR|PLTE|IDAT|IEND|tEXt|iTXt|zTXt|eXIf|iCCP|tIME", content)
            assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"} and not Image.open(path).info
    state = {name: value for name, value in panel.get_state().items() if name not in ("_esm", "_css")}
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", json.dumps(state))
    assert not secrets.search(text.encode())
    assert not secrets.search(repr(vars(panel.ratings.study)).replace(str(tmp_path), "").encode())


def test_pictures_of_one_pair_look_alike_but_for_their_pixels(tmp_path):
    """No method can be told by size or mode."""
    study, _ = make_example_study(tmp_path)
    assert len({(image := Image.open(card.picture)).size + (image.mode,) for card in study.cards}) == 1


def test_large_pictures_are_scaled_down_with_their_shape(evaluation, tmp_path):
    results, data = evaluation
    for path in results.rglob("*.png"):
        Image.new("RGB", (3000, 1500)).save(path)
    study = make_study(results, data, tmp_path / "study", tmp_path / "key.csv")
    assert {Image.open(card.picture).size for card in study.cards} == {(1024, 512)}


def test_a_pair_that_is_not_yet_painted_by_all_is_left_out(evaluation, tmp_path):
    results, data = evaluation
    path = results / "rows.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("red-box--hall,red-box,title")))
    make_study(results, data, tmp_path / "study", tmp_path / "key.csv")
    assert {row["pair"] for row in read_key(tmp_path / "key.csv")} == {
        "blue-box--hall",
        "blue-box--kitchen",
        "red-box--kitchen",
    }


def test_the_outline_is_around_the_mask_and_nothing_inside_changes(photo, mask):
    shown, before, inside = (np.asarray(image) for image in (outlined(photo, mask), photo, mask.convert("L")))
    assert (shown[inside == 255] == before[inside == 255]).all()
    changed = (shown != before).any(axis=2)
    assert changed[19, 29] and changed[55, 60] and not changed[10, 10] and not changed[40, 45]


def test_mistakes_are_told_in_one_sentence(evaluation, tmp_path):
    results, data = evaluation
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    study, key = tmp_path / "study", tmp_path / "key.csv"
    wrong = [
        ((tmp_path, data, study, key), {}, "holds no rows.csv"),
        ((results, data, tmp_path / "full", key), {}, "is not empty"),
        ((results, data, study, study / "key.csv"), {}, "where raters see it"),
        ((results, data, study, tmp_path / "key.txt"), {}, "must end with .csv"),
        ((results, data, study, results / "rows.csv"), {}, "is there already"),
        ((results, data, study, key), {"painters": ["magic"]}, "nothing by 'magic'.*title"),
        ((results, data, study, key), {"pairs": 0}, "at least 1 pair"),
    ]
    for arguments, options, message in wrong:
        with pytest.raises(InputError, match=message):
            make_study(*arguments, **options)
    assert not study.exists() and not key.exists()


def test_only_a_whole_study_and_its_own_key_are_loaded(evaluation, tmp_path):
    study = make_study(*evaluation, tmp_path / "study", tmp_path / "key.csv")
    make_study(*evaluation, tmp_path / "other", tmp_path / "other.csv", seed=1)
    for path in (tmp_path / "other.csv", tmp_path / "none.csv", study.folder / "study.json"):
        with pytest.raises(InputError, match="key"):
            load_key(path, study)
    with pytest.raises(InputError, match="holds no study"):
        load_study(tmp_path)
    study.cards[0].picture.unlink()
    with pytest.raises(InputError, match="copy the whole folder"):
        load_study(study.folder)


def test_the_key_of_the_working_folder_is_next_to_it(tmp_path, monkeypatch):
    assert study_command._default_key(Path("out") / "study") == Path("out") / "study-key.csv"
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    assert study_command._default_key(Path(".")) == tmp_path / "study-key.csv"
