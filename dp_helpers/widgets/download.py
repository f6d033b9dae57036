"""Save what a panel has made on the reader's own machine, wherever the kernel runs.

A kernel may run on another machine, so the file goes through the page: in small pieces, as text, each asked for by
the browser. Jupyter's server passes about 1 MB each second, so a run of the preset ``tiny`` takes about half a minute.
"""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ..errors import InputError
from .upload import told

MAX_BYTES = 300_000_000  # the page holds the whole file
_PIECE = 256 * 1024
_BROWSER = Path(__file__).with_name("files")


class Download(anywidget.AnyWidget):
    """A button that saves a file on the reader's machine. It is hidden until `offer` is called.

    Args:
        label: of the button.
    """

    _esm = (_BROWSER / "download.js").read_text(encoding="utf-8")
    _css = (_BROWSER / "files.css").read_text(encoding="utf-8")
    label = traitlets.Unicode().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    ready = traitlets.Bool(False).tag(sync=True)

    def __init__(self, label: str) -> None:
        super().__init__(label=label)
        self._make: Callable[[], bytes] | None = None
        self._data = b""
        self.on_msg(self._on_ask)

    def offer(self, name: str, make: Callable[[], bytes]) -> None:
        """Show the button. ``make`` is called when it is clicked, and returns the contents of the file ``name``."""
        self._make, self.name, self.ready = make, name, True

    def _on_ask(self, _widget, question: dict[str, Any], _buffers) -> None:
        try:
            self.send(self._piece(int(question["at"])))
        except Exception as error:  # the page waits for an answer in any case
            self.send({"words": told(error)})

    def _piece(self, at: int) -> dict[str, Any]:
        if at == 0:
            self._data = self._make()
        piece, size = self._data[at : at + _PIECE], len(self._data)
        if at + len(piece) >= size:
            self._data = b""
        return {"size": size, "data": base64.b64encode(piece).decode("ascii")}


def zipped(folder: str | Path) -> bytes:
    """Return a folder as a zip file.

    Raises:
        InputError: it is too large for a page.
    """
    folder, buffer = Path(folder), io.BytesIO()
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if (size := sum(path.stat().st_size for path in paths)) > MAX_BYTES:
        raise InputError(
            f"{folder} has {size // 10**6} MB, more than a page can pass on: copy the folder from the machine itself."
        )
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # weights do not shrink
        for path in paths:
            archive.write(path, Path(folder.name) / path.relative_to(folder))
    return buffer.getvalue()
