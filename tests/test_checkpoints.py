"""Checkpoints: a run that was interrupted at any moment resumes to the very result of an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from bitsandbytes.optim import AdamW8bit

from dp_helpers import finetune, presets, runs
from dp_helpers.errors import InputError
from dp_helpers.training.checkpoints import Checkpoints
from dp_helpers.training.step import step_generator

REPOSITORY = Path(__file__).parents[1]
STEPS = 6


@pytest.fixture
def saving(preset):
    """The tiny preset with a checkpoint after each step."""
    return presets.change(preset, finetune={"steps": STEPS, "checkpointing_steps": 1})


class Interrupted(Exception):
    """Stands for whatever ends a run."""


def stop_after(step: int):
    def progress(done: int, *_) -> None:
        if done == step:
            raise Interrupted

    return progress


def assert_equal_runs(one: runs.Run, other: runs.Run) -> None:
    assert one.losses == other.losses
    for module in ("unet", "text_encoder"):
        left, right = getattr(one, module).state_dict(), getattr(other, module).state_dict()
        assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit"])
def test_a_resumed_run_equals_an_undisturbed_one(saving, item, tmp_path, optimizer):
    saving = presets.change(saving, finetune={"optimizer": optimizer, "lr_scheduler": "cosine"})
    whole = finetune.finetune(item, item.own_masks, saving, progress=False)
    with pytest.raises(Interrupted):
        finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", progress=stop_after(4))
    resumed = finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", resume=True, progress=False)
    assert_equal_runs(whole, resumed)
    assert not (tmp_path / "run" / "checkpoints").exists(), "a finished run keeps no checkpoints"


def test_the_draws_of_a_step_depend_on_seed_and_step_alone():
    draws = {torch.rand(1, generator=step_generator(seed, step)).item() for seed in range(3) for step in range(3)}
    assert len(draws) == 9
    assert torch.equal(*(torch.rand(4, generator=step_generator(5, 7)) for _ in range(2)))


def test_every_part_of_the_state_comes_back(preset, tmp_path):
    """Moments, 8-bit states, step counts, learning rates: all equal after loading, not only the weights."""
    from dp_helpers.training.optim import make_optimizer

    def things(name: str):
        torch.manual_seed(0)
        model = torch.nn.Linear(128, 64)
        optimizer = make_optimizer(
            [{"params": list(model.parameters()), "lr": 1e-2}], name, weight_decay=0.1, device=torch.device("cpu")
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        return {"model": model, "optimizer": optimizer, "schedule": schedule}

    def step(state, number: int) -> None:
        torch.manual_seed(number)
        state["model"](torch.randn(8, 128)).square().mean().backward()
        state["optimizer"].step()
        state["schedule"].step()
        state["optimizer"].zero_grad()

    for name in ("adamw", "adamw8bit"):
        checkpoints = Checkpoints(tmp_path / name, 1, 2, {})
        state, fresh = things(name), things(name)
        for number in range(3):
            step(state, number)
        checkpoints.save(3, [0.5], state)
        assert checkpoints.restore(fresh) == (3, [0.5])
        for part in state:
            assert flat(state[part].state_dict()) == flat(fresh[part].state_dict())
        step(state, 3), step(fresh, 3)
        assert flat(state["optimizer"].state_dict()) == flat(fresh["optimizer"].state_dict())
        assert torch.equal(state["model"].weight, fresh["model"].weight)


def flat(tree, prefix: str = "") -> dict:
    """A state as a flat dictionary of comparable values: tensors with their type, tuples as lists."""
    if torch.is_tensor(tree):
        return {prefix: (str(tree.dtype), tree.tolist())}
    if isinstance(tree, dict):
        return {k: v for key, value in tree.items() for k, v in flat(value, f"{prefix}/{key}").items()}
    if isinstance(tree, (list, tuple)):
        return {k: v for key, value in enumerate(tree) for k, v in flat(value, f"{prefix}/{key}").items()}
    return {prefix: tree}


def test_the_latest_are_kept_and_none_is_wasted_on_the_last_step(saving, item, tmp_path):
    seen = []

    def progress(*_) -> None:
        seen.append(sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("*")))

    finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", progress=progress)
    assert seen[-1] == ["step-000004", "step-000005"] and max(map(len, seen)) == 2
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["run.json", "text_encoder", "unet"]


def test_a_checkpoint_of_another_run_is_refused(saving, item, tmp_path):
    with pytest.raises(Interrupted):
        finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", progress=stop_after(3))
    options = {"output_dir": tmp_path / "run", "resume": True, "progress": False}
    with pytest.raises(InputError, match="seed"):
        finetune.finetune(item, item.own_masks, saving, seed=1, **options)
    with pytest.raises(InputError, match="finetune.learning_rate"):
        finetune.finetune(item, item.own_masks, saving, learning_rate=0.5, **options)
    with pytest.raises(InputError, match="unfinished run"):
        finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", progress=False)
    more_often = presets.change(saving, finetune={"checkpointing_steps": 2})
    finetune.finetune(item, item.own_masks, more_often, **options)  # how often is saved does not change the result


def test_a_checkpoint_of_another_kind_of_machine_is_told(saving, item, tmp_path, monkeypatch):
    """The presets leave precision and 8-bit Adam to the machine, so the settings of the two runs are the same."""
    saving = presets.change(saving, finetune={"optimizer": "adamw8bit", "mixed_precision": "auto"})
    monkeypatch.setattr("dp_helpers.training.loop.mixed_precision", lambda *_: "bf16")
    folder = tmp_path / "run"
    with pytest.raises(Interrupted):
        finetune.finetune(item, item.own_masks, saving, output_dir=folder, progress=stop_after(3))
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setattr("dp_helpers.training.loop.mixed_precision", lambda *_: "no")
    options = {"output_dir": folder, "resume": True, "progress": False}
    with pytest.raises(InputError) as caught:
        finetune.finetune(item, item.own_masks, saving, **options)
    assert "step-000002 was made with precision bf16, but this machine takes precision no: resume on the same kind" in (
        str(caught.value)
    )
    monkeypatch.setattr("dp_helpers.training.optim.why_no_8bit", lambda device: "no kernel")
    both = "made with precision bf16 and optimizer AdamW8bit, but .* takes precision no and optimizer AdamW: resume"
    with pytest.warns(UserWarning, match="no kernel"), pytest.raises(InputError, match=both):
        finetune.finetune(item, item.own_masks, saving, **options)


def test_a_checkpoint_of_an_older_version_is_loaded_where_that_can_be(preset, tmp_path):
    """It does not say what it was made with."""

    def things(optimizer, **more):
        layer = torch.nn.Linear(2, 2)
        layer(torch.ones(1, 2)).sum().backward()
        made = optimizer(layer.parameters())
        made.step()
        return {"model": layer, "optimizer": made, **more}

    adam, eight = torch.optim.AdamW, AdamW8bit
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for index, (old, new, says) in enumerate(
        [
            (things(adam), things(adam, scaler=scaler), None),
            (things(adam, scaler=scaler), things(adam), None),
            (things(adam), things(eight), "made with optimizer AdamW, but this machine takes optimizer AdamW8bit"),
            (things(eight), things(adam), "made with optimizer AdamW8bit, but this machine takes optimizer AdamW:"),
        ]
    ):
        Checkpoints(tmp_path / str(index), 1, 2, {}).save(3, [0.5], old)
        record = tmp_path / str(index) / "checkpoints" / "step-000003" / "state.json"
        told = json.loads(record.read_text())
        del told["made_with"]
        record.write_text(json.dumps(told))
        made_with = {"precision": "fp16", "optimizer": type(new["optimizer"]).__name__}
        resuming = Checkpoints(tmp_path / str(index), 1, 2, {}, made_with)
        if says:
            with pytest.raises(InputError, match=says):
                resuming.restore(new)
        else:
            assert resuming.restore(new) == (3, [0.5]) and new["model"].weight.equal(old["model"].weight)


def test_load_or_finetune_goes_on_with_an_unfinished_run(saving, item, tmp_path):
    """A lesson that is run again after a disconnect must not end in an error, nor begin at the first step."""
    with pytest.raises(Interrupted):
        finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", progress=stop_after(4))
    taken = []
    options = {"progress": lambda step, *_: taken.append(step)}
    finetune.load_or_finetune(item, item.own_masks, saving, tmp_path / "run", **options)
    assert taken == [4, 5, 6]  # the fourth step was done, but not yet saved


def test_a_damaged_checkpoint_is_passed_over_and_none_left_is_told(saving, item, tmp_path):
    """A drive may hold the name of a checkpoint, but not yet all of its contents."""
    whole = finetune.finetune(item, item.own_masks, saving, progress=False)
    for damaged in (1, 2):
        folder = tmp_path / f"run-{damaged}"
        with pytest.raises(Interrupted):
            finetune.finetune(item, item.own_masks, saving, output_dir=folder, progress=stop_after(4))
        latest = sorted((folder / "checkpoints").iterdir())[-damaged:]
        for path in latest:
            weights = path / "state.safetensors"
            weights.write_bytes(weights.read_bytes()[:1000])
        options = {"output_dir": folder, "resume": True, "progress": False}
        if damaged == 1:
            with pytest.warns(UserWarning, match=latest[0].name):
                assert_equal_runs(whole, finetune.finetune(item, item.own_masks, saving, **options))
        else:
            with pytest.raises(InputError, match="No checkpoint can be read.*step-000003.*step-000002"):
                finetune.finetune(item, item.own_masks, saving, **options)


def test_a_checkpoint_without_its_record_is_not_whole(tmp_path):
    checkpoints = Checkpoints(tmp_path, 1, 2, {})
    (checkpoints.folder / "step-000009").mkdir(parents=True)
    (checkpoints.folder / "step-000009" / "state.safetensors").touch()
    assert checkpoints.latest() is None and checkpoints.restore({}) == (0, [])


def test_a_full_disk_does_not_end_the_training(saving, item, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    real = Checkpoints.save
    monkeypatch.setattr(
        Checkpoints, "save", lambda self, step, *given: (real if step < 3 else full)(self, step, *given)
    )
    with pytest.warns(UserWarning, match="No space left.*would begin at step-000002"):
        run = finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", progress=False)
    assert len(run.losses) == STEPS and (tmp_path / "run" / "run.json").is_file()


def test_a_run_resumes_on_a_drive_that_cannot_rename_folders(saving, item, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(Interrupted):
        finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", progress=stop_after(4))
    options = {"output_dir": tmp_path / "run", "resume": True, "progress": False}
    resumed = finetune.finetune(item, item.own_masks, saving, **options)
    assert_equal_runs(finetune.finetune(item, item.own_masks, saving, progress=False), resumed)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["run.json", "text_encoder", "unet"]


@pytest.mark.parametrize(
    "settings",
    [
        {"text_encoder_stop_step": 2},
        {"text_encoder_stop_step": 4},
        {"train_text_encoder": False},
        {"gradient_accumulation_steps": 2},
        {"prior_weight": 1.0, "class_pictures": 2},
    ],
)
def test_runs_with_options_resume_bit_for_bit(saving, item, tmp_path, settings):
    whole = finetune.finetune(item, item.own_masks, saving, progress=False, **settings)
    options = {"output_dir": tmp_path / "run", **settings}
    with pytest.raises(Interrupted):
        finetune.finetune(item, item.own_masks, saving, progress=stop_after(4), **options)
    resumed = finetune.finetune(item, item.own_masks, saving, resume=True, progress=False, **options)
    assert resumed.modules.keys() == whole.modules.keys() and resumed.losses == whole.losses
    for name, module in whole.modules.items():
        other = resumed.modules[name].state_dict()
        assert all(torch.equal(value, other[key]) for key, value in module.state_dict().items())


def test_resuming_without_a_checkpoint_begins_at_the_first_step(saving, item, tmp_path):
    begun = []
    options = {"resume": True, "progress": lambda step, *_: begun.append(step)}
    finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", **options)
    assert begun == list(range(1, STEPS + 1))
    with pytest.raises(InputError, match="output_dir"):
        finetune.finetune(item, item.own_masks, saving, **options)


@pytest.fixture
def command(family, item_folder, tmp_path):
    """Start `finetune` as a process of its own, with a checkpoint after each step."""
    text = (family / "preset.toml").read_text().replace("steps = 3\n", "steps = 40\ncheckpointing_steps = 1\n", 1)
    path = tmp_path / "preset.toml"
    path.write_text(text.replace('"./', f'"{family}/'))

    def start(out: str, *options: str) -> subprocess.Popen:
        arguments = ["finetune", item_folder, "--preset", path, "--out", tmp_path / out, *options]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "dp_helpers", *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def wait_for_checkpoint(folder: Path, process: subprocess.Popen) -> None:
    while not any((folder / "checkpoints").glob("step-*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_at_random_moments_and_resumed(command, tmp_path):
    """Also while a checkpoint is being written: with one after each step, about half of the time goes into that."""
    rng = random.Random(0)
    for _ in range(3):
        process = command("run", "--resume")
        wait_for_checkpoint(tmp_path / "run", process)
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.communicate()
    last, whole = command("run", "--resume"), None
    assert last.wait(timeout=300) == 0, last.stderr.read()
    whole = command("whole")
    assert whole.wait(timeout=300) == 0, whole.stderr.read()
    assert_equal_runs(runs.load_run(tmp_path / "run"), runs.load_run(tmp_path / "whole"))
    assert sorted(path.name for path in tmp_path.glob("run/*")) == ["run.json", "text_encoder", "unet"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(command, tmp_path, number):
    process = command("run")
    wait_for_checkpoint(tmp_path / "run", process)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130 and "resume" in said.splitlines()[-1] and "Traceback" not in said
    step = json.loads((max((tmp_path / "run" / "checkpoints").glob("step-*")) / "state.json").read_text())["step"]
    assert f"stopped after step {step} of 40" in said
