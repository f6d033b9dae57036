"""The wheel: it is built without the network, holds everything, and works where nothing else of the repository is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Runs with the installed wheel first on the path, far from the repository.
LOOK = """
import dp_helpers
from dp_helpers import presets
from dp_helpers.widgets.canvas import MaskCanvas
from PIL import Image

print(dp_helpers.__file__)
assert presets.load("tiny").resolution == 128 and presets.load("sd15").resolution == 512
canvas = MaskCanvas(Image.new("RGB", (8, 8)))
assert "export default" in canvas.get_state()["_esm"] and ".dp-canvas" in canvas.get_state()["_css"]
"""


def run(*command, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy: a build leaves folders behind, and takes old files from those that it finds."""
    source = tmp_path_factory.mktemp("source")
    shutil.copytree(ROOT / "dp_helpers", source / "dp_helpers", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # setuptools, which builds it, comes with torch: no isolated build, which would download it.
    build = (
        "pip wheel --quiet --no-deps --no-build-isolation --no-index --disable-pip-version-check --wheel-dir".split()
    )
    run(sys.executable, "-m", *build, source / "dist", source, cwd=source)
    [made] = (source / "dist").iterdir()
    return made


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "dp_helpers").rglob("*.*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if not re.match(r"dp_helpers-[\d.]+\.dist-info/", name)}
    assert inside == {name for name in files if not name.endswith(".pyc")}
    for name in ("presets/tiny.toml", "widgets/canvas/widget.js", "widgets/canvas/canvas.css", "training/loss.py"):
        assert f"dp_helpers/{name}" in inside


def test_presets_and_canvas_open_from_the_installed_wheel(wheel, tmp_path):
    target, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    elsewhere.mkdir()
    install = "pip install --quiet --no-deps --no-index --disable-pip-version-check --target".split()
    run(sys.executable, "-m", *install, target, wheel)
    came_from = run(sys.executable, "-c", LOOK, cwd=elsewhere, env={"PYTHONPATH": str(target), "HOME": str(tmp_path)})
    assert Path(came_from.strip()) == target / "dp_helpers" / "__init__.py"
