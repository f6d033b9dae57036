"""The set-up cell on Colab, on Binder and at home, each played in a process of its own; nothing is installed.

What is cloned is a small repository made from the working tree, so that the test sees the code as it stands.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CELL = (REPOSITORY / "notebooks" / "setup_cell.py").read_text(encoding="utf-8")

# Runs the cell like a kernel. pip is recorded instead of run, packages named in "absent" seem to be missing until
# pip was asked for them, and the large libraries are stand-ins.
KERNEL = '''
import importlib.metadata, json, subprocess, sys, types
plan = json.loads(sys.argv[1])
absent, pip, clones, real_run, real_version = set(plan["absent"]), [], [], subprocess.run, importlib.metadata.version

def version(name):
    if name in absent:
        raise importlib.metadata.PackageNotFoundError(name)
    return plan["versions"].get(name, "1.0")

def run(command, **options):
    if command[0] == "git":
        clones.append(command)
        return real_run(command, **options)
    kept = open(command[command.index("--constraint") + 1]).read().split()
    asked = command[command.index("--constraint") + 2 :]
    pip.append({"asked": asked, "kept": kept, "start": command[1:3]})
    absent.difference_update([name for name in absent if any(one.startswith(name) for one in asked)])
    return subprocess.CompletedProcess(command, plan["pip_fails"], "", "no matching distribution")

importlib.metadata.version, subprocess.run = version, run
for name in ("diffusers", "transformers"):
    logging = types.SimpleNamespace(set_verbosity_error=lambda: None, disable_progress_bar=lambda: None)
    utils = types.SimpleNamespace(logging=logging)
    modules = {name: types.SimpleNamespace(utils=utils), name + ".utils": utils, name + ".utils.logging": logging}
    sys.modules.update(modules)
if plan["colab"]:
    sys.modules["google.colab"] = types.ModuleType("google.colab")
names, said = {}, None
try:
    exec(plan["before"], {})
    for cell in plan["cells"]:
        exec(cell, names)
except Exception as error:
    said = f"{type(error).__name__}: {error}"
package = sys.modules.get("dp_helpers")
print(json.dumps({
    "said": said, "pip": pip, "clones": len(clones), "package": package and package.__file__,
    "preset": names["preset"].name if "preset" in names else None, "data": str(names.get("data")),
}))
'''


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A git repository with the package, the presets and a stand-in for data/."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return make_checkout(tmp_path_factory.mktemp("origin") / "dreampaint", git=True)


def make_checkout(folder, *, version=None, git=False):
    (folder / "data" / "catalog").mkdir(parents=True)
    (folder / "data" / "catalog" / "README").write_text("stand-in\n")
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "setup_cell.py").write_text(CELL)
    shutil.copytree(REPOSITORY / "dp_helpers", folder / "dp_helpers", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    if version:
        start = folder / "dp_helpers" / "__init__.py"
        lines = [line for line in start.read_text().splitlines() if "__version__" not in line]
        start.write_text("\n".join([*lines, f'__version__ = "{version}"', ""]))
    if git:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        for arguments in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "all"]):
            subprocess.run(["git", *arguments], cwd=folder, check=True, env=environment())
    return folder


def environment():
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "DREAMPAINT_", "PYTHONPATH"))}
    return clean | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def play(folder, *, repository="", colab=False, times=1, absent=(), versions=None, before="", pip_fails=0):
    """Run the cell in ``folder``, and return what came of it."""
    cell = CELL.replace('repository = ""', f"repository = {str(repository)!r}")
    assert repository == "" or cell != CELL
    plan = {
        "cells": [cell] * times,
        "colab": colab,
        "absent": list(absent),
        "versions": versions or {},
        "before": before,
        "pip_fails": pip_fails,
    }
    done = subprocess.run(
        [sys.executable, "-c", KERNEL, json.dumps(plan)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_colab_clones_once_and_installs_only_what_is_missing(origin, tmp_path):
    versions = {"torch": "2.11.0+cu128", "ipywidgets": "7.7.1"}
    came = play(tmp_path, repository=origin, colab=True, times=2, absent=["bitsandbytes"], versions=versions)
    assert came["said"] is None
    assert came["clones"] == 1
    assert came["package"] == str(tmp_path / "dreampaint" / "dp_helpers" / "__init__.py")
    assert came["preset"] == "tiny" and came["data"] == str(tmp_path / "dreampaint" / "data")
    assert len(came["pip"]) == 1  # the second run finds all there is
    assert [one.split(">")[0] for one in came["pip"][0]["asked"]] == ["bitsandbytes"]
    assert came["pip"][0]["kept"] == ["torch==2.11.0+cu128", "ipywidgets==7.7.1"]


def test_colab_installs_nothing_when_nothing_is_missing(origin, tmp_path):
    assert play(tmp_path, repository=origin, colab=True)["pip"] == []


def test_colab_without_an_address_says_what_to_fill_in(tmp_path):
    said = play(tmp_path, colab=True)["said"]
    assert said.startswith("FileNotFoundError") and "fill in (or correct) `repository`" in said


def test_colab_with_a_wrong_address_says_so(tmp_path):
    came = play(tmp_path, repository=tmp_path / "nowhere", colab=True)
    assert "correct" in came["said"] and came["clones"] == 1


def test_colab_names_a_folder_that_stands_in_the_way(origin, tmp_path):
    (tmp_path / "dreampaint").mkdir()
    came = play(tmp_path, repository=origin, colab=True)
    assert "delete it first" in came["said"] and came["clones"] == 0


def test_colab_says_when_pip_fails(origin, tmp_path):
    said = play(tmp_path, repository=origin, colab=True, absent=["bitsandbytes"], pip_fails=1)["said"]
    assert said.startswith("InputError: pip could not install bitsandbytes") and "no matching distribution" in said


def test_a_stale_checkout_is_recognised(tmp_path):
    make_checkout(tmp_path / "dreampaint", version="0.0.1")
    came = play(tmp_path, repository="unused", colab=True)
    assert came["clones"] == 0
    assert "the checkout in" in came["said"] and "is 0.0.1" in came["said"] and "git pull" in came["said"]


def test_another_checkout_already_in_the_kernel_is_recognised(tmp_path):
    here = make_checkout(tmp_path / "here")
    before = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); import dp_helpers; sys.path.pop(0)"
    said = play(here / "notebooks", before=before)["said"]
    assert f"has loaded dp_helpers from {REPOSITORY}" in said and "restart the kernel" in said


def test_files_newer_than_the_kernel_are_recognised(tmp_path):
    here = make_checkout(tmp_path / "here")
    start = here / "dp_helpers" / "__init__.py"
    update = f"from pathlib import Path; import dp_helpers.course; Path({str(start)!r}).write_text('__version__ = \"9\"')"
    before = f"import sys; sys.path.insert(0, {str(here)!r}); {update}"
    said = play(here / "notebooks", before=before)["said"]
    assert "have changed since this kernel loaded them" in said


@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_binder_and_home_need_neither_clone_nor_pip(folder, tmp_path):
    here = make_checkout(tmp_path / "home")
    came = play(here / folder, times=2)
    assert came["said"] is None and came["preset"] == "tiny"
    assert came["clones"] == 0 and came["pip"] == []
    assert came["package"] == str(here / "dp_helpers" / "__init__.py")


def test_at_home_a_missing_package_is_named_and_not_installed(tmp_path):
    came = play(make_checkout(tmp_path / "home"), absent=["torch", "anywidget"])
    assert came["said"].startswith("InputError: This kernel's Python lacks torch, anywidget") and came["pip"] == []


def test_outside_a_checkout_the_cell_says_where_to_go(tmp_path):
    assert "open this notebook inside one" in play(tmp_path)["said"]
