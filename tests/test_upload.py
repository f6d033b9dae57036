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
            piece = {"name": name, "at": at, "size": len(data), "data": text, "first": index == 0, "last": last}
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


def test_a_refused_file_is_left_out_and_the_others_of_its_drop_arrive(tmp_path, answers, monkeypatch):
    came = []
    drop = upload.FileDrop(tmp_path / "new", lambda paths: came.append([path.name for path in paths]))
    monkeypatch.setattr(upload, "MAX_BYTES", 5)

    def piece(name, data, place, size=None):
        text = data if data is None else base64.b64encode(data).decode()
        about = {"at": 0, "size": len(data or b"") if size is None else size, "data": text}
        drop._handle_custom_msg({"name": name, **about, "first": place == 0, "last": place == 3}, [])

    for last in (("d.png", b"d" * 9, 3), ("d.png", b"d", 3)):
        for each in (("a.png", b"a" * 9, 0), ("b.png", b"b", 1), ("folder", None, 2, 4096), last):
            piece(*each)
    assert came == [["b.png"], ["b.png", "d.png"]]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["b.png", "d.png"]
    assert [answer["failed"] for answer in answers] == [True, False, True, True, True, False, True, False]
    for answer in (answers[3], answers[7]):
        assert "a.png was left out: at most" in answer["words"] and "folder was left out" in answer["words"]
    assert "d.png was left out" in answers[3]["words"] and answers[3]["words"].endswith("1 file arrived.")
    assert answers[7]["words"].endswith("2 files arrived.")


def test_every_error_is_answered_because_the_page_waits(tmp_path, answers):
    drop = upload.FileDrop(tmp_path / "new", lambda paths: [][0])
    send(drop, {"a.png": b"x"})
    assert answers[-1] == {"words": "That did not work: list index out of range (IndexError)", "failed": True}
    drop._handle_custom_msg({"name": "b.png", "last": True}, [])
    assert answers[-1]["failed"] and "That did not work" in answers[-1]["words"]


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path, answers, photo):
    came, data = [], png(photo)
    drop = upload.FileDrop(tmp_path / "new", came.append)
    text = base64.b64encode(data[:100]).decode()
    piece = {"name": "a.png", "at": 0, "size": len(data), "data": text, "first": True, "last": False}
    drop._handle_custom_msg(piece, [])
    assert not (tmp_path / "new" / "a.png").exists()
    upload.FileDrop(tmp_path / "new", came.append)  # the page was loaded again in the middle
    assert list((tmp_path / "new").iterdir()) == []
    send(drop, {"b.png": data})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["b.png"] and came == [[tmp_path / "new" / "b.png"]]


def test_what_was_replaced_is_known(tmp_path, answers):
    replaced = []
    drop = upload.FileDrop(tmp_path, lambda paths: replaced.append([path.name for path in drop.replaced]))
    for files in ({"a.png": b"a"}, {"a.png": b"a"}, {"a.png": b"b", "c.png": b"c"}):
        send(drop, files)
    assert replaced == [[], [], ["a.png"]]


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
