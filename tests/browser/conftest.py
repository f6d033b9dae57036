"""The mask canvas in a real Chromium: what the kernel sends, on a page by itself, with the kernel's side beside it.

Without a browser these tests skip. DP_REQUIRE_BROWSER=1 makes that an error; DP_BROWSER names the program.
"""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dp_helpers.widgets.canvas import MaskCanvas

HERE = Path(__file__).parent
SERVED = {  # path: what it is, and its text
    "/page.html": ("text/html", (HERE / "page.html").read_text(encoding="utf-8")),
    "/canvas.js": ("text/javascript", MaskCanvas._esm),
    "/canvas.css": ("text/css", MaskCanvas._css),
}
ARGUMENTS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync""".split()
WIDTH, HEIGHT = 120, 90  # pixels of the photo
SCALE = 5  # pixels of the screen to one of the photo: whole, since mice report whole pixels


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, text = SERVED[self.path]
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="session")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
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


class Desk:
    """A page that shows one canvas, and what the kernel would know of it."""

    def __init__(self, page, canvas: MaskCanvas, width: int) -> None:
        self.page, self.canvas = page, canvas
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))
        page.wait_for_function("window.ready")
        page.evaluate("width => document.querySelector('#widget').style.width = `${width}px`", width)
        names = [name for name, trait in MaskCanvas.class_own_traits().items() if trait.metadata.get("sync")]
        page.evaluate("state => start(state)", {name: getattr(canvas, name) for name in names})
        self.settle()

    def settle(self) -> None:
        """Wait until what was asked for is on the screen: pictures decoded, frames drawn."""
        self.page.wait_for_function("document.querySelector('.dp-status').textContent")
        self.page.wait_for_function("document.querySelector('canvas').style.height")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    @property
    def saved(self) -> list[dict]:
        """Every message to the kernel so far."""
        return self.page.evaluate("model.saved")

    def mask(self) -> np.ndarray:
        """The mask of the last message as the kernel reads it: (height, width), True = repaint."""
        urls = [message["mask_data_url"] for message in self.saved if "mask_data_url" in message]
        self.canvas.mask_data_url = urls[-1]
        pixels = np.asarray(self.canvas.mask)
        assert set(np.unique(pixels)) <= {0, 255}
        return pixels == 255

    def from_kernel(self, mask: Image.Image) -> None:
        self.canvas.set_mask(mask)
        self.page.evaluate("url => model.fromKernel('mask_data_url', url)", self.canvas.mask_data_url)
        self.page.wait_for_timeout(50)
        self.settle()

    def screen(self, x: float, y: float, scale: float = SCALE) -> tuple[float, float]:
        """Where a point of the photo is on the screen, when all of the photo is shown."""
        box = self.page.locator("canvas").bounding_box()
        return box["x"] + x * scale, box["y"] + y * scale

    def drag(self, *points: tuple[float, float], scale: float = SCALE, lift: bool = True) -> None:
        """Press the mouse at the first of these points of the photo, move it over the others, lift it."""
        mouse = self.page.mouse
        mouse.move(*self.screen(*points[0], scale))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.screen(*point, scale), steps=3)
        if lift:
            mouse.up()

    def click(self, name: str) -> None:
        self.page.click(f"[data-name='{name}']")

    def press(self, keys: str) -> None:
        self.page.keyboard.press(keys)

    def status(self) -> str:
        return self.page.text_content("[role=status]")


@pytest.fixture
def open_desk(browser, address):
    """open_desk(photo=None, mask=None, context={}, width=..., **settings): a Desk. An error on the page fails the test."""
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
