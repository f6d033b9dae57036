"""Downloads from the Hub: only what is needed, once, said in MB, and resumed after a break."""

import errno

import pytest
from huggingface_hub import constants
from tools.hub_models import INPAINTING, make_inpainting
from tools.hub_server import Repository

from dp_helpers import download as downloading
from dp_helpers import hub
from dp_helpers.download import download
from dp_helpers.weights import Unusable

UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_inpainting(tmp_path_factory.mktemp("repository") / "inpainting")


@pytest.fixture
def server(hub_server, folder, monkeypatch):
    monkeypatch.setattr(downloading.time, "sleep", lambda seconds: None)
    hub_server.repositories[INPAINTING] = Repository(folder, "1" * 40)
    return hub_server


def test_the_needed_files_arrive_once_and_it_is_said(server, folder, capsys):
    found = hub.find(INPAINTING)
    server.requests.clear()
    whole = download(found)
    for path in found.choice.files:
        assert (whole / path).read_bytes() == (folder / path).read_bytes()
    assert sorted(server.downloads()) == sorted(found.missing)
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith(f"downloading less than 1 MB of {INPAINTING} (fp16) into ") and said.endswith(", once")
    server.requests.clear()
    again = hub.find(INPAINTING)
    assert not again.missing and download(again) == whole
    assert server.downloads() == [] and capsys.readouterr().err == ""


def test_a_break_is_resumed_within_the_call(server, folder):
    size = (folder / UNET).stat().st_size
    server.faults[UNET] = f"break {size - 100}"  # every answer breaks off, but the second one needs 100 bytes
    whole = download(hub.find(INPAINTING))
    assert (whole / UNET).read_bytes() == (folder / UNET).read_bytes()
    assert [line for line in server.requests if f"bytes={size - 100}-" in line]


def test_a_break_after_the_last_byte_loses_nothing(server, folder):
    found = hub.find(INPAINTING)
    address = f"/{INPAINTING}/resolve/{found.asked or 'main'}/{UNET}"
    server.faults[f"HEAD {address}"] = "hang up"
    whole = download(found)
    assert not server.faults and (whole / UNET).read_bytes() == (folder / UNET).read_bytes()
    assert len([line for line in server.requests if UNET in line and line.startswith("GET")]) == 1


def test_a_download_that_breaks_off_goes_on_in_the_next_call(server, folder):
    server.faults[UNET] = "break 1000"
    found = hub.find(INPAINTING)
    with pytest.raises(
        Unusable, match="broke off while it was downloaded .*: run the same again; it goes on"
    ) as caught:
        download(found)
    assert caught.value.final
    server.faults.clear()
    server.requests.clear()
    whole = download(hub.find(INPAINTING))
    assert (whole / UNET).read_bytes() == (folder / UNET).read_bytes()
    assert [line for line in server.requests if UNET in line and "bytes=3000-" in line]
    assert not list(whole.parents[1].glob("blobs/*.incomplete"))


def test_a_damaged_file_is_not_kept(server):
    server.faults[UNET] = "damage"
    with pytest.raises(Unusable, match="arrived damaged: run the same again"):
        download(hub.find(INPAINTING))
    server.faults.clear()
    assert (download(hub.find(INPAINTING)) / UNET).is_file()


@pytest.mark.parametrize(
    ("status", "said"), [(429, "too many requests"), (500, "the Hub fails .500."), (403, "refused by the Hub")]
)
def test_an_error_in_the_middle_is_told(server, status, said):
    found = hub.find(INPAINTING)
    server.faults[UNET] = status
    with pytest.raises(Unusable, match=said):
        download(found)


def test_a_disk_that_is_too_small_is_told_before_anything_is_downloaded(server, monkeypatch):
    found = hub.find(INPAINTING)
    server.requests.clear()
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": found.size - 1}))
    with pytest.raises(Unusable, match=r"does not fit on the disk .*: free some space, or set .* HF_HOME") as caught:
        download(found)
    assert caught.value.final and server.requests == []


def test_a_disk_that_becomes_full_is_told_and_what_has_arrived_stays(server, monkeypatch, folder):
    found, real = hub.find(INPAINTING), downloading._append

    def full(url, *rest):
        if UNET in url:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(url, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(downloading, "_append", full)
        with pytest.raises(Unusable, match="does not fit on the disk") as caught:
            download(found)
    assert caught.value.final
    assert len(hub.find(INPAINTING).missing) < len(found.missing)


def test_a_cache_that_cannot_be_written_is_told(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    found = hub.find(INPAINTING)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(Unusable, match="cannot be written into .*HF_HOME"):
        download(found)
