"""The mask canvas in a real Chromium, on a page of its own, together with the kernel's side of it.

Without a browser these tests skip. DP_REQUIRE_BROWSER=1 makes that an error; DP_BROWSER names the program.
"""

from __future__ import annotations

import http.server
import os
import shutil
import threading

import numpy as np
import pytest
from PIL import Image
from tools.desk import HEIGHT, SCALE, WIDTH, Desk, Handler

from dp_helpers.widgets.canvas import MaskCanvas

ARGUMENTS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync""".split()


@pytest.fixture(scope="session")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page.html"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    program = os.environ.get("DP_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("Playwright is not installed: pip install playwright")
    if not program:
        _missing("there is no Chromium: install chromium, or name it in DP_BROWSER")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


def _missing(reason: str) -> None:
    if os.environ.get("DP_REQUIRE_BROWSER") == "1":
        pytest.fail(f"DP_REQUIRE_BROWSER=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture
def open_desk(browser, address):
    """A function that opens a `Desk`. An error on its page fails the test."""
    contexts, desks = [], []

    def open_desk(photo=None, mask=None, width=WIDTH * SCALE + 2, context=None, **settings) -> Desk:
        contexts.append(browser.new_context(**({"viewport": {"width": 900, "height": 800}} | (context or {}))))
        page = contexts[-1].new_page()
        page.goto(address)
        photo = photo or Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB")
        desks.append(Desk(page, MaskCanvas(photo, mask, **settings), width))
        return desks[-1]

    yield open_desk
    for context in contexts:
        context.close()
    assert [error for desk in desks for error in desk.errors] == []


@pytest.fixture
def desk(open_desk):
    return open_desk(brush_size=10)


@pytest.fixture
def empty() -> np.ndarray:
    return np.zeros((HEIGHT, WIDTH), dtype=bool)
