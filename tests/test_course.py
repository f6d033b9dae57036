"""What the set-up cell and the commands do for the machine they run on; the cell itself is in test_setup_cell.py."""

import os

import pytest
from PIL import Image

from dp_helpers import course, plots

InteractiveShell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}


@pytest.fixture
def unset(monkeypatch):
    """An environment without the variables; afterwards it is as it was."""
    for name in PATIENT:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_threads_sleep_while_they_wait(unset):
    course.yield_cores()
    assert {name: os.environ.get(name) for name in PATIENT} == PATIENT


@pytest.mark.parametrize("name", PATIENT)
def test_what_the_user_has_set_stays(unset, monkeypatch, name):
    monkeypatch.setenv(name, "mine")
    course.yield_cores()
    assert {each: os.environ.get(each) for each in PATIENT} == PATIENT | {name: "mine"}


@pytest.fixture
def shell():
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_a_notebook_shows_a_figure_once_and_with_its_description(shell):
    course.show_figures()
    figure = plots.image_row([Image.new("RGB", (8, 8))] * 2, ["before", "after"])
    data, _ = shell.display_formatter.format(figure)
    assert set(data) == {"text/html", "text/plain"}
    assert data["text/html"].startswith('<img alt="2 pictures side by side: before; after." src="data:image/jpeg;')


def test_ipywidgets_does_not_bring_png_back(shell):
    course.show_figures()
    import ipywidgets

    ipywidgets.Output()
    data, _ = shell.display_formatter.format(plots.image_row([Image.new("RGB", (8, 8))], ["photo"]))
    assert "image/png" not in data
