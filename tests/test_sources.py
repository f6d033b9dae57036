"""The first source of a model that can be used serves all of its parts, and what is wrong with the others is said."""

import json
import shutil
import warnings

import pytest
from diffusers import AutoencoderKL, UNet2DConditionModel
from huggingface_hub import constants
from tools.hub_models import CLIP, CLIP_COMMIT, CLIPSEG, INPAINTING, MIRROR, make_repositories
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTextModel,
)

from dp_helpers import finetune, inpaint, models, presets, segment, sources
from dp_helpers.errors import InputError


@pytest.fixture(scope="module")
def repositories(family, tmp_path_factory):
    return make_repositories(family, tmp_path_factory.mktemp("repositories"))


@pytest.fixture
def server(hub_server, repositories):
    hub_server.repositories |= repositories
    return hub_server


@pytest.fixture
def sd15(preset):
    """The real preset's sources with the random family's settings."""
    real = presets.load("sd15")
    return presets.change(preset, models=vars(real.models))


def test_a_whole_run_on_the_hubs_models_then_offline(server, sd15, item, photo, mask, monkeypatch, capsys):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning, module="dp_helpers")
        object_masks = segment.object_masks(item, sd15)
        run = finetune.finetune(item, object_masks, sd15, steps=1, progress=False)
        painter = inpaint.load_painter(sd15, run, device="cpu")
    assert run.record["sources"]["inpainting"] == f"{INPAINTING}@{'1' * 40}"
    assert painter.pipe.safety_checker is not None
    first = painter(photo, mask, seed=1)
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("downloading ")]
    server.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    sources.forget()
    again = inpaint.load_painter(sd15, run, device="cpu")(photo, mask, seed=1)
    assert again.image.tobytes() == first.image.tobytes() and server.requests == []


def test_the_library_asks_for_nothing_that_is_not_there(server, sd15):
    models.load_pipeline(sd15, device="cpu")
    models.load(sd15, "clipseg", CLIPSegProcessor)
    models.load(sd15, "clipseg", CLIPSegForImageSegmentation)
    models.load(sd15, "clip", CLIPModel)
    wanted = {path for repository in server.repositories.values() for path in repository.names()}
    assert set(server.downloads()) <= wanted
    assert not [path for path in server.downloads() if path.endswith((".bin", ".ckpt", ".h5", ".msgpack", ".md"))]
    gets = [line for line in server.requests if line.startswith("GET ")]
    assert len(gets) == len(set(gets)), "asked for twice"


def test_the_fallback_serves_all_parts_and_is_said(server, sd15):
    del server.repositories[INPAINTING]
    with pytest.warns(UserWarning, match=f"comes from {MIRROR}, because {INPAINTING} is not on the Hub"):
        models.load(sd15, "inpainting", AutoencoderKL, subfolder="vae")
    server.repositories[INPAINTING] = server.repositories[MIRROR]  # it is back, and the run goes on with the other one
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models.load(sd15, "inpainting", UNet2DConditionModel, subfolder="unet")
        models.load(sd15, "inpainting", CLIPTextModel, subfolder="text_encoder")
    assert sources.used(sd15) == {"inpainting": f"{MIRROR}@{'2' * 40}"}


def test_a_source_that_has_the_configuration_alone_does_not_bind(preset, family, tmp_path):
    shutil.copytree(family / "clip", tmp_path / "clip")
    (tmp_path / "clip" / "model.safetensors").unlink()
    chosen = presets.change(preset, models={"clip": [str(tmp_path / "clip"), "./clip"]})
    assert models.load(chosen, "clip", CLIPConfig).projection_dim == 8
    with pytest.warns(UserWarning, match="comes from ./clip, because .* lacks the weights"):
        models.load(chosen, "clip", CLIPImageProcessor)
        models.load(chosen, "clip", CLIPModel)
    assert sources.used(chosen)["clip"] == str(family / "clip")


def test_when_no_source_can_be_used_the_sentence_says_why_for_each(server, sd15):
    server.repositories[INPAINTING].gated = True
    del server.repositories[MIRROR]
    try:
        with pytest.raises(InputError) as caught:
            models.load_vae(sd15)
    finally:
        server.repositories[INPAINTING].gated = False
    said = str(caught.value)
    assert f"{INPAINTING} is gated; {MIRROR} is not on the Hub (any more), or is private" in said
    assert "log in (`hf auth login`); or name a folder or another id" in said and "\n" not in said


def test_without_a_network_the_next_ids_are_looked_for_in_the_cache_alone(server, sd15):
    server.faults["/api/models/"] = 503
    with pytest.raises(InputError, match=f"the Hub fails .503.; {MIRROR} is not in the cache"):
        models.load_vae(sd15)
    assert len(server.requests) == 1


def test_no_second_model_for_the_metric():
    names = {source.partition("@")[0] for source in presets.load("sd15").models.clip}
    assert names == {CLIP} and f"{CLIP}@{CLIP_COMMIT}" in presets.load("sd15").models.clip


def test_a_missing_folder_makes_room_for_the_next_source(preset, family):
    chosen = presets.change(preset, models={"clip": ["./nowhere", "./clip"]})
    with pytest.warns(UserWarning, match="comes from ./clip, because .*nowhere is missing"):
        assert models.load(chosen, "clip", CLIPModel)
    assert sources.used(chosen)["clip"] == str(family / "clip")


def test_a_missing_model_folder_is_told(preset):
    chosen = presets.change(preset, models={"clip": ["./nowhere"]})
    with pytest.raises(InputError, match="nowhere is missing.: check out the whole repository"):
        models.load(chosen, "clip", CLIPModel)


def test_a_model_that_the_preset_does_not_name_is_told(preset):
    with pytest.raises(InputError, match="'paint_by_example' .*names no source"):
        models.load(preset, "paint_by_example", CLIPModel)


def test_a_damaged_model_index_is_told(preset, family, tmp_path):
    folder = shutil.copytree(family / "inpainting", tmp_path / "inpainting")
    (folder / "model_index.json").write_text("{")
    with pytest.raises(InputError, match="has a damaged model_index.json"):
        models.load_pipeline(presets.change(preset, models={"inpainting": [str(folder)]}), device="cpu")


def test_what_would_be_downloaded_is_known_before(server, sd15, preset):
    source, size = sources.look_up(sd15, "inpainting")
    assert source == INPAINTING and 100_000 < size < 10_000_000
    assert not [path for path in server.downloads() if path.endswith(".safetensors")]
    models.load_vae(sd15)
    assert sources.look_up(sd15, "inpainting") == (INPAINTING, 0)
    assert sources.look_up(preset, "clip") == ("./clip", 0)
    with pytest.raises(InputError, match="is missing"):
        sources.look_up(presets.change(preset, models={"clip": ["./nowhere"]}), "clip")


def test_a_configuration_comes_without_the_weights(server, sd15):
    config = models.load_config(sd15, "inpainting", UNet2DConditionModel, subfolder="unet")
    assert config["in_channels"] == 9
    assert not [path for path in server.downloads() if path.endswith(".safetensors")]


def test_without_the_checker_it_is_neither_downloaded_nor_asked(server, sd15):
    pipe = models.load_pipeline(presets.change(sd15, safety_checker=False), device="cpu")
    assert pipe.safety_checker is None and not [path for path in server.downloads() if "safety_checker" in path]


def test_pickles_are_read_for_a_named_model_alone(server, sd15):
    for path in server.repositories[CLIPSEG].folder.glob("*.safetensors"):
        path.rename(path.with_suffix(".moved"))
    try:
        with pytest.raises(InputError, match="as .bin files only, not as safetensors.*allow_bin"):
            models.load(sd15, "clipseg", CLIPSegForImageSegmentation)
    finally:
        for path in server.repositories[CLIPSEG].folder.glob("*.moved"):
            path.rename(path.with_suffix(".safetensors"))


def test_the_record_of_a_folder_names_the_folder(preset, item):
    run = finetune.finetune(item, item.own_masks, preset, steps=1, progress=False)
    assert run.record["sources"]["inpainting"].endswith("/inpainting")
    json.dumps(run.record)


def test_a_folder_without_the_checker_serves_a_preset_without_it(preset, family, tmp_path):
    folder = shutil.copytree(family / "inpainting", tmp_path / "inpainting")
    index = json.loads((folder / "model_index.json").read_text())
    checker = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (folder / "model_index.json").write_text(json.dumps(index | {"safety_checker": checker}))
    checked = presets.change(preset, models={"inpainting": [str(folder)]})
    with pytest.raises(InputError, match="has no configuration in safety_checker/"):
        models.load_pipeline(checked, device="cpu")
    free = presets.change(checked, safety_checker=False)
    assert models.load_pipeline(free, device="cpu").safety_checker is None
    assert sources.look_up(free, "inpainting") == (str(folder), 0)


@pytest.mark.parametrize("source", ["C:/models/sd", "C:\\models\\sd", ".\\model", "..\\model", "~\\m", "\\\\nas\\sd"])
def test_a_path_of_windows_is_no_id(preset, source):
    assert sources.folder_of(source, preset) is not None and sources.public_id(source, preset) is None


def test_an_id_is_no_path(preset):
    for source in ("a/b", "a/b@main", "a-b/c.d_e"):
        assert sources.folder_of(source, preset) is None
        assert sources.public_id(source, preset) == source.partition("@")[0]
    assert sources.folder_of("data\\tiny", preset) == sources.folder_of("data/tiny", preset)


def record_of(served, *named):
    return {"sources": {"inpainting": served}, "preset": {"models": {"inpainting": named}}}


def names(preset, *sources):
    return presets.change(preset, models={"inpainting": list(sources)})


def test_a_base_is_the_same_by_any_of_its_names(preset, family, tmp_path):
    here, snapshot = str(family / "inpainting"), tmp_path / "models--a--b" / "snapshots" / "1234"
    snapshot.mkdir(parents=True)
    (tmp_path / "link").symlink_to(family / "inpainting")
    for record, there in (
        (record_of("/old/inpainting", "./inpainting"), ["./inpainting"]),  # all has moved
        (record_of(here, "./elsewhere"), ["./inpainting"]),
        (record_of(here, here), [str(tmp_path / "link")]),
        (record_of("c/d@123", "a/b", "c/d"), ["a/b"]),  # the second source served it
        (record_of("a/b@123", "a/b"), ["x/y", "a/b@456"]),
        (record_of("a/b@123", "a/b"), [str(snapshot)]),
        (record_of(str(snapshot), str(snapshot)), ["a/b"]),
        ({}, ["a/b"]),
        ({"sources": 3, "preset": {"models": ["a/b"]}}, ["a/b"]),
        (None, ["a/b"]),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sources.check_base(names(preset, *there), record)


def test_another_base_is_refused_and_a_lost_one_is_said(preset, family, tmp_path):
    here = str(family / "inpainting")
    for record, there, words in (
        (record_of("a/b@123", "a/b"), ["c/d", "e/f"], "on a/b, but preset 'preset' names c/d: .*=..a/b..'"),
        (record_of("a/b@123", "a/b"), ["./inpainting"], "on a/b, but preset 'preset' names ./inpainting"),
        (record_of(here, "./inpainting"), ["a/b"], f"on {here}, but preset 'preset' names a/b"),
        ({"preset": {"models": {"inpainting": ["a/b"]}}}, ["c/d"], "on a/b, but"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            sources.check_base(names(preset, *there), record)
        assert "if the two are copies, list both" in str(caught.value) and "\n" not in str(caught.value)
        sources.check_base(names(preset, *there, *record["preset"]["models"]["inpainting"]), record)
    with pytest.warns(UserWarning, match="on /gone/model, which is gone: the preset's ./inpainting takes its place"):
        sources.check_base(preset, record_of("/gone/model", "/gone/model"))
