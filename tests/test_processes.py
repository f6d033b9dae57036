"""Several processes: two train as one does with twice the batch, and items are shared out and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch

from dp_helpers import catalog, files, finetune, models, presets
from dp_helpers.__main__ import main
from dp_helpers.training import processes
from dp_helpers.training.latents import build_bank
from dp_helpers.training.step import step_generator

SETTINGS = {"steps": 6, "mixed_precision": "no", "lr_scheduler": "cosine", "optimizer": "adamw", "prompt_dropout": 0.4}


def losses(preset_path: str, item_folder: str, batch_size: int) -> list[float]:
    """Train on an item, and return the losses."""
    preset = presets.change(presets.load(preset_path), finetune=SETTINGS | {"batch_size": batch_size})
    item = catalog.load_item(item_folder)
    bank = build_bank(models.load_vae(preset), item.photos, item.own_masks, preset)
    return finetune.train(bank, "a sks mug", preset, seed=3, progress=False)[-1]


def launch(count: int, *words: str) -> str:
    """Run a command in so many processes, and return what it printed."""
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    root = files.find_data().parent
    done = subprocess.run([*program, *words], capture_output=True, text=True, env=environment, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_two_processes_give_the_losses_of_one_with_twice_the_batch(family, item_folder):
    arguments = str(family / "preset.toml"), str(item_folder)
    lines = launch(2, __file__, *arguments).splitlines()
    assert len(lines) == 1, "only one process reports"
    one = losses(*arguments, 4)
    assert json.loads(lines[0]) == pytest.approx(one, rel=2e-4)
    assert one != pytest.approx(losses(*arguments, 2), rel=2e-2)  # so the comparison can fail


def test_the_parts_of_a_batch_are_those_of_all_samples(monkeypatch, preset, item):
    bank = build_bank(models.load_vae(preset), item.photos, item.own_masks, preset)
    whole = bank.draw(4, step_generator(0, 0))
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        size, mine = processes.my_part(2)
        part = bank.draw(size, step_generator(0, 0)).part(mine)
        assert len(part.latents) == 2 and part.latents.equal(whole.latents[2 * rank : 2 * rank + 2])
        assert processes.is_main() == (rank == 0)


def test_shares_cover_everything_once_and_then_a_process_is_alone(monkeypatch):
    shares = []
    for rank in range(3):
        monkeypatch.setenv("WORLD_SIZE", "3")
        monkeypatch.setenv("RANK", str(rank))
        shares.append(processes.take_share(list("abcdefgh")))
        assert processes.count() == 1 and processes.is_main()
    assert shares == [["a", "d", "g"], ["b", "e", "h"], ["c", "f"]]
    assert processes.take_share(["all"]) == ["all"]


def test_several_items_are_shared_out_and_the_finished_ones_are_skipped(tmp_path, family):
    from tools.family import make_item

    items = [str(make_item(tmp_path / name)) for name in ("mug-1", "mug-2", "mug-3")]
    words = ["-m", "dp_helpers", "finetune", *items, "--preset", str(family / "preset.toml"), "--steps", "1"]
    out = launch(2, *words, "--out", str(tmp_path / "runs"))
    folders = [tmp_path / "runs" / name for name in ("mug-1", "mug-2", "mug-3")]
    assert sorted(out.split()) == [str(folder) for folder in folders]
    made = [(folder / "run.json").stat().st_mtime_ns for folder in folders]
    (folders[1] / "run.json").rename(tmp_path / "gone.json")
    for path in folders[1].iterdir():
        path.rename(tmp_path / path.name)
    assert main([*words[2:], "--out", str(tmp_path / "runs")]) == 0
    again = [(folder / "run.json").stat().st_mtime_ns for folder in folders]
    assert (again[0], again[2]) == (made[0], made[2]) and again[1] > made[1]


def test_two_processes_train_one_item_by_the_command(tmp_path, family, item_folder):
    words = ["-m", "dp_helpers", "finetune", str(item_folder), "--preset", str(family / "preset.toml"), "--steps", "1"]
    out = launch(2, *words, "--out", str(tmp_path / "run"))
    assert out.split() == [str(tmp_path / "run")]
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["losses"]) == 1


def test_each_process_takes_a_gpu_of_its_own(monkeypatch, preset, item):
    taken = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    processes.take_gpu()
    assert taken == []  # one process may have chosen another GPU than the first
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "3"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(finetune, "_checkpoints", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        finetune.finetune(item, item.own_masks, preset)
    assert taken == [1]


def test_shared_models_are_read_once_and_do_not_mix(preset, monkeypatch):
    reads, read = [], models._read
    monkeypatch.setattr(models, "_read", lambda *given: reads.append(given) or read(*given))
    with models.shared():
        first, second = models.load_vae(preset), models.load_vae(preset)
        assert len(reads) == 1
        next(first.parameters()).add_(1.0)
        assert not next(first.parameters()).equal(next(second.parameters()))
        assert next(models.load_vae(preset).parameters()).equal(next(second.parameters()))
    models.load_vae(preset)
    assert len(reads) == 2


def test_the_items_of_one_call_end_as_those_of_single_calls(tmp_path, family, preset, item):
    small = presets.change(preset, finetune={"steps": 1})
    alone = finetune.finetune(item, item.own_masks, small, progress=False)
    with models.shared():
        for _ in range(2):
            again = finetune.finetune(item, item.own_masks, small, progress=False)
    assert again.losses == alone.losses


if __name__ == "__main__":
    found = losses(*sys.argv[1:], 2)
    if processes.is_main():
        print(json.dumps(found))
