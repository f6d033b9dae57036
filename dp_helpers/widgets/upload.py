"""A button to upload photos into a lesson, for ipywidgets 7.7 (Colab) and 8."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
from PIL import Image

from ..colors import to_srgb
from ..errors import InputError
from ..pictures import decode_photo


class UploadPanel(widgets.VBox):
    """A button to upload photos from the reader's own machine; ``images`` holds them, upright and in RGB."""

    def __init__(self, on_images: Callable[[list[Image.Image]], None] | None = None) -> None:
        self.images: list[Image.Image] = []
        self.button = widgets.FileUpload(
            accept="image/*", multiple=False, description="Choose a photo", layout={"width": "14em"}
        )
        self.status, self._on_images = widgets.HTML(), on_images
        self.button.observe(self._on_upload, names="value")
        super().__init__([self.button, self.status])

    def __repr__(self) -> str:
        return "UploadPanel: a widget, which shows where this notebook runs"

    def _on_upload(self, change) -> None:
        try:
            images = uploaded_images(change["new"])
            self.images = images
            self._say("; ".join(f"{image.width} x {image.height} pixels" for image in images) + " arrived.")
            if self._on_images and images:
                self._on_images(images)
        except InputError as error:
            self._say(f"That did not work: {error}")

    def _say(self, words: str) -> None:
        self.status.value = f"<p>{html.escape(words)}</p>"


def uploaded_images(value: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> list[Image.Image]:
    """Return the pictures in the ``value`` of a FileUpload widget, as `catalog.load_photo` loads them.

    Args:
        value: of ipywidgets 7, a dict of name: {"content": bytes, ...}; or of ipywidgets 8, a tuple of
            {"name": ..., "content": memoryview, ...}.

    Raises:
        InputError: names the file that cannot be read.
    """
    files = value.items() if isinstance(value, Mapping) else [(file["name"], file) for file in value]
    return [to_srgb(decode_photo(bytes(file["content"]), name)) for name, file in files]
