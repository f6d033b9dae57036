"""kill -9 at every moment of every stage that writes: what was there is there, or what is new is whole."""

import json
import os
import shutil

import pytest
import torch
from PIL import Image
from tools.kill import kill_everywhere

from dp_helpers import files, inpaint, runs
from dp_helpers.evaluation import rows
from dp_helpers.training.checkpoints import Checkpoints

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
RECORD = {"prompt": "a sks mug", "class_noun": "mug", "losses": [1.0], "seconds": {}, "sources": {}}


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "work"
    made.mkdir()
    return made


def hidden(folder):
    return [path for path in folder.rglob(".*")]


def test_a_picture_is_the_old_one_or_the_new_one(folder):
    path = folder / "result.png"
    old, new = (inpaint.Result(Image.new("RGB", (8, 8), color), {"color": color}, None) for color in ("red", "blue"))
    inpaint.save_result(old, path)

    def look(number):
        assert Image.open(path).getpixel((0, 0)) in ((255, 0, 0), (0, 0, 255))
        inpaint.save_result(new, path)
        assert Image.open(path).getpixel((0, 0)) == (0, 0, 255) and not hidden(folder)

    assert kill_everywhere(lambda: inpaint.save_result(new, path), folder, look) >= 2


@pytest.mark.parametrize("replace", [True, False])
def test_a_folder_is_whole_or_as_before(folder, replace):
    path = folder / "out"

    def write(text):
        with files.whole_folder(path, replace=replace) as temporary:
            for name in ("a.txt", "b.txt"):
                (temporary / name).write_text(text)

    write("old")

    def look(number):
        files.recover(path)
        texts = {(path / name).read_text() for name in ("a.txt", "b.txt")}
        assert texts <= {"old", "new"} and (len(texts) == 1 or not replace), f"kill {number}"
        write("last")
        assert (path / "b.txt").read_text() == "last" and not hidden(folder)

    assert kill_everywhere(lambda: write("new"), folder, look) >= 4


def a_run(preset, family, losses):
    from dp_helpers import models

    unet, text_encoder, *_ = models.load_trainable(preset)
    record = RECORD | {"losses": losses, "preset": preset.as_dict()}
    parts = {"unet": unet, "text_encoder": text_encoder}
    return runs.Run(record, **{name: models.finish(part, torch.float16) for name, part in parts.items()})


def contents(run_folder):
    """Return which whole run is in a folder, by its loss, and its files."""
    losses = runs.read_record(run_folder)["losses"]
    return losses, {path.relative_to(run_folder).as_posix(): path.stat().st_size for path in run_folder.rglob("*.*")}


def test_a_saved_run_is_the_old_one_or_the_new_one(folder, preset, family):
    path, whole = folder / "run", {}
    old, new = (a_run(preset, family, losses) for losses in ([1.0], [2.0]))
    for run in (new, old):
        runs.save_run(run, path)
        whole[tuple(run.losses)] = contents(path)

    def look(number):
        losses, found = contents(path)
        assert (losses, found) == whole[tuple(losses)], f"kill {number}"

    assert kill_everywhere(lambda: runs.save_run(new, path), folder, look) >= 6
    assert runs.load_run(path).losses in ([1.0], [2.0]) and not hidden(folder)


def test_a_first_run_is_whole_or_not_there(folder, preset, family):
    run, path = a_run(preset, family, [1.0]), folder / "run"
    runs.save_run(run, folder / "whole")

    def look(number):
        assert not path.exists() or contents(path) == contents(folder / "whole"), f"kill {number}"

    assert kill_everywhere(lambda: runs.save_run(run, path), folder, look) >= 4


def test_checkpoints_keep_a_whole_one(folder):
    model = torch.nn.Linear(2, 2)
    checkpoints = Checkpoints(folder / "run", 1, 2, {"seed": 0})
    for step in (1, 2):
        checkpoints.save(step, [0.5] * step, {"model": model})

    def look(number):
        again = Checkpoints(folder / "run", 1, 2, {"seed": 0})
        step, losses = again.restore({"model": torch.nn.Linear(2, 2)})
        assert step in (2, 3) and len(losses) == step, f"kill {number}"
        again.save(3, [0.5] * 3, {"model": model})
        assert sorted(path.name for path in again.folder.iterdir()) == ["step-000002", "step-000003"]

    assert kill_everywhere(lambda: checkpoints.save(3, [0.5] * 3, {"model": model}), folder, look) >= 6


def test_rows_lose_the_last_one_at_most(folder):
    row = dict.fromkeys(rows.COLUMNS, 1.0) | {"pair": "a", "item": "b", "painter": "c", "seed": 0, "variant": 0}
    rows.append_row(folder, row)

    def look(number):
        assert len(rows.read_rows(folder)) in (1, 2)

    assert kill_everywhere(lambda: rows.append_row(folder, row), folder, look) >= 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_row_that_a_kill_has_cut_off_is_removed(folder, share):
    row = dict.fromkeys(rows.COLUMNS, 1.0) | {"pair": "a", "item": "b", "painter": "c", "seed": 0, "variant": 0}
    rows.append_row(folder, row)
    whole = (folder / "rows.csv").read_bytes()
    rows.append_row(folder, row)
    both = (folder / "rows.csv").read_bytes()
    (folder / "rows.csv").write_bytes(both[: len(whole) + int(share * (len(both) - len(whole)))])
    assert len(rows.read_rows(folder)) == 1 and (folder / "rows.csv").read_bytes() == whole


def test_a_run_whose_replacement_was_killed_between_two_renames_comes_back(folder, preset, family):
    runs.save_run(a_run(preset, family, [1.0]), folder / "run")
    (folder / "run").rename(folder / ".run.old")
    assert runs.read_record(folder / "run")["losses"] == [1.0] and not hidden(folder)
    shutil.copytree(folder / "run", folder / ".run.old")  # killed after both, before the old one was removed
    assert json.loads((runs.check_run_folder(folder / "run") / "run.json").read_text())["losses"] == [1.0]
    assert not hidden(folder)
