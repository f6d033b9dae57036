"""Presets: from the package, from a file, and with mistakes in them."""

import subprocess
import sys

import pytest

from dp_helpers import presets
from dp_helpers.errors import InputError

MODELS = '[models]\ninpainting = ["a/b"]\nclipseg = ["a/b"]\nclip = ["a/b"]\n'


def test_the_paper_numbers_are_in_sd15():
    preset = presets.load("sd15")
    assert preset.finetune.steps == 500 and preset.finetune.learning_rate == 5e-6
    assert preset.finetune.lr_scheduler == "constant"
    assert preset.resolution == 512 and preset.inpaint.guidance_scale == 10
    assert preset.masks.rectangle == preset.masks.ellipse == preset.masks.object
    assert preset.finetune.mask_weight == preset.finetune.background_weight == 1
    assert len(preset.models.inpainting) > 1


def test_tiny_is_a_preset_like_any_other():
    preset = presets.load("tiny")
    assert preset.token == "sks" and preset.resolution == 128
    assert preset.masks.rectangle == preset.masks.ellipse == preset.masks.object


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("resolution = 128", "models"),
        (MODELS + "[finetune]\nstep = 5", "unknown key 'finetune.step'"),
        (MODELS + "[finetune]\nsteps = 'many'", "finetune.steps is 'many'"),
        (MODELS + "[finetune]\nsteps = true", "finetune.steps is True"),
        (MODELS + "[finetune]\nsteps = 0", "at least 1"),
        (MODELS + "[finetune]\nmixed_precision = 'half'", "mixed_precision"),
        (MODELS + "[masks]\nrectangle = -1.0", "shares"),
        ("token = 'two words'\n" + MODELS, "one word"),
        ("name = 'mine'\n" + MODELS, "'name'"),
        ("resolution 128", "not a TOML file"),
    ],
)
def test_mistakes_are_told(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        presets.load(path)
    assert "mine.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_no_such_preset():
    with pytest.raises(InputError, match="sd15, tiny"):
        presets.load("sd99")


def test_integers_are_numbers_and_defaults_fill_in(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MODELS + "[inpaint]\nguidance_scale = 7")
    preset = presets.load(path)
    assert preset.inpaint.guidance_scale == 7.0 and preset.finetune == presets.Finetune()


def test_the_fallback_is_taken_when_the_first_source_fails(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MODELS.replace('clip = ["a/b"]', 'clip = ["gone/model", "here/model"]'))

    def load_from(source, **options):
        if source == "gone/model":
            raise OSError("404")
        return source

    preset = presets.load(path)
    assert presets.load_first(preset, "clip", load_from) == "here/model"
    with pytest.raises(InputError, match="a/b: 404"):
        presets.load_first(preset, "clipseg", lambda source, **options: load_from("gone/model"))


def test_a_missing_model_folder_is_told(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MODELS.replace('"a/b"', '"./nowhere"'))
    with pytest.raises(InputError, match="nowhere is missing"):
        presets.load_first(presets.load(path), "clip", lambda source, **options: source)


def test_data_folder_can_be_named(tmp_path, monkeypatch):
    monkeypatch.setenv("DREAMPAINT_DATA", str(tmp_path))
    assert files.find_data() == tmp_path
    monkeypatch.setenv("DREAMPAINT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="DREAMPAINT_DATA"):
        files.find_data()


def test_importing_the_package_loads_no_torch():
    code = "import dp_helpers, dp_helpers.presets, dp_helpers.catalog, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
