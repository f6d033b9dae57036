"""The set-up cell on Colab, on Binder and at home, each played in a process of its own; nothing is installed.

What is cloned is a small repository made from the working tree, so that the test sees the code as it stands.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[1]
CELL = (REPOSITORY / "notebooks" / "setup_cell.py").read_text(encoding="utf-8")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [
    Requirement(line) for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["notebooks"]]
]
# The oldest version of each package that fits.
FITTING = {one.name: next(part.version for part in one.specifier if part.operator == ">=") for one in REQUIREMENTS}

# Runs the cell like a kernel. pip is recorded instead of run. A package named in "versions" seems to have that version,
# or to be missing if it is null, until pip is asked for it. The large libraries are stand-ins.
KERNEL = """
import importlib.metadata, json, subprocess, sys, types
plan = json.loads(sys.argv[1])
versions, pip, clones, real_run = plan["fitting"] | plan["versions"], [], [], subprocess.run

def version(name):
    if versions[name] is None:
        raise importlib.metadata.PackageNotFoundError(name)
    return versions[name]

def run(command, **options):
    if command[0] == "git":
        clones.append(command)
        return real_run(command, **options)
    kept = open(command[command.index("--constraint") + 1]).read().split()
    asked = command[command.index("--constraint") + 2 :]
    pip.append({"asked": asked, "kept": kept, "start": command[1:3]})
    versions.update({name: plan["fitting"][name] for name in versions if any(one.startswith(name) for one in asked)})
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
    "said": said, "pip": pip, "clones": clones, "package": package and package.__file__,
    "preset": names["preset"].name if "preset" in names else None, "data": str(names.get("data")),
}))
"""


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
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "DREAMPAINT_", "PYTHONPATH"))
    }
    return clean | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def play(folder, *, repository="", colab=False, times=1, versions=None, before="", pip_fails=0):
    """Run the cell in ``folder``, and return what came of it."""
    cell, replaced = re.subn(r'^repository = ".*"$', f'repository = "{repository}"', CELL, flags=re.MULTILINE)
    assert replaced == 1
    plan = {
        "cells": [cell] * times,
        "colab": colab,
        "fitting": FITTING,
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
    versions = {"torch": "2.11.0+cu128", "ipywidgets": "7.7.1", "bitsandbytes": None}
    came = play(tmp_path, repository=origin.as_uri(), colab=True, times=2, versions=versions)
    assert came["said"] is None
    assert len(came["clones"]) == 1
    assert (tmp_path / "dreampaint" / ".git" / "shallow").is_file()  # one commit, not the whole history
    assert came["package"] == str(tmp_path / "dreampaint" / "dp_helpers" / "__init__.py")
    assert came["preset"] == "tiny" and came["data"] == str(tmp_path / "dreampaint" / "data")
    assert len(came["pip"]) == 1  # the second run finds everything
    assert came["pip"][0]["asked"] == ["bitsandbytes>=0.50,<1"]
    assert came["pip"][0]["kept"] == ["torch==2.11.0+cu128", "ipywidgets==7.7.1"]


def test_colab_installs_nothing_when_everything_fits(origin, tmp_path):
    assert play(tmp_path, repository=origin.as_uri(), colab=True)["pip"] == []


def test_colab_upgrades_a_package_that_is_too_old(origin, tmp_path):
    came = play(tmp_path, repository=origin.as_uri(), colab=True, times=2, versions={"accelerate": "0.34.2"})
    assert came["said"] is None
    assert [one["asked"] for one in came["pip"]] == [["accelerate>=1.10,<2"]]


@pytest.mark.parametrize(
    ("name", "version"), [("torch", "2.5.1+cu124"), ("ipywidgets", "7.6.0"), ("ipywidgets", "9.0")]
)
def test_colab_keeps_its_torch_and_ipywidgets_and_says_what_to_do(name, version, tmp_path):
    make_checkout(tmp_path / "dreampaint")
    came = play(tmp_path / "dreampaint", colab=True, versions={name: version, "anywidget": None})
    assert came["said"].startswith("InputError: ") and came["pip"] == []
    assert (
        re.search(rf"{name}>=\S+ \(found: {re.escape(version)}\)\.", came["said"]) and "anywidget" not in came["said"]
    )
    assert "Change runtime type" in came["said"]


def test_colab_asks_for_a_restart_when_the_old_package_is_in_use(tmp_path):
    make_checkout(tmp_path / "dreampaint")
    versions = {"numpy": "1.26.4", "anywidget": "0.9.0"}
    came = play(tmp_path / "dreampaint", colab=True, versions=versions, before="import numpy")
    assert "still holds the old numpy: restart" in came["said"] and len(came["pip"]) == 1


def test_colab_without_an_address_says_what_to_check(tmp_path):
    said = play(tmp_path, colab=True)["said"]
    assert said.startswith("FileNotFoundError: DreamPaint is neither around") and "check the address" in said


def test_colab_with_a_wrong_address_says_so(tmp_path):
    came = play(tmp_path, repository=tmp_path / "nowhere", colab=True)
    assert "check the address" in came["said"] and len(came["clones"]) == 1


def test_colab_names_a_folder_that_stands_in_the_way(origin, tmp_path):
    (tmp_path / "dreampaint").mkdir()
    (tmp_path / "dreampaint" / "notes.txt").write_text("mine\n")
    said = play(tmp_path, repository=origin.as_uri(), colab=True)["said"]
    assert f"nor in {tmp_path / 'dreampaint'}: " in said and "delete that last folder if it exists" in said
    assert (tmp_path / "dreampaint" / "notes.txt").read_text() == "mine\n"


def test_an_address_alone_clones_nothing_outside_colab(origin, tmp_path):
    came = play(tmp_path, repository=origin.as_uri())
    assert came["clones"] == [] and "open this lesson inside a checkout" in came["said"]


def test_colab_says_when_pip_fails(origin, tmp_path):
    came = play(tmp_path, repository=origin.as_uri(), colab=True, versions={"bitsandbytes": None}, pip_fails=1)
    assert came["said"].startswith("InputError: pip could not install bitsandbytes")
    assert "no matching distribution" in came["said"]


def test_a_stale_checkout_is_recognised(tmp_path):
    make_checkout(tmp_path / "dreampaint", version="0.0.1")
    came = play(tmp_path, repository="unused", colab=True)
    assert came["clones"] == []
    assert "the checkout in" in came["said"] and "is 0.0.1" in came["said"] and "git pull" in came["said"]


def test_another_checkout_already_in_the_kernel_is_recognised(tmp_path):
    here = make_checkout(tmp_path / "here")
    before = f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); import dp_helpers; sys.path.pop(0)"
    said = play(here / "notebooks", before=before)["said"]
    assert f"has loaded dp_helpers from {REPOSITORY}" in said and "restart the kernel" in said


def test_files_newer_than_the_kernel_are_recognised(tmp_path):
    here = make_checkout(tmp_path / "here")
    start = here / "dp_helpers" / "__init__.py"
    update = (
        f"from pathlib import Path; import dp_helpers.course; Path({str(start)!r}).write_text('__version__ = \"9\"')"
    )
    before = f"import sys; sys.path.insert(0, {str(here)!r}); {update}"
    said = play(here / "notebooks", before=before)["said"]
    assert "have changed since this kernel loaded them" in said


@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_binder_and_home_need_neither_clone_nor_pip(folder, tmp_path):
    here = make_checkout(tmp_path / "home")
    came = play(here / folder, times=2)
    assert came["said"] is None and came["preset"] == "tiny"
    assert came["clones"] == [] and came["pip"] == []
    assert came["package"] == str(here / "dp_helpers" / "__init__.py")


def test_at_home_packages_that_do_not_fit_are_named_and_not_installed(tmp_path):
    versions = {"torch": None, "transformers": "4.57.1", "diffusers": "0.39.0.dev0", "numpy": "2.4.6"}
    came = play(make_checkout(tmp_path / "home"), versions=versions)
    needs = (
        "torch>=2.6 (found: none), diffusers>=0.39,<1 (found: 0.39.0.dev0), transformers>=5.10,<6 (found: 4.57.1): run"
    )
    assert came["said"].startswith(f"InputError: This kernel's Python needs {needs} `make setup`") and came["pip"] == []


def test_outside_a_checkout_the_cell_says_where_to_go(tmp_path):
    assert "open this lesson inside a checkout" in play(tmp_path)["said"]


def test_the_cell_is_folded_under_one_line():
    assert re.match(r"# @title Set-up: .{20,90}\n", CELL)  # Colab shows the title, JupyterLab the first line
    assert len(CELL.splitlines()) <= 20
