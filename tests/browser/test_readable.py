"""The look for faults finds each kind of fault, and nothing on a page without one."""

from __future__ import annotations

import pytest
from tools.readable import faults

GOOD = """<p>Text</p><label>seed <input value="1"></label><button disabled style="opacity: .2">Stop</button>
<img alt="A lamp" width="9" height="9" src=""><p style="color: #757575">Pale, but it can be read.</p>"""
BAD = {
    '<p style="color: #777">grey</p>': "contrast 4.5: <p",
    '<p style="opacity: .5">pale</p>': "contrast 4.0: <p",
    '<div style="background: #222"><b style="color: rgb(255 255 255 / 30%)">dim</b></div>': "contrast",
    '<div style="width: 30px; overflow: hidden; white-space: nowrap">a long sentence</div>': "cut off: <div",
    '<div style="width: 900px">wide</div>': "beyond the place: <div",
    '<input type="range">': "without a name: <input",
    "<button><svg></svg></button>": "without a name: <button",
    '<img width="9" height="9" src="">': "without a name: <img",
}


@pytest.fixture
def look(browser):
    page = browser.new_page(viewport={"width": 400, "height": 300})

    def look(code: str) -> list[str]:
        page.set_content(f"<main style='overflow: hidden'>{code}</main>")
        return faults(page, "main")

    yield look
    page.close()


def test_a_page_without_faults(look):
    assert look(GOOD) == []


@pytest.mark.parametrize(("code", "fault"), BAD.items())
def test_each_kind_of_fault_is_found(look, code, fault):
    assert [each for each in look(GOOD + code) if each.startswith(fault)]
