"""Files that go to the page in pieces, driven without a browser."""

import base64
import io
import zipfile

import pytest

from dp_helpers.errors import InputError
from dp_helpers.widgets import download


@pytest.fixture
def answers(monkeypatch):
    sent = []
    monkeypatch.setattr(download.Download, "send", lambda self, content, buffers=None: sent.append(content))
    monkeypatch.setattr(download, "_PIECE", 10)
    return sent


def fetch(button: download.Download, answers: list[dict]) -> bytes:
    """Ask for a file as download.js does."""
    data, size = b"", 1
    while len(data) < size:
        button._handle_custom_msg({"at": len(data)}, [])
        size = answers[-1]["size"]
        data += base64.b64decode(answers[-1]["data"])
    return data


def test_a_file_goes_in_pieces_and_is_made_once_for_each_click(answers):
    button, made = download.Download("Save"), []
    assert not button.ready
    button.offer("a.txt", lambda: made.append(1) or b"0123456789" * 3 + b"end")
    assert button.ready and button.name == "a.txt"
    assert fetch(button, answers) == b"0123456789" * 3 + b"end" and len(answers) == 4
    fetch(button, answers)
    assert len(made) == 2


def test_what_cannot_be_made_is_told(answers):
    button = download.Download("Save")

    def fails():
        raise InputError("It is too large.")

    button.offer("a.txt", fails)
    button._handle_custom_msg({"at": 0}, [])
    assert answers == [{"words": "That did not work: It is too large."}]


def test_any_other_error_is_told_too_because_the_page_waits(answers):
    button = download.Download("Save")
    button.offer("a.txt", lambda: [][0])
    button._handle_custom_msg({"at": 0}, [])
    button._handle_custom_msg({}, [])
    assert [set(answer) for answer in answers] == [{"words"}] * 2
    assert answers[0]["words"] == "That did not work: list index out of range (IndexError)"


def test_a_folder_is_zipped_under_its_name_and_too_large_ones_are_refused(tmp_path, monkeypatch):
    (tmp_path / "run" / "unet").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "run" / "unet" / "weights").write_bytes(b"x" * 100)
    with zipfile.ZipFile(io.BytesIO(download.zipped(tmp_path / "run"))) as archive:
        assert sorted(archive.namelist()) == ["run/run.json", "run/unet/weights"]
    monkeypatch.setattr(download, "MAX_BYTES", 99)
    with pytest.raises(InputError, match="more than a page can pass on: copy the folder"):
        download.zipped(tmp_path / "run")
