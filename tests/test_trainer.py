"""The recipes' trainer: a killed run goes on where it stopped and ends as if nothing had happened."""

import os
import signal

import pytest
import torch
import trainer


@pytest.fixture(autouse=True)
def same_handlers():
    """The trainer takes over SIGTERM and SIGINT."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(folder, *, kill_at: int | None = None, options: str = "--steps 12") -> torch.nn.Module:
    """Fit a line for 12 steps; with `kill_at`, the process is told to stop during that step."""
    args = trainer.options("", minutes=1, batch_size=4).parse_args([*options.split(), "--work", str(folder)])
    torch.manual_seed(0)
    model, seen = torch.nn.Linear(3, 1), []

    def loss(model, rng, progress):
        x = torch.from_numpy(rng.standard_normal((4, 3))).float()
        seen.append(progress)
        if kill_at is not None and len(seen) == kill_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return (model(x) - x.sum(1, keepdim=True)).float().square().mean(), {"mean": x.mean()}

    trainer.train(model, loss, "line", args, lr=1e-2, warmup=2, ema=0.5, log_every=4)
    return model


def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(SystemExit, match="goes on from here"):
        run(tmp_path / "killed", kill_at=5)
    resumed = run(tmp_path / "killed")
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert (tmp_path / "killed/line/log.csv").read_text().count("step") == 1  # one header


def test_a_finished_run_is_left_alone_and_made_anew_when_asked(tmp_path):
    run(tmp_path)
    state = (tmp_path / "line/state.pt").stat().st_mtime_ns
    run(tmp_path)
    assert (tmp_path / "line/state.pt").stat().st_mtime_ns == state
    run(tmp_path, options="--steps 12 --again")
    assert (tmp_path / "line/state.pt").stat().st_mtime_ns != state
