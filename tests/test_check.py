"""Is this machine ready? One line for each requirement, and what is missing does not end the check."""

import pytest
import torch
from tools.command import Done
from tools.hub_models import CLIPSEG, make_repositories

from dp_helpers import check, presets
from dp_helpers.training import memory


def test_check_says_ok_or_fail_a_line(family, capsys):
    done = Done(capsys, "check", "--preset", family / "preset.toml")
    lines = done.stdout.splitlines()
    assert len(lines) >= 6 and all(line.startswith(("OK  ", "FAIL", "NOTE")) for line in lines)
    assert any(line.startswith("OK   8-bit Adam") for line in lines)
    assert "OK   model clip: ./clip" in lines
    assert done.returncode == any(line.startswith("FAIL") for line in lines)


def test_a_missing_model_fails_its_line_and_the_check(family, tmp_path, capsys):
    text = (family / "preset.toml").read_text().replace('"./clip"', '"./nowhere"')
    (tmp_path / "mine.toml").write_text(text)
    done = Done(capsys, "check", "--preset", tmp_path / "mine.toml")
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FAIL model inpainting")]
    assert "inpainting is missing" in line
    assert done.stdout.splitlines()[-1][5:].startswith("memory")


def test_an_unknown_preset_fails_its_line(capsys):
    done = Done(capsys, "check", "--preset", "sd99")
    assert done.returncode == 1 and "FAIL preset sd99: There is no preset 'sd99'" in done.stdout


def test_whatever_is_broken_is_one_line(monkeypatch):
    def broken(*_):
        raise RuntimeError("libfoo.so is missing\nand a long explanation")

    monkeypatch.setattr(check, "import_module", broken)
    found = {name: (right, what) for right, name, what in check.checks("tiny")}
    assert found["torch"] == found["diffusers"] == (False, "libfoo.so is missing")
    assert found["model inpainting"][0] and found["Python"][0]


@pytest.mark.parametrize(
    ("name", "reason", "right"),
    [("tiny", None, True), ("tiny", "no kernel", None), ("sd15", None, True), ("sd15", "no kernel", False)],
)
def test_8bit_adam_is_tried_and_needed_where_the_preset_uses_it(monkeypatch, name, reason, right):
    monkeypatch.setattr("dp_helpers.training.optim.why_no_8bit", lambda device: reason)
    was_right, what = found("8-bit Adam", name)
    assert was_right is right and (reason or "8-bit states") in what
    assert ("this preset does without it" in what) == (right is None)


def test_the_source_of_every_model_is_named():
    named = {name: what for _, name, what in check.checks("tiny") if name.startswith("model ")}
    assert named == {f"model {name}": sources[0] for name, sources in vars(presets.load("tiny").models).items()}


def found(name, preset="sd15"):
    return next((right, what) for right, checked, what in check.checks(preset) if checked == name)


@pytest.fixture
def account(monkeypatch):
    """In place of the account, which takes seconds: what it says of sd15. Return the list of its calls."""
    calls = []

    def quick(preset, device):
        calls.append((preset.finetune.optimizer, device))
        parts = {"optimizer": 2.00e9 if preset.finetune.optimizer == "adamw8bit" else 7.86e9, "weights": 7.88e9}
        return memory.Account(parts, parts, 0, device)

    monkeypatch.setattr(memory, "account", quick)
    return calls


@pytest.fixture
def full_size(hub_server, family, tmp_path, account):
    """The real ids on the Hub of this machine, of tiny models."""
    hub_server.repositories |= make_repositories(family, tmp_path / "repositories")
    return hub_server


def test_the_hubs_models_are_looked_up_and_not_downloaded(full_size):
    lines = {name: (right, what) for right, name, what in check.checks("sd15")}
    right, what = lines["model inpainting"]
    assert right and what == "stable-diffusion-v1-5/stable-diffusion-inpainting (less than 1 MB to download)"
    right, what = lines["model paint_by_example"]
    assert right is None and what.startswith("for the baseline alone: ")
    assert "Fantasy-Studio/Paint-by-Example is not on the Hub" in what
    assert lines["disk"][0] and lines["disk"][1].endswith(" MB are needed)")
    assert not [path for path in full_size.downloads() if path.endswith(".safetensors")]


def test_a_disk_without_room_for_the_downloads_fails(full_size, monkeypatch):
    monkeypatch.setattr(check.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    right, what = found("disk")
    assert not right and "set HF_HOME" in what


def test_no_network_fails_the_models_lines(full_size):
    full_size.faults["/api/models/"] = 503
    right, what = found("model clipseg")
    assert not right and "the Hub fails (503)" in what


def test_a_missing_model_is_told_once(full_size, capsys):
    full_size.faults["/api/models/"] = 503
    done = Done(capsys, "check", "--preset", "sd15")
    assert done.returncode == 1 and done.stdout.count("The model 'inpainting'") == 1
    assert done.stdout.splitlines()[-1] == "FAIL memory: not known without the model 'inpainting'"


def test_a_gated_model_fails_its_line(full_size):
    full_size.repositories[CLIPSEG].gated = True
    right, what = found("model clipseg")
    assert not right and "CIDAS/clipseg-rd64-refined is gated" in what and "hf auth login" in what


@pytest.mark.parametrize(("free", "right"), [(10**12, True), (10**6, False)])
def test_the_memory_of_the_device_is_compared_with_the_need(monkeypatch, free, right):
    monkeypatch.setattr("dp_helpers.training.fits.available", lambda device: free)
    was_right, what = found("memory", "tiny")
    assert was_right == right and "fine-tuning needs about" in what and "on the CPU" in what
    assert right or "set batch_size=1 with gradient_accumulation_steps=4, or" in what


@pytest.mark.parametrize(("works", "free", "right"), [(True, 15, True), (True, 10, False), (False, 15.8, False)])
def test_the_memory_of_a_gpu_is_judged_by_the_account(account, monkeypatch, works, free, right):
    """A T4 has room for sd15 with 8-bit Adam, and not with the AdamW that takes its place where it does not work."""
    monkeypatch.setattr("dp_helpers.device.pick_device", lambda: torch.device("cuda"))
    monkeypatch.setattr("dp_helpers.training.fits.why_no_8bit", lambda device: None if works else "no kernel")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free * 1e9, 16e9))
    was_right, _, what = check._try("memory", lambda: check._memory(presets.load("sd15")))
    assert was_right == right and what.startswith(f"{free * 1e3:,.0f} MB free on the GPU")
    assert account == [("adamw8bit" if works else "adamw", "cuda")]
    assert f"needs about {10_880 if works else 16_740:,} MB" in what
    assert ("without 8-bit Adam" in what) != works and (right or "lora_rank=8" in what)
