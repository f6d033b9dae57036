"""The public address: set in one place, it must reach the lessons and the README; empty, it must leave no trace."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import address
import execute
import pytest

NOTEBOOKS = Path(execute.__file__).parent
CLONE, BADGES = ("<!-- clone:begin -->\n", "<!-- clone:end -->\n"), ("<!-- badges:begin -->\n", "<!-- badges:end -->\n")
README = "".join(["# Title\n\n", *CLONE, "\n## Lessons\n", *BADGES])
PRETEND = "https://github.com/someone/dreampaint"


@pytest.fixture
def project(tmp_path):
    """A copy of the lessons and their scripts, with a README, and a way to set the address there."""
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (tmp_path / "README.md").write_text(README)

    def set_address(value: str) -> subprocess.CompletedProcess:
        cell = tmp_path / "notebooks" / "setup_cell.py"
        text, replaced = re.subn(
            r'^repository = ".*"$', f'repository = "{value}"', cell.read_text(), flags=re.MULTILINE
        )
        assert replaced == 1
        cell.write_text(text)
        command = [sys.executable, "notebooks/execute.py", "--sources"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)

    return tmp_path, set_address


def contents(folder: Path) -> dict[str, str]:
    paths = [folder / "README.md", *sorted((folder / "notebooks").glob("*.ipynb"))]
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}


def test_an_address_reaches_every_lesson_and_the_readme_and_leaves_no_trace(project):
    folder, set_address = project
    assert set_address("").returncode == 0
    without = contents(folder)
    assert not any("badge" in re.sub("<!-- badges:.*-->", "", text) for text in without.values())
    assert "Write the address of your copy" in without["README"]
    assert "git clone --depth 1 ADDRESS dreampaint" in without["README"]

    assert set_address(PRETEND).returncode == 0
    texts = contents(folder)
    assert f"git clone --depth 1 {PRETEND} dreampaint" in texts["README"] and "ADDRESS" not in texts["README"]
    for lesson in set(texts) - {"README"}:
        notebook = execute.nbformat.read(folder / "notebooks" / f"{lesson}.ipynb", as_version=4)
        colab = f"(https://colab.research.google.com/github/someone/dreampaint/blob/main/notebooks/{lesson}.ipynb)"
        binder = f"(https://mybinder.org/v2/gh/someone/dreampaint/main?labpath=notebooks%2F{lesson}.ipynb)"
        title, blank, badges, after, *_ = notebook.cells[0].source.split("\n")
        assert title.startswith("# ") and blank == after == ""
        assert colab in badges and binder in badges
        assert colab in texts["README"] and binder in texts["README"]
        setup = [cell.source for cell in notebook.cells if "setup" in cell.metadata.get("tags", [])]
        assert len(setup) == 1 and f'\nrepository = "{PRETEND}"\n' in setup[0]
        assert any(cell.get("outputs") for cell in notebook.cells)  # nothing was executed or thrown away

    assert set_address(PRETEND).returncode == 0 and contents(folder) == texts
    assert set_address("").returncode == 0 and contents(folder) == without


@pytest.mark.parametrize("value", ["https://gitlab.com/someone/dreampaint", "git@github.com:someone/dreampaint", "x"])
def test_an_address_that_colab_cannot_open_is_refused(project, value):
    folder, set_address = project
    before = contents(folder)
    done = set_address(value)
    assert done.returncode == 1 and "must be https://github.com/OWNER/NAME, or empty" in done.stderr
    assert "Traceback" not in done.stderr and contents(folder) == before


def test_a_readme_without_markers_is_refused(project):
    folder, set_address = project
    (folder / "README.md").write_text("# Title\n")
    before = contents(folder)
    done = set_address(PRETEND)
    assert done.returncode == 1 and "README.md must have the lines <!-- clone:begin -->" in done.stderr
    assert contents(folder) == before


def test_the_committed_lessons_follow_the_address():
    for path in execute.lessons():
        committed = execute.nbformat.read(path, as_version=4)
        assert execute.read(path) == committed, f"{path.name}: run `make address`"


def test_the_committed_readme_follows_the_address():
    text = (NOTEBOOKS.parent / "README.md").read_text(encoding="utf-8")
    titles = {
        path.stem: execute.read(path).cells[0].source.splitlines()[0].removeprefix("# ") for path in execute.lessons()
    }
    assert address.in_readme(text, execute.ADDRESS, titles) == text, "run `make address`"
