"""What a reader could not see, read or name on a page: contrast below 4.5, cut off, beyond the page, without a name."""

from __future__ import annotations

from pathlib import Path

PHONE = {"width": 390, "height": 844}
_SCRIPT = (Path(__file__).parents[1] / "browser" / "readable.js").read_text(encoding="utf-8")


def faults(page, places: str) -> list[str]:
    """Return a sentence for each fault in the places of a page that a CSS selector names."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(_SCRIPT, places)


def faults_on_a_phone(page, places: str) -> list[str]:
    """Return the faults at a phone's width, and give the page its size back."""
    size = page.viewport_size
    page.set_viewport_size(PHONE)
    page.wait_for_timeout(500)  # a canvas follows its place's width
    found = faults(page, places)
    page.set_viewport_size(size)
    return found
