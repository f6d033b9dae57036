"""What the set-up cell does in a notebook; the cell itself is in test_setup_cell.py."""

import pytest
from PIL import Image

from dp_helpers import course, plots

InteractiveShell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell


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
