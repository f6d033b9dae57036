"""The recipes' trainer: a killed run goes on where it stopped and ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from data.build.train import options, trainer


@pytest.fixture(autouse=True)
def same_handlers():
    """The trainer takes over SIGTERM and SIGINT."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(
    folder, *, kill_at: int | None = None, how: int = signal.SIGTERM, line: str = "--steps 12", **settings
) -> torch.nn.Module:
    """Fit a line for 12 steps; with `kill_at`, the process gets the signal `how` during that step."""
    args = options.options("", minutes=1, batch_size=4).parse_args([*line.split(), "--work", str(folder)])
    torch.manual_seed(0)
    model, seen = torch.nn.Linear(3, 1), []

    def loss(model, rng, progress):
        x = torch.from_numpy(rng.standard_normal((4, 3))).float()
        seen.append(progress)
        if kill_at is not None and len(seen) == kill_at:
            os.kill(os.getpid(), how)
        return (model(x) - x.sum(1, keepdim=True)).float().square().mean(), {"mean": x.mean()}

    trainer.train(model, loss, "line", args, lr=1e-2, warmup=2, ema=0.5, log_every=4, **settings)
    return model


def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(SystemExit, match="goes on from here"):
        run(tmp_path / "killed", kill_at=5)
    resumed = run(tmp_path / "killed")
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert (tmp_path / "killed/line/log.csv").read_text().count("step") == 1  # one header


@pytest.mark.parametrize("kill_at", [1, 2, 6])
def test_a_run_survives_kill_9(tmp_path, kill_at):
    if (child := os.fork()) == 0:
        run(tmp_path / "killed", kill_at=kill_at, how=signal.SIGKILL, checkpoint_minutes=0)
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    resumed, whole = run(tmp_path / "killed"), run(tmp_path / "whole")
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_finished_run_is_left_alone_and_made_anew_when_asked(tmp_path):
    run(tmp_path)
    trainer.exported(Namespace(work=tmp_path), "line")
    state = (tmp_path / "line/state.pt").stat().st_mtime_ns
    run(tmp_path)
    assert (tmp_path / "line/state.pt").stat().st_mtime_ns == state
    run(tmp_path, line="--steps 12 --again")
    assert (tmp_path / "line/state.pt").stat().st_mtime_ns != state


def test_a_finished_run_is_exported_once(tmp_path):
    """A kill between the end of the training and the export must not lose the model."""
    args = options.options("", minutes=1, batch_size=4).parse_args(["--steps", "2", "--work", str(tmp_path)])

    def fit() -> bool:
        return trainer.train(model, lambda m, *_: (m(torch.ones(1, 3)).square().sum(), {}), "line", args, lr=1e-2)

    model = torch.nn.Linear(3, 1)
    assert fit() and fit()
    trainer.exported(args, "line")
    assert not fit()


def test_the_best_of_several_emas_is_taken(tmp_path):
    args = options.options("", minutes=1, batch_size=4).parse_args(["--steps", "8", "--work", str(tmp_path)])
    model, seen = torch.nn.Linear(3, 1), []

    def choose(model) -> float:
        seen.append([p.detach().clone() for p in model.parameters()])
        return (0.3, 0.1, 0.2)[len(seen) - 1]

    loss = lambda m, rng, _: ((m(torch.from_numpy(rng.standard_normal((4, 3))).float()) - 1).square().mean(), {})  # noqa: E731
    trainer.train(model, loss, "line", args, lr=0.1, warmup=1, ema=(0.0, 0.5, 0.99), choose=choose)
    assert len(seen) == 3 and not torch.equal(seen[0][0], seen[1][0])
    for chosen, left in zip(seen[1], model.parameters(), strict=True):
        torch.testing.assert_close(chosen, left.detach())


def test_rows_logged_after_the_last_state_are_forgotten(tmp_path):
    with pytest.raises(SystemExit):
        run(tmp_path, kill_at=5)
    log = tmp_path / "line/log.csv"
    log.write_text(
        log.read_text() + log.read_text().splitlines()[-1].replace("4", "8", 1) + "\n9,9"
    )  # killed while it wrote
    run(tmp_path)
    assert [row.split(",")[0] for row in log.read_text().splitlines()] == ["step", "4", "8", "12"]


def test_samples_are_counted_when_the_batch_changes_on_the_way(tmp_path):
    with pytest.raises(SystemExit, match="goes on from here"):
        run(tmp_path, kill_at=4)
    run(tmp_path, line="--steps 12 --batch-size 8")
    rows = (tmp_path / "line/log.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["4", "16"], ["8", "48"], ["12", "80"]]


TEAM = """
import sys, torch
from data.build.train import options, trainer
args = options.options("", minutes=1, batch_size=4).parse_args(["--steps", "6", "--work", sys.argv[1]])
torch.manual_seed(0)
model = torch.nn.Linear(3, 1)
def loss(model, rng, progress):
    x = torch.from_numpy(rng.standard_normal((4, 3))).float()
    return (model(x) - x.sum(1, keepdim=True)).float().square().mean(), {}
trainer.train(model, loss, "line", args, lr=1e-2, warmup=2, ema=0.5, log_every=2)
torch.save([p.detach() for p in model.parameters()], f"{sys.argv[1]}/{trainer.RANK}.pt")
"""


def test_two_processes_take_the_step_of_one_with_both_batches(tmp_path):
    (tmp_path / "team.py").write_text(TEAM)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            tmp_path / "team.py",
            tmp_path,
        ],
        check=True,
        capture_output=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(trainer.__file__).parents[3])},
    )
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    args = options.options("", minutes=1, batch_size=8).parse_args(["--steps", "6", "--work", str(tmp_path / "one")])
    torch.manual_seed(0)
    model, step = torch.nn.Linear(3, 1), 0

    def loss(model, rng, progress):
        nonlocal step
        rngs, step = [np.random.default_rng([0, step, rank]) for rank in (0, 1)], step + 1
        for each in rngs:
            each.integers(2**62)  # the trainer's own draw, for torch
        x = torch.from_numpy(np.concatenate([each.standard_normal((4, 3)) for each in rngs])).float()
        return (model(x) - x.sum(1, keepdim=True)).float().square().mean(), {}

    trainer.train(model, loss, "line", args, lr=1e-2, warmup=2, ema=0.5, log_every=2)
    for one, other, whole in zip(first, second, model.parameters(), strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(one, whole.detach())
    assert [int(row.split(",")[1]) for row in (tmp_path / "line/log.csv").read_text().splitlines()[1:]] == [16, 32, 48]
