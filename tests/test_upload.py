"""Files that come from the page in pieces, driven without a browser."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from dp_helpers.widgets import upload

PIECE = 1000


def png(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def answers(monkeypatch):
    """What the kernel sends to the page."""
    sent = []
    monkeypatch.setattr(upload.FileDrop, "send", lambda self, content, buffers=None: sent.append(content))
    return sent


def send(drop: upload.FileDrop, files: dict[str, bytes]) -> None:
    """Send files as upload.js does, but in smaller pieces."""
    for index, (name, data) in enumerate(files.items()):
        for at in range(0, max(len(data), 1), PIECE):
            text = base64.b64encode(data[at : at + PIECE]).decode()
            last = index == len(files) - 1
            piece = {"name": name, "at": at, "size": len(data), "data": text, "last": last}
            drop._handle_custom_msg(piece, [])


def test_files_arrive_whole_under_their_names_and_each_piece_is_answered(tmp_path, answers, photo):
    came = []
    drop = upload.FileDrop(tmp_path / "new", came.append)
    files = {"one.png": png(photo), "two.jpg": png(photo, "JPEG"), "empty.png": b""}
    send(drop, files)
    assert came == [[tmp_path / "new" / name for name in files]]
    assert {path.name: path.read_bytes() for path in came[0]} == files
    assert len(answers) == sum(max(1, -(-len(data) // PIECE)) for data in files.values())
    assert answers[-1] == {"words": "3 files arrived.", "failed": False} and answers[0]["words"] is None
    send(drop, {"one.png": b"shorter"})
    assert (tmp_path / "new" / "one.png").read_bytes() == b"shorter"


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "..\\evil.png", ".evil.png"])
def test_no_file_leaves_its_folder(tmp_path, answers, name):
    came = []
    send(upload.FileDrop(tmp_path / "new", came.append), {name: b"x"})
    assert came == [[tmp_path / "new" / "evil.png"]]


def test_what_cannot_be_taken_is_told(tmp_path, answers):
    drop = upload.FileDrop(tmp_path, lambda paths: "never")
    drop._handle_custom_msg({"name": "a.png", "at": 0, "size": upload.MAX_BYTES + 1, "data": "", "last": True}, [])
    assert answers[-1]["failed"] and "a.png was left out: at most 200 MB" in answers[-1]["words"]
    drop._handle_custom_msg({"name": "a.png", "at": 0, "size": 3, "data": "?", "last": True}, [])
    assert answers[-1]["failed"] and "arrived damaged" in answers[-1]["words"]
    assert list(tmp_path.iterdir()) == []


def test_the_upload_panel_keeps_the_picture_upright_and_tells_mistakes(answers, photo):
    got, upright = [], Image.Exif()
    upright[0x0112] = 6
    panel = upload.UploadPanel(on_images=got.extend)
    send(panel.drop, {"notes.txt": b"hello"})
    assert panel.images == [] and answers[-1]["failed"]
    assert answers[-1]["words"].startswith("That did not work: notes.txt cannot be read as a picture")
    send(panel.drop, {"photo.png": png(photo)})
    assert answers[-1]["words"] == "90 x 70 pixels arrived."
    assert (np.asarray(panel.images[0]) == np.asarray(photo)).all() and got == panel.images
    send(panel.drop, {"turned.jpg": png(Image.new("RGB", (40, 20)), "JPEG", exif=upright)})
    assert [(image.mode, image.size) for image in panel.images] == [("RGB", (20, 40))]
