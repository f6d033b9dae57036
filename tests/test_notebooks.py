"""The lessons: the habits that hold for all of them, and every one executed at a shrunken size.

The size switch stands in tools/shrunk.py. A solution is written once, in its exercise; it is executed from there.
"""

import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import execute
import pytest
from tools.shrunk import SHRUNK, shrink, shrunk_lesson, tagged

LESSONS = execute.lessons()
NAMES = [path.stem for path in LESSONS]

OPENING = ("**You will**", "**You need**")
CLOSING = ("## Takeaways", "## Exercises", "## Next")
SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```python\n(.*?)```.*?</details>", re.DOTALL)
MODEL_ID = re.compile(
    r"""["'](?!(?:data|docs|image|masks|out|photos|runs)/)[A-Za-z][\w.-]+/[\w.-]*[A-Za-z][\w.-]*["']"""
)
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}


@pytest.fixture(params=LESSONS, ids=NAMES)
def path(request):
    return request.param


@pytest.fixture
def lesson(path):
    return execute.nbformat.read(path, as_version=4)


def markdown(lesson) -> list[str]:
    return [cell.source for cell in lesson.cells if cell.cell_type == "markdown"]


def pictures(cell) -> list[str]:
    """Return the img elements that a cell has put out, one for each figure."""
    pages = [output.get("data", {}).get("text/html", "") for output in cell.outputs]
    return [tag for page in pages for tag in re.findall("<img [^>]*>", page)]


def shows_picture(cell) -> bool:
    return bool(pictures(cell))


def shows_bare_image(cell) -> bool:
    """Return whether a figure is there as a bare JPEG or PNG: then something has undone `course.show_figures`."""
    return any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {}))


def test_all_lessons_are_known():
    assert NAMES, "there are no lessons"
    assert set(SHRUNK) == set(NAMES), "SHRUNK must name each lesson, if only with an empty dictionary"


def test_opening(lesson):
    first = lesson.cells[0]
    assert first.cell_type == "markdown" and re.match(r"# \d\d · \S", first.source)
    for part in OPENING:
        assert part in first.source, f"the first cell lacks {part!r}"
    listed = first.source.split(OPENING[0])[1].split(OPENING[1])[0]
    assert 3 <= len(re.findall(r"^- ", listed, re.MULTILINE)) <= 5, "'You will' has three to five points"
    cells = execute.code_cells(lesson)
    assert "setup" in cells[0].metadata.get("tags", []), "the first code cell is the set-up cell"
    assert any(shows_picture(cell) for cell in cells[1:3]), "the finished picture comes right after the set-up"


def test_setup_cell_is_the_one(lesson):
    cells = tagged(lesson, "setup")
    assert len(cells) == 1 and cells[0].source == execute.SETUP, "run notebooks/execute.py"


def test_setup_cell_names_this_version():
    from dp_helpers import __version__

    assert f'version="{__version__}"' in execute.SETUP


def test_closing(lesson):
    text = "\n\n".join(markdown(lesson))
    places = [text.find(part) for part in CLOSING]
    assert min(places) >= 0 and places == sorted(places), f"a lesson closes with {CLOSING}"
    takeaways, exercises = text[places[0] : places[1]], text[places[1] : places[2]]
    assert len(re.findall(r"^- ", takeaways, re.MULTILINE)) == 3
    count = len(re.findall(r"^\*\*\d+\. ", exercises, re.MULTILINE))
    assert 2 <= count <= 4 and len(solutions(lesson)) == count == text.count("<details>"), (
        "each exercise has its solution"
    )


def solutions(lesson) -> list[str]:
    return [found for text in markdown(lesson) for found in SOLUTION.findall(text)]


def test_code_cells_are_short(lesson):
    lengths = [len(cell.source.splitlines()) for cell in execute.code_cells(lesson)]
    assert statistics.median(lengths) <= 8 and max(lengths) <= 30


def test_committed_outputs_are_of_one_clean_run(lesson, path):
    cells = execute.code_cells(lesson)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run `make notebooks`"
    for cell in cells:
        assert all(output.output_type != "error" for output in cell.outputs)
        assert all(output.get("name") != "stderr" for output in cell.outputs), f"stderr below {cell.source[:60]!r}"
        assert execute.tidy(cell.outputs) == cell.outputs and not shows_bare_image(cell)
    assert path.stat().st_size <= execute.MAX_BYTES
    assert set(lesson.metadata) == {"kernelspec", "language_info"}, "no widget state, nothing of this machine"
    for cell in lesson.cells:
        folded = FOLDED if "setup" in cell.metadata.get("tags", []) else {}
        assert {key: value for key, value in cell.metadata.items() if key != "tags"} == folded and "id" not in cell


def test_outputs_name_no_folder_of_a_machine(lesson):
    text = execute.nbformat.writes(lesson)
    assert not re.search(r"/(home|Users|root|work|tmp|content)/\w", text)


def test_no_model_is_named(lesson):
    for cell in execute.code_cells(lesson):
        code = cell.source.replace(execute.SETUP, "")
        assert "from_pretrained(" not in code and not MODEL_ID.search(code), cell.source
    for code in solutions(lesson):
        assert "from_pretrained(" not in code and not MODEL_ID.search(code), code


def test_no_lesson_asks_for_its_preset(lesson):
    code = "\n".join([*(cell.source for cell in execute.code_cells(lesson)), *solutions(lesson)])
    assert not re.search(r"preset\.(name|source)\s*[=!]=|if .*preset\.(name|source)", code)


def test_pictures_in_markdown(lesson, path):
    for text in markdown(lesson):
        assert "base64" not in text and "attachment:" not in text
        for alternative, target in re.findall(r"!\[(.*?)\]\((.*?)\)", text):
            assert len(alternative) > 10, f"{target} needs alternative text"
            assert target.startswith("https://") or (path.parent / target).is_file()
        for tag in re.findall(r"<img[^>]*>", text):
            assert re.search(r'alt="[^"]{10,}"', tag), f"{tag} needs alternative text"


def test_links_to_files_exist(lesson, path):
    for target in re.findall(r"\]\((?!https://)([^)#]+)", "\n".join(markdown(lesson))):
        assert (path.parent / target).exists(), f"{target} is linked but not there"


def test_figures_have_alternative_text(lesson):
    figures = [(tag, cell) for cell in execute.code_cells(lesson) for tag in pictures(cell)]
    assert figures
    for tag, cell in figures:
        assert re.match(r'<img alt="[^"]{10,}" src="data:image/jpeg;base64,', tag), f"below {cell.source[-80:]!r}"


def test_after_every_picture_comes_a_sentence(lesson):
    for cell, following in zip(lesson.cells, lesson.cells[1:], strict=False):
        if cell.cell_type == "code" and shows_picture(cell):
            text = following.source if following.cell_type == "markdown" else ""
            assert len(text) > 30 and not text.startswith("#"), f"what is to be noticed after {cell.source[-80:]!r}?"


def test_formulas_are_for_katex(lesson):
    """Colab, Jupyter and GitHub must all draw them: balanced, and none of the commands that only LaTeX knows."""
    for text in markdown(lesson):
        bare = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
        blocks, rest = re.findall(r"\$\$(.*?)\$\$", bare, re.DOTALL), re.sub(r"\$\$.*?\$\$", "", bare, flags=re.DOTALL)
        assert rest.count("$") % 2 == 0, f"an odd number of $ in {text[:60]!r}"
        for formula in [*blocks, *re.findall(r"\$([^$]+)\$", rest)]:
            assert formula.count("{") == formula.count("}") and formula.count(r"\left") == formula.count(r"\right")
            forbidden = re.search(
                r"\\(label|eqref|ref|cite|newcommand|def|mbox|begin\{(align|equation|eqnarray)\*?\})", formula
            )
            assert not forbidden, f"{forbidden and forbidden[0]} in {formula[:60]!r}"


def test_runs_from_top_to_bottom_with_its_solutions(path, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = shrunk_lesson(path)
    for code in solutions(notebook):
        cell = execute.nbformat.v4.new_code_cell(code)
        cell.pop("id", None)
        notebook.cells.append(cell)
    done = execute.execute(notebook)
    counts = [cell.execution_count for cell in execute.code_cells(done)]
    assert counts == list(range(1, len(counts) + 1))
    assert any(shows_picture(cell) for cell in execute.code_cells(done))
    assert not any(shows_bare_image(cell) for cell in execute.code_cells(done))


def test_shrinking_fails_loudly():
    notebook = execute.nbformat.v4.new_notebook(cells=[execute.nbformat.v4.new_code_cell("steps = 7")])
    with pytest.raises(AssertionError, match="change SHRUNK"):
        shrink(notebook, {"steps = 7": "steps = 2"})  # the cell has no tag


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of lessons for execute.py, and a way to put one there."""
    monkeypatch.setattr(execute, "HERE", tmp_path)

    def put(*sources: str):
        cells = [execute.nbformat.v4.new_code_cell(source) for source in sources]
        execute.nbformat.write(execute.nbformat.v4.new_notebook(cells=cells), tmp_path / "00_lesson.ipynb")
        return tmp_path / "00_lesson.ipynb"

    return put


def test_executing_keeps_what_a_page_can_show(folder, capsys, monkeypatch):
    bar = "import sys; print('\\r 10 %|#  |', file=sys.stderr)"
    widget = f"from IPython.display import display; display({{{execute.WIDGET!r}: {{}}, 'text/plain': 'x'}}, raw=True)"
    path = folder("print('a'); print('b')", bar, widget, "import os; os.path.basename(os.getcwd())")
    assert execute.main(["00_lesson"]) == 0
    lesson = execute.nbformat.read(path, as_version=4)
    assert [cell.execution_count for cell in lesson.cells] == [1, 2, 3, 4]
    assert [len(cell.outputs) for cell in lesson.cells] == [1, 0, 0, 1]
    assert lesson.cells[0].outputs[0].text == "a\nb\n"
    assert lesson.cells[3].outputs[0].data["text/plain"] == repr(path.parent.name)
    assert all("id" not in cell and cell.metadata == {} for cell in lesson.cells)
    before = path.read_bytes()
    said = capsys.readouterr().out
    peak = float(re.fullmatch(r"00_lesson\.ipynb: \d+ kB, \d+ s, (\d+) MB\n", said)[1])
    assert 10 < peak < execute.LIMITS["MB"]
    monkeypatch.setattr(execute, "LIMITS", {"s": 180, "MB": 10})
    assert execute.main([]) == 0 and path.read_bytes() == before  # the same again
    assert capsys.readouterr().out.endswith(" MB (more than 10)\n")


def test_prints_are_joined_and_progress_bars_dropped():
    def stream(name, text):
        return execute.nbformat.v4.new_output("stream", name=name, text=text)

    came = [
        stream("stdout", "a"),
        stream("stdout", "b\n"),
        stream("stderr", "\r 5 %|"),
        stream("stderr", "\r 9 %|\nhm\n"),
    ]
    assert execute.tidy(came) == [stream("stdout", "ab\n"), stream("stderr", "hm\n")]
    assert execute.tidy([stream("stderr", "\r 5 %|\n")]) == []
    around = [stream("stdout", "a"), stream("stderr", "\r 5 %|"), stream("stdout", "b")]
    assert execute.tidy(around) == [stream("stdout", "ab")] and around[0].text == "a"


def test_a_failing_cell_is_named_and_nothing_is_written(folder, capsys):
    path = folder("x = 1", "x / 0  # oh", "print(x)")
    before = path.read_bytes()
    assert execute.main(["00_lesson"]) == 1
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
    said = capsys.readouterr().err
    assert "code cell 2 ('x / 0  # oh') raised ZeroDivisionError: division by zero" in said


@pytest.mark.parametrize("before", ["", "print('so far', flush=True); time.sleep(0.5); "])  # killed at once, or later
def test_a_kernel_that_is_killed_is_told_in_one_sentence(folder, capsys, before):
    path = folder("import os, time", "", f"{before}os.kill(os.getpid(), 9)", "1")
    content = path.read_bytes()
    assert execute.main(["00_lesson"]) == 1
    assert path.read_bytes() == content and list(path.parent.iterdir()) == [path]
    said = capsys.readouterr().err
    assert "was left as it was: code cell 3 (" in said and said.endswith(" ended the kernel (out of memory?)\n")
    assert "Traceback" not in said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_run_that_is_stopped_says_so_and_goes_no_further(folder, name):
    path = folder("1", f"import os, signal, time; os.kill(os.getppid(), signal.{name}); time.sleep(60)", "3")
    content = path.read_bytes()
    # In a process of its own: the signal must not reach the tests, and of Playwright an event loop may be running here.
    program = (
        f"import sys, pathlib, execute; execute.HERE = pathlib.Path({str(path.parent)!r}); sys.exit(execute.main([]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(execute.__file__).parent)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 130
    assert path.read_bytes() == content and list(path.parent.iterdir()) == [path]
    assert done.stderr == "00_lesson.ipynb ...\nStopped: 00_lesson.ipynb was left as it was.\n"


def test_a_lesson_that_grows_too_large_is_not_written(folder, monkeypatch, capsys):
    path = folder("print('x' * 5000)")
    before = path.read_bytes()
    monkeypatch.setattr(execute, "MAX_BYTES", 4000)
    assert execute.main(["00_lesson"]) == 1 and path.read_bytes() == before
    assert "more than 4" in capsys.readouterr().err


def test_an_unknown_lesson_is_named(folder):
    folder("1")
    with pytest.raises(SystemExit, match="no lesson '07_nothing'"):
        execute.main(["07_nothing"])
