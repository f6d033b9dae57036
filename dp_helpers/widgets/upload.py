"""Bring files from the reader's own machine into a lesson: dropped on the page, or chosen with a button.

ipywidgets' own upload sends all files in one message, which Jupyter's server refuses above some 10 MB: two photos of a
phone. Here each file comes in small pieces, as text, and the next piece comes when the kernel has taken the last one.
"""

from __future__ import annotations

import base64
import binascii
import filecmp
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets
from PIL import Image

from .. import archives
from ..colors import to_srgb
from ..errors import InputError
from ..files import whole_file
from ..hub import first_line
from ..pictures import decode_photo, known_endings

MAX_BYTES = 200_000_000  # of a file
PART_ENDING = ".part"  # of a hidden file that has not arrived whole
_BROWSER = Path(__file__).with_name("files")


class FileDrop(anywidget.AnyWidget):
    """A place to drop files on, with a button that chooses some. Each file is written to a folder, whole or not at all.

    Args:
        folder: where the files go, under their own names. A file that is there is replaced.
        on_files: called with the paths when all files of one drop or choice are there, but for those that are left
            out. What it returns is shown to the reader, after what is left out and why. An error that it raises is
            shown, too.
        label: of the button.
        hint: what the place says at first.
        accept: kinds of files that the button offers, as in HTML.
        multiple: whether several files may come at once.

    Attributes:
        replaced: the paths of this drop that held another file before.
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
        self._begin()
        self.on_msg(self._on_piece)

    def _begin(self) -> None:
        with suppress(OSError):
            for part in self.folder.glob(f".*{PART_ENDING}"):
                part.unlink()
        self._paths: list[Path] = []
        self._left_out: list[str] = []
        self.replaced: list[Path] = []

    def _on_piece(self, _widget, piece: dict[str, Any], _buffers) -> None:
        """Write a piece of a file, and answer. A file that fails is left out; the page goes on with the next one."""
        try:
            if piece.get("first") and not piece["at"]:
                self._begin()  # a page that was closed in the middle of a drop leaves some behind
            words, done, failed = None, self._take(piece), False
        except Exception as error:  # the page waits for an answer in any case
            words, done, failed = told(error), bool(piece.get("last")), True
            self._left_out.append(words)
        if done:
            words, failed = self._finish(failed)
        self.send({"words": words, "failed": failed})

    def _finish(self, failed: bool) -> tuple[str, bool]:
        """Hand the files of a drop on, and return what to say and whether something failed."""
        words, paths = self._left_out, self._paths
        try:
            if paths:
                arrived = f"{len(paths)} file{'s' * (len(paths) > 1)} arrived."
                words = [*words, self._on_files(paths) or arrived]
        except Exception as error:
            words, failed = [*words, told(error)], True
        self._begin()
        return " ".join(words), failed

    def _take(self, piece: dict[str, Any]) -> bool:
        """Write a piece of a file, and return whether it is the last one of its drop."""
        name = Path(str(piece["name"]).replace("\\", "/")).name.lstrip(".")
        if not name or piece["size"] > MAX_BYTES:
            raise InputError(f"{name or 'A file without a name'} was left out: at most {MAX_BYTES // 10**6} MB a file.")
        if piece["data"] is None:
            raise InputError(
                f"{name} was left out, because the browser cannot read it: of a folder, drop the files that are in it."
            )
        try:
            data = base64.b64decode(piece["data"], validate=True)
        except binascii.Error as error:
            raise InputError(f"{name} arrived damaged: try again.") from error
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        part = self.folder / f".{name}{PART_ENDING}"
        with part.open("r+b" if piece["at"] else "wb") as file:
            file.seek(piece["at"])
            file.write(data)
        if piece["at"] + len(data) < piece["size"]:
            return False
        if path.exists() and not filecmp.cmp(part, path, shallow=False):
            self.replaced.append(path)
        part.replace(path)
        self._paths = [*dict.fromkeys([*self._paths, path])]  # two files of one name are one
        return bool(piece["last"])


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


def told(error: Exception) -> str:
    """Return any error as a sentence for the page."""
    if isinstance(error, InputError):
        return f"That did not work: {error}"
    said, name = first_line(error), type(error).__name__
    return f"That did not work: {said}" + ("" if said == name else f" ({name})")


def load_named(path: Path) -> Image.Image:
    """Load a photo as `catalog.load_photo` does; an error names the file without its folder."""
    return to_srgb(decode_photo(path.read_bytes(), path.name))


def unpack_named(archive: Path, folder: Path, came: set[Path], replaced: set[Path]) -> list[str]:
    """Put the photos and masks of a zip file into a folder, and remove the zip file.

    The paths join those that ``came``, and those ``replaced`` that held another file. Return what was left out and why.
    """
    bad, paths = [], sorted(archives.unpack(archive).rglob("*"))
    archive.unlink()
    for path in paths:
        if not path.is_file() or path.suffix.lower() not in known_endings():
            continue
        try:
            load_named(path)
        except InputError as error:
            bad.append(str(error))
            continue
        target = folder / path.name
        if target.exists() and not filecmp.cmp(path, target, shallow=False):
            replaced.add(target)
        came.add(target)
        with whole_file(target) as temporary:
            shutil.copyfile(path, temporary)
    return bad
