"""Is this machine ready? One line for each requirement, and what is missing does not end the check."""

import pytest
from tools.command import Done

from dp_helpers import check, presets


def test_check_says_ok_or_fail_a_line(family, capsys):
    done = Done(capsys, "check", "--preset", family / "preset.toml")
    lines = done.stdout.splitlines()
    assert len(lines) >= 6 and all(line.startswith(("OK  ", "FAIL")) for line in lines)
    assert any(line.startswith("OK   8-bit Adam") for line in lines)
    assert any(line.startswith("OK   models of") for line in lines)
    assert done.returncode == any(line.startswith("FAIL") for line in lines)


def test_a_missing_model_fails_its_line_and_the_check(family, tmp_path, capsys):
    text = (family / "preset.toml").read_text().replace('"./clip"', '"./nowhere"')
    (tmp_path / "mine.toml").write_text(text)
    done = Done(capsys, "check", "--preset", tmp_path / "mine.toml")
    assert done.returncode == 1
    [line] = [line for line in done.stdout.splitlines() if line.startswith("FAIL models of")]
    assert "inpainting is missing" in line
    assert done.stdout.splitlines()[-1][5:].startswith("memory")


def test_an_unknown_preset_fails_its_line(capsys):
    done = Done(capsys, "check", "--preset", "sd99")
    assert done.returncode == 1 and "FAIL models of sd99: There is no preset 'sd99'" in done.stdout


def test_whatever_is_broken_is_one_line(monkeypatch):
    def broken(*_):
        raise RuntimeError("libfoo.so is missing\nand a long explanation")

    monkeypatch.setattr(check, "import_module", broken)
    found = {name: (right, what) for right, name, what in check.checks("tiny")}
    assert found["torch"] == found["diffusers"] == (False, "libfoo.so is missing")
    assert found["models of tiny"][0] and found["Python"][0]


@pytest.mark.parametrize(("reason", "right"), [(None, True), ("no kernel", False)])
def test_8bit_adam_is_tried(monkeypatch, reason, right):
    monkeypatch.setattr("dp_helpers.training.optim.why_no_8bit", lambda device: reason)
    [(was_right, _, what)] = [line for line in check.checks("tiny") if line[1] == "8-bit Adam"]
    assert was_right == right and (reason or "8-bit states") in what


def test_the_sources_of_every_model_are_named():
    [(_, _, what)] = [line for line in check.checks("tiny") if line[1] == "models of tiny"]
    assert what == ", ".join(source for sources in vars(presets.load("tiny").models).values() for source in sources)
