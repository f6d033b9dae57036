"""A page with one mask canvas, as a browser shows it, and what the kernel would know of it."""

from __future__ import annotations

import http.server
from pathlib import Path

import numpy as np
from PIL import Image

from dp_helpers.widgets.canvas import MaskCanvas

PAGE = Path(__file__).parents[1] / "browser" / "page.html"
SERVED = {  # path: what it is, and its text
    "/page.html": ("text/html", PAGE.read_text(encoding="utf-8")),
    "/canvas.js": ("text/javascript", MaskCanvas._esm),
    "/canvas.css": ("text/css", MaskCanvas._css),
}
SIZE = WIDTH, HEIGHT = 120, 90  # pixels of the photo
SCALE = 5  # pixels of the screen to one of the photo: a whole number, because mice report whole pixels


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve the page and the canvas."""

    def do_GET(self) -> None:
        kind, text = SERVED[self.path]
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args) -> None:
        pass


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
        """Wait until everything is on the screen: pictures decoded, frames drawn."""
        self.page.wait_for_function("document.querySelector('.dp-status').textContent")
        self.page.wait_for_function("document.querySelector('canvas').style.height")
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    @property
    def saved(self) -> list[dict]:
        """Return every message to the kernel so far."""
        return self.page.evaluate("model.saved")

    def mask(self) -> np.ndarray:
        """Return the mask of the last message as the kernel reads it: (height, width), True = repaint."""
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
        """Return where a point of the photo is on the screen, when all of the photo is shown."""
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


def pixels(mask: Image.Image) -> np.ndarray:
    return np.asarray(mask) == 255


def distance_to(*points: tuple[float, float]) -> np.ndarray:
    """(HEIGHT, WIDTH): how far every pixel's centre is from the line through these points of the photo."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    nearest = np.full((HEIGHT, WIDTH), np.inf)
    for (x0, y0), (x1, y1) in zip(points, points[1:] or points, strict=False):
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length2, 0, 1) if length2 else 0
        nearest = np.minimum(nearest, np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)))
    return nearest


def assert_stroke(mask: np.ndarray, diameter: float, *points: tuple[float, float]) -> None:
    """A stroke of a round brush; its very edge may lie a pixel off."""
    distance = distance_to(*points)
    assert mask[distance <= diameter / 2 - 1].all(), "the stroke has a hole"
    assert not mask[distance >= diameter / 2 + 1].any(), "the stroke is too wide"


def look(desk, *points: tuple[float, float]) -> np.ndarray:
    """Return the colours of the stage, (..., 4), at points of the photo."""
    script = "([x, y]) => [...document.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data]"
    return np.array([desk.page.evaluate(script, [x * SCALE, y * SCALE]) for x, y in points])
