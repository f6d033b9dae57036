"""The fixtures of all tests. What they are made of is in tools/family.py."""

from __future__ import annotations

import os
import random

from tools.hub_server import HubServer

# The machine that runs the tests may have few cores and no network. The Hub is a server on this machine, which the
# fixture `hub_server` opens. The libraries read these when they are imported.
HUB = HubServer()
os.environ.update(HF_HUB_OFFLINE="1", HF_ENDPOINT=HUB.address)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # several threads spin and slow down if another process is busy

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from accelerate.state import AcceleratorState  # noqa: E402
from PIL import Image  # noqa: E402
from tools.family import make_family, make_item  # noqa: E402

from dp_helpers import catalog, inpaint, presets, sources  # noqa: E402


@pytest.fixture(autouse=True)
def seed():
    """Every test draws the same random numbers in each run, whichever tests run with it."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


@pytest.fixture(autouse=True)
def fresh_accelerate():
    """accelerate keeps the precision of a process's first training, so forget it after every test."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """The folder of the random family: inpainting/, clipseg/, clip/ and preset.toml."""
    return make_family(tmp_path_factory.mktemp("family"))


@pytest.fixture(scope="session")
def preset(family):
    """The preset of the random family."""
    return presets.load(family / "preset.toml")


@pytest.fixture
def hub_server(monkeypatch, tmp_path):
    """The Hub on this machine, reachable and empty, with an empty cache."""
    from huggingface_hub import constants

    HUB.clear()
    sources.forget()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield HUB
    HUB.clear()
    sources.forget()


@pytest.fixture
def item_folder(tmp_path):
    """The folder of an item of three photos, each with its own mask."""
    return make_item(tmp_path / "red-box")


@pytest.fixture
def item(item_folder):
    """The item of `item_folder`."""
    return catalog.load_item(item_folder)


@pytest.fixture
def photo():
    """A photo to paint into, wider than high, of random pixels, so that any change in it shows."""
    pixels = np.random.default_rng(1).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def mask():
    """A mask for `photo`."""
    image = Image.new("L", (90, 70), 0)
    image.paste(255, (30, 20, 60, 55))
    return image


@pytest.fixture
def context_folder(tmp_path, photo, mask):
    """The folder of a context: `photo` and `mask`."""
    folder = tmp_path / "room"
    (folder / "masks").mkdir(parents=True)
    photo.save(folder / "photo.png")
    mask.save(folder / "masks" / "rectangle.png")
    return folder


@pytest.fixture(scope="session")
def painter(preset):
    """The base model of the random family as a painter with a prompt, without a progress bar."""
    base = inpaint.load_painter(preset, device="cpu")
    base.pipe.set_progress_bar_config(disable=True)
    return inpaint.Painter(base.pipe, preset, "a sks mug")
