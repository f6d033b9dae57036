"""The links of a lesson, clicked in a JupyterLab that was started as the README says."""

from __future__ import annotations

import re
import shutil

import execute
import pytest
from tools.lab import PATIENCE, serve

ROOT = execute.HERE.parent
STARTED = re.search(
    r"^\.venv/bin/jupyter lab *([^ #]*) *#", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
)
LINK = "a:text-is('U-Net')"


@pytest.fixture
def page(browser, tmp_path, request):
    """A lesson's cells with links, open in JupyterLab; what they link to is where it is in the repository."""
    folder = tmp_path / "work"
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copytree(ROOT / "data" / "results" / "evaluate", folder / "data" / "results" / "evaluate")
    (folder / "notebooks").mkdir()
    (path,) = execute.lessons([request.param])
    lesson = execute.clean(execute.read(path))
    lesson.cells = [
        cell for cell in lesson.cells if "](../" in cell.source
    ]  # few, so that none is left out of the page
    execute.write(lesson, folder / "notebooks" / path.name)
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    context.set_default_timeout(1000 * PATIENCE)
    with serve(folder / STARTED[1], tmp_path) as address:
        page = context.new_page()
        page.goto(f"{address}lab/tree/{'' if STARTED[1] else 'notebooks/'}{request.param}.ipynb")
        yield page
        context.close()


@pytest.mark.parametrize("page", ["02_masked_finetuning"], indirect=True)
def test_a_word_leads_to_its_entry_in_the_glossary(page):
    page.locator(".jp-RenderedMarkdown").locator(LINK).first.click()
    heading = page.locator(".jp-MarkdownViewer h3", has_text="U-Net")
    heading.wait_for()
    viewer = page.locator(".jp-MarkdownViewer").bounding_box()
    page.wait_for_timeout(1000)  # it scrolls
    assert viewer["y"] < heading.bounding_box()["y"] < viewer["y"] + viewer["height"]


@pytest.mark.parametrize("page", ["04_baselines"], indirect=True)
def test_pictures_outside_the_folder_of_the_lessons_are_shown(page):
    picture = page.locator(".jp-RenderedMarkdown img[alt^='For the best']")
    picture.wait_for(state="attached")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("picture => picture.complete && picture.naturalWidth > 100", arg=picture.element_handle())
