"""Titles, file names and prompts are text: in a real browser none of them runs as a script."""

import pytest
from PIL import Image

from dp_helpers import plots
from dp_helpers.errors import InputError
from dp_helpers.widgets import panels, upload

HOSTILE = """<script>window.hacked = 1</script><img src="x" onerror="window.hacked = 1">" onload="window.hacked = 1"""


def figure():
    return plots.to_html(plots.references([Image.new("RGB", (8, 8))], HOSTILE))


def status():
    panel = panels.Panel("Paint", {})
    panel._say(HOSTILE, HOSTILE)
    return panel.status.value


def picture():
    panel = panels.Panel("Paint", {})
    panel._show(plots.references([Image.new("RGB", (8, 8))]), HOSTILE)
    return panel.picture.value


def failure():
    class Failing(panels.Panel):
        def _work(self, parameters):
            raise InputError(f"There is no {HOSTILE}.")

    panel = Failing("Paint", {})
    panel.start.click()
    panel.wait(10)
    return panel.status.value


def file_name():
    panel = upload.UploadPanel()
    panel._on_upload({"new": [{"name": HOSTILE, "content": b"no picture"}]})
    return panel.status.value


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


@pytest.mark.parametrize("make", [figure, status, picture, failure, file_name])
def test_nothing_runs(run, make):
    code = make()
    assert "hacked" in code or make is figure
    assert run(code) is None
