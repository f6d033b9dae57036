"""Presets: from the package, from a file, changed, and with mistakes in them."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from diffusers.optimization import get_scheduler

from dp_helpers import presets
from dp_helpers.errors import InputError

MODELS = '[models]\ninpainting = ["a/b"]\nclipseg = ["a/b"]\nclip = ["a/b"]\n'


def test_the_papers_settings_are_in_sd15():
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
        (MODELS + "[finetune]\nlr_scheduler = 'cosin'", "lr_scheduler is 'cosin', but must be one of constant"),
        (MODELS + "[finetune]\nreport_to = 'paper'", "report_to is 'paper'"),
        (MODELS + "[finetune]\nlora_targets = []", "lora_targets"),
        (MODELS + "[finetune]\ntext_encoder_stop_step = 0", "text_encoder_stop_step is 0"),
        (MODELS + "[finetune]\nprior_weight = -1", "prior_weight is -1"),
        (MODELS + "[masks]\nrectangle = -1.0", "masks.rectangle is -1.0"),
        (MODELS + "[masks]\nrectangle = 0\nellipse = 0\nobject = 0", "shares of .masks. are all 0"),
        ("token = 'two words'\n" + MODELS, "one word"),
        ("name = 'mine'\n" + MODELS, "'name'"),
        ("resolution 128", "not a TOML file"),
        (MODELS + "[segment]\nprompts = []", "at least one prompt"),
        (MODELS + "[segment]\nprompts = ['a {noun}']", "without braces but .class_noun."),
        (MODELS + "[segment]\nprompts = ['{class_noun}', 'a }']", "segment.prompts"),
        (MODELS + "[segment]\nprompts = ['{}']", "segment.prompts"),
        (MODELS + "[segment]\nprompts = ['{class_noun.x}']", "segment.prompts"),
        ("finetune = 3\n" + MODELS, "finetune is 3"),
        (MODELS.replace('clip = ["a/b"]', 'clip = "a/b"'), "models.clip is 'a/b'"),
        (MODELS.replace('inpainting = ["a/b"]', "inpainting = []"), "at least one"),
    ],
)
def test_mistakes_are_told(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        presets.load(path)
    assert "mine.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_of_the_windows_editor_is_read(tmp_path):
    """It begins with a byte order mark."""
    path = tmp_path / "mine.toml"
    path.write_text(MODELS + "[segment]\nprompts = ['{class_noun}', 'my {class_noun} here']", encoding="utf-8-sig")
    assert presets.load(path).segment.prompts == ("{class_noun}", "my {class_noun} here")


def test_no_such_preset():
    with pytest.raises(InputError, match="sd15, tiny"):
        presets.load("sd99")


def test_integers_are_numbers_and_defaults_fill_in(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MODELS + "[inpaint]\nguidance_scale = 7")
    preset = presets.load(path)
    assert preset.inpaint.guidance_scale == 7.0 and preset.finetune == presets.Finetune()


# -- change --------------------------------------------------------------------------------------------------------


def test_a_changed_preset_differs_in_the_settings_given_and_the_original_in_none():
    preset, before = presets.load("tiny"), presets.load("tiny")
    changed = presets.change(preset, finetune={"steps": 20}, inpaint={"eta": 0}, token="nbsn")
    assert (changed.finetune.steps, changed.inpaint.eta, changed.token) == (20, 0.0, "nbsn")
    assert type(changed.inpaint.eta) is float
    back = presets.change(
        changed, finetune={"steps": before.finetune.steps}, inpaint={"eta": before.inpaint.eta}, token=before.token
    )
    assert preset == before == back != changed
    assert presets.change(preset) == preset == presets.change(preset, finetune={})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"finetun": {"steps": 1}}, "unknown key 'finetun'"),
        ({"finetune": {"step": 1}}, "unknown key 'finetune.step'; accepted are .*steps"),
        ({"finetune": {"steps": "many"}}, "finetune.steps is 'many', but must be a whole number"),
        ({"finetune": {"steps": 2.5}}, "finetune.steps is 2.5"),
        ({"finetune": {"steps": True}}, "finetune.steps is True"),
        ({"finetune": {"steps": None}}, "finetune.steps is None"),
        ({"finetune": {"steps": 0}}, "at least 1"),
        ({"finetune": {"learning_rate": 0}}, "finetune.learning_rate is 0.0, but must be greater than 0"),
        ({"finetune": {"learning_rate": 1000}}, "greater than 0 and at most 0.1"),
        ({"finetune": {"text_encoder_learning_rate": -1e-4}}, "text_encoder_learning_rate is -0.0001, but must be"),
        ({"finetune": {"text_encoder_learning_rate": 5}}, "text_encoder_learning_rate is 5.0, but must be between 0"),
        ({"finetune": {"snr_gamma": 0}}, "snr_gamma is 0.0, but must be greater than 0"),
        ({"finetune": {"lr_scheduler": "cosin"}}, "lr_scheduler is 'cosin', but must be one of constant, .*cosine"),
        ({"finetune": {"gradient_checkpointing": 1}}, "true or false"),
        ({"finetune": {"augment_scale": [0.9, 0.5]}}, "the smaller first"),
        ({"finetune": {"augment_scale": [0.5]}}, "augment_scale"),
        ({"finetune": {"augment_scale": [0.5, "1"]}}, "finetune.augment_scale is '1'"),
        ({"inpaint": {"eta": 1}}, "inpaint.eta is 1.0"),
        ({"inpaint": {"strength": 0.01}}, "no step"),
        ({"inpaint": {"guidance_scale": math.inf}}, "inpaint.guidance_scale is inf, but must be a finite number"),
        ({"inpaint": {"feather": math.nan}}, "inpaint.feather is nan"),
        ({"inpaint": 3}, "inpaint is 3"),
        ({"resolution": 100}, "a multiple of 8 up to 4096"),
        ({"resolution": 10**6}, "a multiple of 8 up to 4096"),
        ({"finetune": {"batch_size": 10**6}}, "between 1 and 4096"),
        ({"token": "two words"}, "one word"),
        ({"token": 3}, "token is 3, but must be text"),
        ({"models": {"clip": "a/b"}}, "models.clip is 'a/b', but must be a list of texts, in square brackets"),
        ({"finetune": {"augment_scale": [1]}}, "must be a list of 2 finite numbers, in square brackets"),
        ({"finetune": {"snr_gamma": "high"}}, "snr_gamma is 'high', but must be a finite number"),
        ({"finetune": {"lora_rank": 10**6}}, "lora_rank is 1000000, but must be between 0 and 1024"),
    ],
)
def test_a_wrong_change_is_told_in_one_sentence(changes, words):
    with pytest.raises(InputError, match=words) as caught:
        presets.change(presets.load("tiny"), **changes)
    assert "\n" not in str(caught.value)


def test_a_folder_is_not_taken_for_text(tmp_path):
    preset = presets.load("tiny")
    assert presets.change(preset, folder=tmp_path).folder == tmp_path
    with pytest.raises(InputError, match="token is .*but must be text"):
        presets.change(preset, token=tmp_path)


def test_numpys_numbers_are_numbers():
    changed = presets.change(
        presets.load("tiny"),
        finetune={"steps": np.int64(7), "learning_rate": np.float32(0.0625)},
        inpaint={"guidance_scale": np.int32(3)},
    )
    assert (changed.finetune.steps, changed.finetune.learning_rate, changed.inpaint.guidance_scale) == (7, 0.0625, 3.0)
    kinds = [type(changed.finetune.steps), type(changed.finetune.learning_rate), type(changed.inpaint.guidance_scale)]
    assert kinds == [int, float, float]  # run.json holds them
    with pytest.raises(InputError, match="finetune.steps"):
        presets.change(changed, finetune={"steps": np.float64(7)})


def test_lists_become_tuples():
    changed = presets.change(
        presets.load("tiny"), finetune={"augment_scale": [0.5, 1]}, models={"clip": ["./one", "./two"]}
    )
    assert changed.finetune.augment_scale == (0.5, 1.0) and changed.models.clip == ("./one", "./two")
    assert hash(changed)  # the metrics keep the last preset's CLIP


def test_a_table_is_replaced_whole_by_one_of_its_class():
    preset = presets.load("tiny")
    changed = presets.change(preset, masks=presets.Masks(full=2.0), inpaint=presets.Inpaint(eta=0.5))
    assert changed.masks == presets.Masks(full=2.0) != preset.masks
    assert changed.inpaint == presets.Inpaint(eta=0.5) and changed.finetune == preset.finetune
    with pytest.raises(InputError, match="inpaint.eta is 1.0"):
        presets.change(preset, inpaint=presets.Inpaint(eta=1.0))
    with pytest.raises(InputError, match="masks is Inpaint"):
        presets.change(preset, masks=presets.Inpaint())


def test_none_is_taken_where_a_setting_may_be_left_out():
    preset = presets.load("tiny")
    assert preset.finetune.text_encoder_learning_rate is not None
    changed = presets.change(preset, finetune={"text_encoder_learning_rate": None, "snr_gamma": 5})
    assert changed.finetune.text_encoder_learning_rate is None and changed.finetune.snr_gamma == 5.0


def test_importing_the_presets_and_the_catalogue_loads_no_torch():
    code = "import dp_helpers, dp_helpers.presets, dp_helpers.catalog, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", presets.SCHEDULES)
def test_the_library_knows_every_schedule(name):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    assert get_scheduler(name, optimizer, num_warmup_steps=1, num_training_steps=3).get_last_lr()


def test_seeds_are_checked():
    assert [presets.checked_seed(seed) for seed in (0, np.int64(7), 2**32 - 1)] == [0, 7, 2**32 - 1]
    for seed in (-1, 2**32, 1.0, "1", None, True):
        with pytest.raises(InputError, match="^The seed is"):
            presets.checked_seed(seed)
