"""Lesson 03 as its reader has it: in a real JupyterLab with a real kernel, painted on by mouse.

The lesson is a copy at its shrunken size, in a folder of its own, and so are the server's settings: neither the lessons
nor what a reader has set in his JupyterLab has a part in it. It ends at its second panel; test_notebooks runs the rest.
"""

from __future__ import annotations

import sys
from pathlib import Path

import execute
import pytest
from tools.lab import PATIENCE, serve
from tools.shrunk import shrunk_lesson

ROOT = Path(__file__).resolve().parents[2]
LESSON = "03_inpainting_canvas"
VIEWPORT = {"width": 1400, "height": 950}

# What the kernel itself knows, below the lesson: which Python it is, and the mask on the canvas.
ASKING = 'import sys\nprint("kernel", sys.executable, canvas.mask.histogram()[255], "pixels")'
# The set-up cell is folded, so it has a placeholder in place of its prompt.
SHOWN = "'.jp-Notebook .jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)'"
PROMPTS = f"[...document.querySelectorAll({SHOWN})].map(each => each.textContent)"
DESCRIPTIONS = "[...document.querySelectorAll('.jp-RenderedHTML img')].map(each => each.alt)"
NUMBERED = f"{PROMPTS}.every(text => /^\\[\\d+\\]:$/.test(text))"
ENDED = f"{PROMPTS}.some(text => /\\d/.test(text)) && !{PROMPTS}.some(text => text.includes('*'))"  # well or not


@pytest.fixture
def workplace(tmp_path):
    """A folder with the lesson, from which its set-up cell finds the repository."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "dreampaint").symlink_to(ROOT, target_is_directory=True)
    lesson = shrunk_lesson(ROOT / "notebooks" / f"{LESSON}.ipynb")
    last = next(number for number, cell in enumerate(lesson.cells) if "DenoisingPanel(" in cell.source)
    del lesson.cells[last + 1 :]
    asking = execute.nbformat.v4.new_code_cell(ASKING)
    asking.pop("id", None)
    lesson.cells.append(asking)
    execute.nbformat.write(lesson, folder / f"{LESSON}.ipynb")
    return folder


@pytest.fixture
def lab(browser, workplace, tmp_path):
    """Return the address of a JupyterLab with the lesson; it ends with the test. After ``browser``: both or none."""
    with serve(workplace, tmp_path) as address:
        yield address


class Lesson:
    """The lesson, open in JupyterLab."""

    def __init__(self, page, address: str) -> None:
        self.page = page
        page.goto(f"{address}lab/tree/{LESSON}.ipynb")
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # until there is a kernel, nothing can be run
        page.get_by_text("canvas.mask.histogram").wait_for(
            state="attached"
        )  # cells come one by one, the asking one last
        self.canvas = page.locator(".dp-canvas").first
        self.painted = 0
        self.panel = page.locator(".widget-vbox", has=page.get_by_role("button", name="Paint", exact=True))

    def run_all(self) -> None:
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        self.page.wait_for_function(ENDED)
        assert self.page.evaluate(NUMBERED), self.page.locator(".jp-Notebook .jp-RenderedText").all_text_contents()[-1]

    def paint(self) -> str:
        """Press the panel's button and wait for its next picture; returns its data URL."""
        start = self.panel.get_by_role("button", name="Paint", exact=True)
        start.click()
        self.painted += 1
        if self.painted > 1:  # the history has one picture for each painting
            self.panel.get_by_role("button", name="seed 0", exact=True).nth(self.painted - 1).wait_for()
        self.panel.get_by_text("The same without the panel").wait_for()  # comes last: the panel is ready again
        return self.panel.get_by_role("img", name="Result with seed 0").get_attribute("src")

    def set_steps(self, steps: int) -> None:
        """Move the panel's slider of denoising steps, by keyboard."""
        slider = self.panel.get_by_role("slider", name="steps")
        slider.press("Home")
        for _ in range(steps - 1):
            slider.press("ArrowRight")

    def draw(self, *shares: tuple[float, float]) -> None:
        """Draw with the mouse over points of the canvas, each given as shares of its width and height."""
        stage, mouse, before = self.canvas.locator("canvas"), self.page.mouse, self.status()
        stage.hover()  # scrolls to it and waits until it stands still
        self.settle(stage)
        box = stage.bounding_box()
        for index, (across, down) in enumerate(shares):
            mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"], steps=5)
            if index == 0:
                mouse.down()
        mouse.up()
        self.page.wait_for_function(
            "text => document.querySelector('.dp-canvas .dp-status').textContent !== text", arg=before
        )
        assert stage.bounding_box() == box, "the page moved under the stroke"

    def settle(self, place) -> None:
        """Wait until a place on the page has not moved for a second: outputs above it may still grow."""
        last = None
        while last != (last := place.bounding_box()):
            self.page.wait_for_timeout(1000)

    def status(self) -> str:
        return self.canvas.get_by_role("status").text_content()

    def ask(self) -> tuple[str, int]:
        """Run the last cell; returns the kernel's Python and how many pixels of its mask are to be repainted."""
        cell = self.page.locator(".jp-Notebook .jp-CodeCell").last
        prompt = cell.locator(".jp-InputPrompt").text_content()
        cell.locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(f"text => {NUMBERED} && {PROMPTS}.at(-1) !== text", arg=prompt)
        _, program, count, _ = cell.locator(".jp-OutputArea-output").text_content().split()
        return program, int(count)


@pytest.fixture
def lesson(browser, lab, tmp_path):
    """Open lesson 03 in JupyterLab. An error on the page fails the test; a screenshot stays in the test's folder."""
    context, errors = browser.new_context(viewport=VIEWPORT), []
    context.set_default_timeout(1000 * PATIENCE)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield Lesson(page, lab)
    page.screenshot(path=tmp_path / "lab.png")
    context.close()
    assert errors == []


def test_what_is_drawn_in_jupyterlab_is_painted_by_the_kernel(lesson):
    lesson.run_all()
    assert lesson.page.locator(".jp-InputPlaceholder").all_text_contents() == [execute.SETUP.splitlines()[0]]
    descriptions = lesson.page.evaluate(DESCRIPTIONS)
    assert len(descriptions) >= 3 and all(len(text) >= 10 for text in descriptions), descriptions
    program, before = lesson.ask()
    assert program == sys.executable
    lesson.set_steps(4)
    first = lesson.paint()
    assert "num_inference_steps=4" in lesson.panel.text_content()
    assert lesson.paint() == first  # the same mask and seed: the same picture
    lesson.draw((0.06, 0.06), (0.3, 0.05), (0.5, 0.06))  # where the lesson's own mask is not
    _, after = lesson.ask()
    stroke = (0.5 - 0.06) * 256 * int(lesson.canvas.locator("[data-name=size]").input_value())  # less its round ends
    assert 0.9 * stroke < after - before < 1.5 * stroke
    assert lesson.paint() != first
    lesson.panel.get_by_label("start").select_option("over photo 2")
    assert lesson.paint() != first and "start=paste(photo, canvas.mask, variant=1).image" in lesson.panel.text_content()
