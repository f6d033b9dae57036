"""Photos stay on the machine: no telemetry, no code from elsewhere, no tokens in what is committed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dp_helpers
from dp_helpers import files, presets

ROOT = files.find_data().parent
PACKAGE = Path(dp_helpers.__file__).parent
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}|\bsk-[A-Za-z0-9]{20,}|\bgh[pousr]_[A-Za-z0-9]{20,}")


def test_telemetry_is_off_before_any_library_is_loaded():
    code = """
import sys
import dp_helpers
assert not {"huggingface_hub", "transformers", "diffusers"} & sys.modules.keys()
from huggingface_hub import constants
assert constants.HF_HUB_DISABLE_TELEMETRY
"""
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment | {"PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_no_lesson_holds_a_token_or_asks_for_one(path):
    text = path.read_text(encoding="utf-8")
    assert not TOKEN.search(text) and "login(" not in text and "HF_TOKEN" not in text


def test_no_code_from_elsewhere_is_run():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "trust_remote_code" not in text and "pickle.load" not in text and "torch.load" not in text, path


@pytest.mark.parametrize("name", ["tiny", "sd15"])
def test_no_preset_reads_pickles_or_paints_unchecked(name):
    preset = presets.load(name)
    assert preset.allow_bin == () and preset.safety_checker


def test_the_readme_says_so():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "Your photos stay on your machine." in text and "`safety_checker = false`" in text
