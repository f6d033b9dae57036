"""binder/ against the root's files: the same pins, the right Python, scripts that Binder can run."""

import os
import re
import tomllib

from dp_helpers import files

ROOT = files.find_data().parent
ONLY_FOR_TESTS = {"hypothesis", "nbclient", "nbformat", "pytest", "pytest-xdist", "playwright", "ruff"}


def pins(name: str) -> dict[str, str]:
    """Return package and version of each pinned line of a requirements file."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(re.match(r"([\w.-]+)==([\w.]+)", line).groups() for line in lines if re.match(r"[\w.-]+==", line))


def test_the_pins_are_those_of_the_root():
    assert pins("binder/requirements.txt") == {
        name: version for name, version in pins("requirements.txt").items() if name not in ONLY_FOR_TESTS
    }


def test_all_that_the_package_needs_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=!~]", line)[0] for line in project["dependencies"]}
    assert needed <= pins("binder/requirements.txt").keys()


def test_the_python_is_new_enough():
    major, minor = re.fullmatch(r"python-(\d+)\.(\d+)\n", (ROOT / "binder/runtime.txt").read_text()).groups()
    assert (int(major), int(minor)) >= (3, 11)  # Binder's default, 3.10, lacks tomllib


def test_the_scripts_are_executable_and_end_well():
    for name, ending in (("postBuild", "font_manager'"), ("start", 'exec "$@"')):
        path = ROOT / "binder" / name
        assert os.access(path, os.X_OK), name
        assert path.read_text().startswith("#!") and path.read_text().rstrip().endswith(ending), name
    assert "set -e" in (ROOT / "binder/postBuild").read_text()
