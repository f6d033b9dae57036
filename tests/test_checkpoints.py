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

from dp_helpers import finetune, presets, runs
from dp_helpers.errors import InputError
from dp_helpers.training.checkpoints import Checkpoints

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
    draws = {torch.rand(1, generator=finetune._generator(seed, step)).item() for seed in range(3) for step in range(3)}
    assert len(draws) == 9
    assert torch.equal(*(torch.rand(4, generator=finetune._generator(5, 7)) for _ in range(2)))


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


def test_load_or_finetune_goes_on_with_an_unfinished_run(saving, item, tmp_path):
    """A lesson that is run again after a disconnect must not end in an error, nor begin at the first step."""
    with pytest.raises(Interrupted):
        finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", progress=stop_after(4))
    taken = []
    options = {"progress": lambda step, *_: taken.append(step)}
    finetune.load_or_finetune(item, item.own_masks, saving, tmp_path / "run", **options)
    assert taken == [4, 5, 6]  # the fourth step was done, but not yet saved


def test_a_damaged_checkpoint_is_named(saving, item, tmp_path):
    with pytest.raises(Interrupted):
        finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", progress=stop_after(3))
    latest = max((tmp_path / "run" / "checkpoints").iterdir())
    (latest / "state.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=latest.name):
        finetune.finetune(item, item.own_masks, saving, output_dir=tmp_path / "run", resume=True, progress=False)


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
