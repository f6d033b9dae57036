"""Watching a run learn: it changes nothing, is saved with the run, and survives an interruption."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from dp_helpers import inpaint, presets, runs
from dp_helpers.errors import Note
from dp_helpers.finetune import finetune
from dp_helpers.watch import Watch


@pytest.fixture
def watched(preset):
    return presets.change(preset, finetune={"steps": 5, "validation_steps": 2, "mixed_precision": "no"})


def make_watch(item, preset, photo, mask, **options) -> Watch:
    return Watch(item, preset, photo, mask, seeds=(0, 7), **options)


def test_a_watched_run_equals_an_unwatched_one(watched, item, photo, mask, tmp_path):
    shown = []
    watch = make_watch(item, watched, photo, mask, show=lambda rows: shown.append(len(rows)))
    run = finetune(item, item.own_masks, watched, output_dir=tmp_path / "run", progress=False, watch=watch)
    plain = finetune(item, item.own_masks, watched, progress=False)
    assert run.losses == plain.losses
    for name, value in run.unet.state_dict().items():
        assert torch.equal(value, plain.unet.state_dict()[name])
    assert [row.step for row in watch.rows] == [0, 2, 4, 5] and shown == [1, 2, 3, 4]


def test_rows_and_scores_are_in_the_run_folder(watched, item, photo, mask, tmp_path):
    watch = make_watch(item, watched, photo, mask)
    finetune(item, item.own_masks, watched, output_dir=tmp_path / "run", progress=False, watch=watch)
    saved = sorted((tmp_path / "run" / "validation").iterdir())
    assert [path.name for path in saved] == [f"step-{step:06d}.png" for step in (0, 2, 4, 5)]
    record = runs.read_record(tmp_path / "run")
    assert record["validation"] == watch.scores and all(-1 <= row["clip_score"] <= 1 for row in watch.scores)
    with Image.open(saved[1]) as row:
        assert row.size == (2 * 32, 32)
        assert json.loads(row.text["dreampaint"]) == {"step": 2, "seeds": [0, 7]} | watch.scores[1]
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_the_last_row_is_what_the_finished_run_paints(watched, item, photo, mask):
    watch = make_watch(item, watched, photo, mask)
    run = finetune(item, item.own_masks, watched, save_dtype="float32", progress=False, watch=watch)
    painted = inpaint.load_painter(watched, run, device="cpu")(photo, mask, seed=7).painted
    last = np.asarray(watch.rows[-1].images[1]).astype(int)
    assert abs(last - np.asarray(painted)).max() <= 1
    assert (np.asarray(watch.rows[0].images[1]) != last).any()


def test_an_interrupted_run_goes_on_with_its_rows(watched, item, photo, mask, tmp_path):
    class Interrupted(Exception):
        pass

    def stop(step, *_):
        if step == 5:
            raise Interrupted

    saving = presets.change(watched, finetune={"checkpointing_steps": 3})
    options = {"output_dir": tmp_path / "run", "steps": 6}
    with pytest.raises(Interrupted):
        finetune(item, item.own_masks, saving, progress=stop, watch=make_watch(item, saving, photo, mask), **options)
    watch, whole = (make_watch(item, saving, photo, mask) for _ in range(2))
    run = finetune(item, item.own_masks, saving, resume=True, progress=False, watch=watch, **options)
    finetune(item, item.own_masks, saving, progress=False, watch=whole, steps=6)
    assert watch.scores == whole.scores == run.record["validation"]
    assert [row["step"] for row in watch.scores] == [0, 2, 4, 6]
    assert len(list((tmp_path / "run" / "validation").iterdir())) == 4


def test_a_run_goes_on_with_the_seeds_of_its_saved_rows(watched, item, photo, mask, tmp_path):
    first = make_watch(item, watched, photo, mask)
    finetune(item, item.own_masks, watched, output_dir=tmp_path / "run", progress=False, watch=first)
    again = Watch(item, watched, photo, mask, seeds=(0, 1, 2))
    again.folder = tmp_path / "run" / "validation"
    with pytest.warns(Note, match=r"saved paintings have the seeds 0, 7"):
        again._remember(5)
    assert again.seeds == [0, 7] and [row.step for row in again.rows] == [0, 2, 4]
    for row, wanted in zip(again.rows, first.rows, strict=False):
        assert [image.tobytes() for image in row.images] == [image.tobytes() for image in wanted.images]


def test_with_no_interval_only_the_ends_are_painted(watched, item, photo, mask):
    watch = make_watch(item, watched, photo, mask)
    finetune(item, item.own_masks, watched, validation_steps=0, progress=False, watch=watch)
    assert [row.step for row in watch.rows] == [0, 5]


def test_a_frozen_text_encoder_and_lora_can_be_watched(watched, item, photo, mask):
    for settings in ({"train_text_encoder": False}, {"lora_rank": 2}):
        watch = make_watch(item, watched, photo, mask)
        finetune(item, item.own_masks, watched, steps=2, progress=False, watch=watch, **settings)
        assert [row.step for row in watch.rows] == [0, 2]
