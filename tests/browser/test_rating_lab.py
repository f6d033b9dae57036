"""The rating panel as its rater has it: in a real JupyterLab with a real kernel, light and dark, by keyboard alone."""

from __future__ import annotations

import json
import time

import pytest
from tools.rating import make_example_study
from tools.readable import faults, faults_on_a_phone

from browser import test_lab
from dp_helpers.evaluation.raters import open_ratings

lab = test_lab.lab  # the fixture; it serves the folder `workplace`
THEME = "lab/user-settings/@jupyterlab/apputils-extension/themes.jupyterlab-settings"
CELL = """import sys
sys.path.insert(0, {root!r})
from dp_helpers.widgets import rating
rating.RatingPanel({folder!r}, rater="anna")"""
BRIGHTNESS = """() => {
  const panel = document.querySelector(".dp-rating"), brightness = (color) =>
    color.match(/[\\d.]+/g).slice(0, 3).reduce((sum, each) => sum + Number(each), 0) / 765;
  const style = getComputedStyle(panel);
  return [brightness(style.color), brightness(style.backgroundColor)];
}"""


@pytest.fixture
def study(tmp_path):
    return make_example_study(tmp_path)[0]


@pytest.fixture(params=["JupyterLab Light", "JupyterLab Dark"])
def theme(request):
    return request.param


@pytest.fixture
def workplace(tmp_path, study, theme):
    """A folder with a notebook of one cell, and JupyterLab's setting of the theme."""
    folder, setting = tmp_path / "work", tmp_path / "JUPYTER_CONFIG_DIR" / THEME
    for parent in (folder, setting.parent):
        parent.mkdir(parents=True)
    setting.write_text(json.dumps({"theme": theme}))
    new = test_lab.execute.nbformat.v4
    cell = new.new_code_cell(CELL.format(root=str(test_lab.ROOT), folder=str(study.folder)))
    notebook = new.new_notebook(cells=[cell], metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    test_lab.execute.nbformat.write(notebook, folder / f"{test_lab.LESSON}.ipynb")
    return folder


@pytest.fixture
def page(browser, lab, tmp_path):
    context, errors = browser.new_context(viewport=test_lab.VIEWPORT), []
    context.set_default_timeout(1000 * test_lab.PATIENCE)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{lab}lab/tree/{test_lab.LESSON}.ipynb")
    page.get_by_text("| Idle").wait_for()
    page.keyboard.press("Control+b")  # closes the list of files, which takes a phone's whole width
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".dp-rating .dp-product img").first.wait_for()
    yield page
    page.screenshot(path=tmp_path / "lab.png")
    context.close()
    assert errors == []


def test_pictures_are_rated_by_keyboard_in_jupyterlab(page, study, theme):
    assert faults(page, ".dp-rating") == faults_on_a_phone(page, ".dp-rating") == []
    text, background = page.evaluate(BRIGHTNESS)
    assert (text < 0.3 and background > 0.8) if theme.endswith("Light") else (text > 0.7 and background < 0.3)
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    page.locator(".dp-rating").focus()
    wanted = {}
    for place, card in enumerate(study.order("anna")[:3]):
        page.wait_for_function(
            "place => document.querySelector('.dp-head').textContent.includes(place)", arg=f"Picture {place + 1} "
        )
        page.locator(".dp-rating:not(.dp-waiting)").wait_for()
        for key in ("b", "2", str(place + 3), "Enter"):  # B would add a cell, 2 would make a heading
            page.keyboard.press(key)
        wanted[card.name] = {"similarity": 2, "harmony": place + 3}
    page.get_by_text("3 of 12 rated by anna").wait_for()
    deadline = time.monotonic() + test_lab.PATIENCE
    while open_ratings(study, "anna").scores != wanted and time.monotonic() < deadline:
        time.sleep(0.1)  # the kernel saves
    assert open_ratings(study, "anna").scores == wanted
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    assert page.evaluate("document.activeElement.classList.contains('dp-rating')")
