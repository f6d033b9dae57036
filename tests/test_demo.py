"""The demo: one call does the whole job, and nothing that was paid for with time is thrown away."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from tools.command import Done

from dp_helpers import baselines, catalog, demo, finetune, inpaint, presets, runs
from dp_helpers.evaluation import metrics

FILES = ["figure.png", "over-paste.png", "report.json", "result.png", "run"]


@pytest.fixture
def family_copy(family, tmp_path):
    """A copy of the family, of which a model can be broken. Only its preset and CLIP are copied."""
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in ("inpainting", "clipseg"):
        (folder / name).symlink_to(family / name, target_is_directory=True)
    shutil.copytree(family / "clip", folder / "clip")
    shutil.copy(family / "preset.toml", folder)
    return folder


@pytest.fixture
def arguments(item_folder, context_folder, tmp_path):
    given = ("demo", "--item", item_folder, "--context", context_folder, "--steps", 2, "--out", tmp_path / "out")
    return lambda family: (*given, "--preset", family / "preset.toml")


def test_the_whole_job(preset, item, context_folder, tmp_path):
    context, out, said = catalog.load_context(context_folder), tmp_path / "new" / "out", []
    mask = context.masks["rectangle"]
    two_steps = presets.change(preset, finetune={"steps": 2})
    report = demo.run_demo(item, context, mask, two_steps, out, seed=4, say=said.append)
    assert json.loads((out / "report.json").read_text()) == report
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert report["outside_max_change"] == 0 and report["steps"] == 2 and report["seed"] == 4
    assert -1 <= report["clip_score"] <= 1 and len(said) == 5
    stages = dict(report["seconds"])
    assert stages.pop("total") == pytest.approx(sum(stages.values()), abs=0.02)
    run = runs.load_run(out / "run")
    painter = inpaint.load_painter(two_steps, run)
    pasted = baselines.paste_in(two_steps, item, item.own_masks)(context.photo, mask, variant=1).image
    over = painter(context.photo, mask, seed=4, start=pasted, strength=baselines.STRENGTH_OVER_PASTE).image
    for name, painted in (("result", painter(context.photo, mask, seed=4).image), ("over-paste", over)):
        assert (np.asarray(Image.open(out / f"{name}.png")) == np.asarray(painted)).all()


def breakage(name):
    """Return a function that breaks a copy of CLIP."""

    def no_weights(clip):
        (clip / "model.safetensors").write_bytes(b"not weights")

    def no_processor(clip):
        (clip / "preprocessor_config.json").unlink()

    return {"damaged weights": no_weights, "no processor": no_processor}[name]


def test_a_demo_that_was_stopped_goes_on(family, item, item_folder, context_folder, arguments, tmp_path, capsys):
    text = (family / "preset.toml").read_text().replace("steps = 3\n", "steps = 2\ncheckpointing_steps = 1\n", 1)
    (tmp_path / "preset.toml").write_text(text.replace('"./', f'"{family}/'))
    saving = presets.load(tmp_path / "preset.toml")

    def stop(step, *_):
        if step == 2:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "out" / "run", progress=stop)
    other = Done(capsys, *arguments(tmp_path), "--seed", 1)
    assert other.returncode == 2 and "belongs to another run (it differs in seed)" in other.stderr
    done = Done(capsys, *arguments(tmp_path))
    assert done.returncode == 0, done.stderr
    assert len(runs.load_run(tmp_path / "out" / "run").losses) == 2


@pytest.mark.parametrize("name", ["damaged weights", "no processor"])
def test_run_and_picture_are_kept_when_the_score_fails(family_copy, arguments, tmp_path, capsys, name):
    breakage(name)(family_copy / "clip")
    done = Done(capsys, *arguments(family_copy))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert json.loads(done.stdout) == report and report["clip_score"] is None
    assert [line for line in done.stderr.splitlines() if line.startswith("no CLIP score: ")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert len(runs.load_run(tmp_path / "out" / "run").losses) == 2
    with Image.open(tmp_path / "out" / "result.png") as picture:
        assert picture.size == (90, 70)


def test_run_and_picture_are_kept_when_the_user_stops_the_score(family, arguments, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(metrics, "clip_score", stop)
    assert Done(capsys, *arguments(family)).returncode == 130
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["over-paste.png", "result.png", "run"]


@pytest.mark.parametrize("model", ["inpainting", "clipseg", "clip"])
def test_a_missing_model_is_told_before_training(family_copy, arguments, tmp_path, capsys, monkeypatch, model):
    monkeypatch.setattr(finetune, "finetune", lambda *_, **__: pytest.fail("training began"))
    path = family_copy / model
    path.unlink() if path.is_symlink() else shutil.rmtree(path)
    done = Done(capsys, *arguments(family_copy))
    assert done.returncode == 2 and done.stdout == ""
    assert f"{model} is missing" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_the_peak_of_memory_only_rises():
    before = demo.peak_memory_mb()
    held = bytearray(50_000_000)
    held[::4096] = bytes(len(held[::4096]))
    assert 10 < before <= demo.peak_memory_mb() < 10_000
