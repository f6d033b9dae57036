"""Bring files from the reader's own machine into a lesson: dropped on the page, or chosen with a button.

ipywidgets' own upload sends all files in one message, which Jupyter's server refuses above some 10 MB: two photos of a
phone. Here each file comes in small pieces, as text, and the next piece comes when the kernel has taken the last one.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets
from PIL import Image

from ..colors import to_srgb
from ..errors import InputError
from ..pictures import decode_photo

MAX_BYTES = 200_000_000  # of a file
_BROWSER = Path(__file__).with_name("files")


class FileDrop(anywidget.AnyWidget):
    """A place to drop files on, with a button that chooses some. Each file is written to a folder.

    Args:
        folder: where the files go, under their own names. A file that is there is replaced.
        on_files: called with the paths when all files of one drop or choice are there. What it returns is shown to
            the reader. An `InputError` that it raises is shown, too.
        label: of the button.
        hint: what the place says at first.
        accept: kinds of files that the button offers, as in HTML.
        multiple: whether several files may come at once.
    """

    _esm = (_BROWSER / "upload.js").read_text(encoding="utf-8")
    _css = (_BROWSER / "files.css").read_text(encoding="utf-8")
    label = traitlets.Unicode().tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    accept = traitlets.Unicode().tag(sync=True)
    multiple = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        folder: str | Path,
        on_files: Callable[[list[Path]], str | None],
        *,
        label: str = "Choose photos",
        hint: str = "or drop them here",
        accept: str = "image/*,.heic,.zip",
        multiple: bool = True,
    ) -> None:
        super().__init__(label=label, hint=hint, accept=accept, multiple=multiple)
        self.folder, self._on_files = Path(folder), on_files
        self._paths: list[Path] = []
        self.on_msg(self._on_piece)

    def _on_piece(self, _widget, piece: dict[str, Any], _buffers) -> None:
        """Write a piece of a file, and answer."""
        try:
            self.send({"words": self._take(piece), "failed": False})
        except (InputError, OSError) as error:
            self._paths = []
            self.send({"words": f"That did not work: {error}", "failed": True})

    def _take(self, piece: dict[str, Any]) -> str | None:
        name = Path(str(piece["name"]).replace("\\", "/")).name.lstrip(".")
        if not name or piece["size"] > MAX_BYTES:
            raise InputError(f"{name or 'A file without a name'} was left out: at most {MAX_BYTES // 10**6} MB a file.")
        try:
            data = base64.b64decode(piece["data"], validate=True)
        except binascii.Error as error:
            raise InputError(f"{name} arrived damaged: try again.") from error
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        with path.open("r+b" if piece["at"] else "wb") as file:
            file.seek(piece["at"])
            file.write(data)
        if piece["at"] + len(data) < piece["size"]:
            return None
        self._paths.append(path)
        if not piece["last"]:
            return None
        paths, self._paths = self._paths, []
        return self._on_files(paths) or f"{len(paths)} file{'s' * (len(paths) > 1)} arrived."


class UploadPanel(widgets.VBox):
    """A button to upload a photo from the reader's own machine; ``images`` holds it, upright and in RGB."""

    def __init__(self, on_images: Callable[[list[Image.Image]], None] | None = None) -> None:
        self.images: list[Image.Image] = []
        self._on_images = on_images
        self._folder = tempfile.TemporaryDirectory()  # gone with the panel
        options = {"label": "Choose a photo", "hint": "or drop it here", "accept": "image/*,.heic", "multiple": False}
        self.drop = FileDrop(self._folder.name, self._on_files, **options)
        super().__init__([self.drop])

    def __repr__(self) -> str:
        return "UploadPanel: a widget, which shows where this notebook runs"

    def _on_files(self, paths: list[Path]) -> str:
        self.images = [load_named(path) for path in paths]
        if self._on_images:
            self._on_images(self.images)
        return "; ".join(f"{image.width} x {image.height} pixels" for image in self.images) + " arrived."


def load_named(path: Path) -> Image.Image:
    """Load a photo as `catalog.load_photo` does; an error names the file without its folder."""
    return to_srgb(decode_photo(path.read_bytes(), path.name))
