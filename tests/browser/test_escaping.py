"""Titles, file names and prompts are text: in a real browser none of them runs as a script."""

import re
from pathlib import Path

import pytest
from PIL import Image

from dp_helpers import plots
from dp_helpers.errors import InputError
from dp_helpers.widgets import panel

HOSTILE = """<script>window.hacked = 1</script><img src="x" onerror="window.hacked = 1">" onload="window.hacked = 1"""


def figure():
    return plots.to_html(plots.references([Image.new("RGB", (8, 8))], HOSTILE))


def status():
    made = panel.Panel("Paint", {})
    made._say(HOSTILE, HOSTILE)
    return made.status.value


def picture():
    return panel.pictures_html([Image.new("RGB", (8, 8))], [HOSTILE])


def chart():
    figure = plots.loss_curve([0.5, 0.4])
    figure.set_label(HOSTILE)
    return panel.figure_html(figure)


def failure():
    class Failing(panel.Panel):
        def _work(self, parameters):
            raise InputError(f"There is no {HOSTILE}.")

    made = Failing("Paint", {})
    made.start.click()
    made.wait(10)
    return made.status.value


@pytest.fixture
def run(browser):
    page = browser.new_page()

    def run(code: str):
        page.set_content(f"<body>{code}</body>")
        page.wait_for_timeout(300)
        return page.evaluate("window.hacked")

    yield run
    page.close()


def test_the_text_would_run_if_it_were_not_escaped(run):
    assert run(HOSTILE) == 1


@pytest.mark.parametrize("make", [figure, status, picture, chart, failure])
def test_nothing_runs(run, make):
    code = make()
    assert "hacked" in code or make is figure
    assert run(code) is None


def test_no_script_of_ours_reads_text_as_html():
    for path in Path(panel.__file__).parent.rglob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", path.read_text("utf-8")), path
