"""A finished run: saved whole, loaded the same, and readable by any diffusers program."""

import json
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline, UNet2DConditionModel
from PIL import Image
from tools.family import SIDE, make_item
from transformers import CLIPTextModel

from dp_helpers import catalog, runs
from dp_helpers.errors import InputError
from dp_helpers.finetune import finetune


@pytest.fixture(scope="module")
def run(preset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    item = catalog.load_item(make_item(folder / "red-box"))
    return finetune(item, item.own_masks, preset, seed=3, output_dir=folder / "runs" / "red-box", progress=False)


def test_a_saved_run_comes_back_the_same(run):
    again = runs.load_run(run.folder)
    assert again.prompt == run.prompt == "a sks armchair" and again.record["class_noun"] == "armchair"
    assert again.record == json.loads(json.dumps(run.record)) and again.folder == run.folder
    assert (again.losses, again.seconds, again.preset_source) == (run.losses, run.seconds, run.preset_source)
    for one, other in ((run.unet, again.unet), (run.text_encoder, again.text_encoder)):
        assert one.dtype == other.dtype == torch.float16
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_run_json_says_how_it_was_made(run):
    record = json.loads((run.folder / "run.json").read_text())
    assert record["seed"] == 3 and record["steps"] == 3 and len(record["losses"]) == 3
    assert record["preset"]["finetune"]["learning_rate"] == 1e-3
    assert record["item"]["photos"] == ["photo-1.png", "photo-2.png", "photo-3.png"]
    assert {"torch", "diffusers", "bitsandbytes"} <= record["versions"].keys()


def test_plain_diffusers_loads_a_run(run, family):
    unet = UNet2DConditionModel.from_pretrained(run.folder / "unet", torch_dtype=torch.float32)
    text_encoder = CLIPTextModel.from_pretrained(run.folder / "text_encoder", torch_dtype=torch.float32)
    modules = {"unet": unet, "text_encoder": text_encoder}
    pipe = StableDiffusionInpaintPipeline.from_pretrained(family / "inpainting", **modules)
    pipe.set_progress_bar_config(disable=True)
    image, mask = Image.new("RGB", (SIDE, SIDE), "grey"), Image.new("L", (SIDE, SIDE), 255)
    out = pipe(run.prompt, image, mask, height=SIDE, width=SIDE, num_inference_steps=1).images[0]
    assert out.size == (SIDE, SIDE)


def test_only_safetensors_and_nothing_half_written(run):
    files = sorted(path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file())
    assert files == [
        "run.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    assert [path.name for path in run.folder.parent.iterdir()] == ["red-box"]


def test_an_old_run_stays_until_the_new_one_is_whole(run, tmp_path, monkeypatch):
    folder = runs.save_run(replace(run), tmp_path / "run")
    before = (folder / "run.json").stat().st_mtime_ns
    monkeypatch.setattr(UNet2DConditionModel, "save_pretrained", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runs.save_run(replace(run), folder)
    assert (folder / "run.json").stat().st_mtime_ns == before and (folder / "unet").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_new_run_replaces_an_old_one_whole(run, tmp_path):
    folder = runs.save_run(replace(run), tmp_path / "run")
    (folder / "unet" / "left-over.txt").write_text("of the old run")
    (folder / "paintings").mkdir()
    (folder / "paintings" / "mine.txt").write_text("not of the run")
    runs.save_run(replace(run, record=run.record | {"seed": 9}), folder)
    assert runs.read_record(folder)["seed"] == 9 and not (folder / "unet" / "left-over.txt").exists()
    assert (folder / "paintings" / "mine.txt").read_text() == "not of the run"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_foreign_folder_is_not_overwritten(run, tmp_path):
    (tmp_path / "letters.txt").write_text("dear diary")
    for place, words in ((tmp_path, "other things"), (tmp_path / "letters.txt", "is a file")):
        with pytest.raises(InputError, match=words):
            runs.save_run(replace(run), place)
    assert (tmp_path / "letters.txt").read_text() == "dear diary"
    (tmp_path / "empty").mkdir()
    assert runs.check_run_folder(tmp_path / "empty") == tmp_path / "empty"


def test_what_systems_put_into_folders_is_not_foreign(run, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / ".ipynb_checkpoints").mkdir()
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / name).touch()
    assert runs.check_run_folder(folder) == folder
    runs.save_run(replace(run), folder)
    assert {".DS_Store", ".ipynb_checkpoints", "Thumbs.db", "run.json"} < {path.name for path in folder.iterdir()}


def test_a_run_is_loaded_from_the_working_folder(run, monkeypatch):
    monkeypatch.chdir(run.folder)
    assert runs.load_run(".").losses == run.losses


def test_the_run_of_another_item_is_not_overwritten(run, item, preset, tmp_path):
    folder = runs.save_run(replace(run), tmp_path / "run")
    assert runs.check_run_folder(folder, item) == folder
    other = replace(item, name="blue-mug")
    with pytest.raises(InputError, match="holds the run of another item, red-box: name a new folder, or remove"):
        finetune(other, other.own_masks, preset, output_dir=folder, progress=False)
    (folder / "run.json").write_text("{")
    assert runs.check_run_folder(folder, other) == folder  # a damaged one may be replaced


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "has no run.json"),
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
        ('{"prompt": "a", "losses": []}', "lacks class_noun, preset, seconds"),
    ],
)
def test_a_damaged_record_is_told(tmp_path, text, words):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    for read in (runs.read_record, runs.load_run):
        with pytest.raises(InputError, match=words) as caught:
            read(tmp_path)
        assert "\n" not in str(caught.value)


def test_a_run_without_its_weights_is_told(run, tmp_path):
    folder = runs.save_run(replace(run), tmp_path / "run")
    (folder / "text_encoder" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="not a whole run"):
        runs.load_run(folder)


@pytest.mark.parametrize("damage", ["cut", "text", "dtype"])
def test_a_half_written_run_is_told(run, tmp_path, damage):
    folder = runs.save_run(replace(run), tmp_path / "run")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "text":
        (folder / "unet" / "config.json").write_text("{")
    else:
        (folder / "run.json").write_text(json.dumps(run.record | {"preset": {"source": "tiny"}}))
    with pytest.raises(InputError, match="is not a whole run|holds a wrong preset") as caught:
        runs.load_run(folder)
    assert "\n" not in str(caught.value)


def test_an_optional_library_that_is_missing_has_no_version(monkeypatch):
    def version(name):
        if name == "bitsandbytes":
            raise runs.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(runs, "version", version)
    assert runs.versions()["bitsandbytes"] == "none" and runs.versions()["torch"] == "1.0"
