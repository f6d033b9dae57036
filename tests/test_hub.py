"""The Hub, as a server on this machine plays it: what is found there, what its errors mean, and the cache."""

import pytest
from huggingface_hub import constants
from tools.hub_models import CLIP, INPAINTING, make_inpainting
from tools.hub_server import Repository

from dp_helpers import hub
from dp_helpers.download import download
from dp_helpers.weights import Unusable


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_inpainting(tmp_path_factory.mktemp("repository") / "inpainting")


@pytest.fixture
def server(hub_server, folder):
    hub_server.repositories[INPAINTING] = Repository(folder, "1" * 40, branches={"v1": "1" * 40})
    return hub_server


def test_a_repository_is_listed_and_its_large_files_stay_there(server, folder):
    found = hub.find(INPAINTING)
    assert (found.id, found.revision, found.asked) == (INPAINTING, "1" * 40, None)
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in found.missing
    assert not [path for path in found.missing if path.endswith((".bin", ".ckpt", ".md"))]
    assert found.size == sum((folder / path).stat().st_size for path in found.missing)
    assert server.downloads() == ["model_index.json"]


def test_a_part_to_skip_is_not_needed(server):
    assert not [path for path in hub.find(INPAINTING, skip=["safety_checker"]).missing if "safety" in path]
    assert not [path for path in hub.find(INPAINTING, weights=False).missing if path.endswith(".safetensors")]


@pytest.mark.parametrize("revision", ["v1", "1" * 40])
def test_a_revision_follows_the_id(server, revision):
    found = hub.find(f"{INPAINTING}@{revision}")
    assert (found.revision, found.asked) == ("1" * 40, revision)
    assert download(found).name == "1" * 40


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (f"{INPAINTING}@v2", "has no revision v2"),
        ("gone/model", "is not on the Hub (any more), or is private: name a folder or another id"),
        ("no id", "is neither a folder nor an id"),
    ],
)
def test_what_is_not_there_is_told(server, source, said):
    with pytest.raises(Unusable) as caught:
        hub.find(source)
    assert said in str(caught.value) and not caught.value.unreachable


def test_a_gated_repository_is_told_with_the_way_in(server):
    server.repositories[INPAINTING].gated = True
    with pytest.raises(Unusable, match=r"is gated: accept its licence .* log in \(`hf auth login`\)"):
        hub.find(INPAINTING)


@pytest.mark.parametrize(
    ("status", "said"), [(429, "too many requests from here"), (503, "the Hub fails .503."), (418, "418")]
)
def test_an_answer_that_is_an_error_is_told_at_once(server, status, said):
    server.faults["/api/models/"] = status
    with pytest.raises(Unusable, match=said) as caught:
        hub.find(INPAINTING)
    assert caught.value.unreachable == (status != 418) and len(server.requests) == 1


def test_no_network_is_told_at_once(server, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        Unusable, match="no connection to the Hub .ConnectError.: connect to the Internet once"
    ) as caught:
        hub.find(INPAINTING)
    assert caught.value.unreachable


@pytest.mark.parametrize("trouble", ["offline", "gone", 503, "gated"])
def test_what_is_in_the_cache_is_used_when_the_hub_does_not_give_it(server, monkeypatch, trouble):
    whole = download(hub.find(INPAINTING))
    server.requests.clear()
    if trouble == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif trouble == "gone":
        server.repositories.clear()
    elif trouble == "gated":
        server.repositories[INPAINTING].gated = True
    else:
        server.faults["/api/models/"] = trouble
    found = hub.find(INPAINTING)
    assert found.folder == whole and not found.missing and found.choice.fp16
    assert (server.requests == []) == (trouble == "offline")


def test_a_cache_that_is_not_whole_is_not_used(server, monkeypatch):
    found = hub.find(INPAINTING)
    download(found)
    (found.folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    assert list(hub.find(INPAINTING).missing) == ["unet/diffusion_pytorch_model.fp16.safetensors"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unusable, match="is not in the cache: unset HF_HUB_OFFLINE and connect to the Internet once"):
        hub.find(INPAINTING)


def test_offline_nothing_is_asked(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unusable, match="is not in the cache"):
        hub.find(CLIP)
    assert server.requests == []
