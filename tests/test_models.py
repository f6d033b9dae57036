"""Models come from the first source that works; what is loaded is ready for its use."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKL
from tools.family import TOKENS
from transformers import CLIPModel, CLIPTokenizer

from dp_helpers import models, presets
from dp_helpers.errors import InputError, Note


def test_a_configuration_is_read_without_the_weights(preset, family, tmp_path):
    shutil.copytree(family / "inpainting" / "vae", tmp_path / "vae")
    (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    chosen = presets.change(preset, models={"inpainting": [str(tmp_path / "nowhere"), str(tmp_path)]})
    (tmp_path / "nowhere").mkdir()  # a first source that has no VAE
    with pytest.warns(UserWarning, match="nowhere has no configuration in vae/"):
        config = models.load_config(chosen, "inpainting", AutoencoderKL, subfolder="vae")
    assert config["block_out_channels"] == models.load_vae(preset).config.block_out_channels


def test_weights_are_fp32_unless_asked_otherwise(preset):
    assert models.load(preset, "clip", CLIPModel).dtype is torch.float32
    assert models.load(preset, "clip", CLIPModel, torch_dtype=torch.float16).dtype is torch.float16


def test_pickled_weights_are_refused(preset, family, tmp_path):
    vae = AutoencoderKL.from_pretrained(family / "inpainting" / "vae")
    vae.save_pretrained(tmp_path / "pickled" / "vae", safe_serialization=False)
    chosen = presets.change(preset, models={"inpainting": [str(tmp_path / "pickled")]})
    with pytest.raises(InputError, match="has the weights of vae as .bin files only.*allow_bin"):
        models.load_vae(chosen)
    allowed = presets.change(chosen, allow_bin=[str(tmp_path / "pickled")])
    with pytest.warns(UserWarning, match="weights-only reader"):
        assert models.load_vae(allowed).state_dict().keys() == vae.state_dict().keys()


@pytest.mark.parametrize("damage", [b"not weights", b"", None])
def test_damaged_files_are_told_in_one_sentence(preset, family, tmp_path, damage):
    folder = shutil.copytree(family / "inpainting", tmp_path / "inpainting")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100] if damage is None else damage)
    chosen = presets.change(preset, models={"inpainting": [str(folder)]})
    with pytest.raises(InputError, match=r"The model in .*unet cannot be read \(.*\): delete that folder") as caught:
        models.load_trainable(chosen)
    assert "\n" not in str(caught.value)


def test_full_memory_is_not_taken_for_a_damaged_file(preset, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(AutoencoderKL, "from_pretrained", full)
    with pytest.raises(torch.OutOfMemoryError):
        models.load_vae(preset)


def test_the_vae_is_frozen(preset):
    vae = models.load_vae(preset)
    assert not vae.training and not any(value.requires_grad for value in vae.parameters())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_is_trained_is_in_fp32_and_in_training_mode(preset, checkpointing, recwarn):
    chosen = presets.change(preset, finetune={"gradient_checkpointing": checkpointing})
    unet, text_encoder, _, scheduler = models.load_trainable(chosen)
    for model in (unet, text_encoder):
        assert model.training and model.is_gradient_checkpointing == checkpointing
        assert {value.dtype for value in model.parameters()} == {torch.float32}
        assert all(value.requires_grad for value in model.parameters())
    assert scheduler.config.prediction_type == "v_prediction"
    assert not [str(each.message) for each in recwarn if "checkpointing_enable" in str(each.message)]


def test_a_unet_without_nine_channels_is_refused(preset, family, tmp_path):
    folder = shutil.copytree(family / "inpainting", tmp_path / "inpainting")
    config = json.loads((folder / "unet" / "config.json").read_text()) | {"in_channels": 4}
    from diffusers import UNet2DConditionModel

    UNet2DConditionModel.from_config(config).save_pretrained(folder / "unet")
    with pytest.raises(InputError, match="has 4 input channels"):
        models.load_trainable(presets.change(preset, models={"inpainting": [str(folder)]}))


def test_fingerprint_changes_with_the_weights_alone(preset, tmp_path):
    named = replace(preset, models=replace(preset.models, clip=("./clip", "hub/clip")), folder=tmp_path)
    (tmp_path / "clip").mkdir()
    weights = tmp_path / "clip" / "model.safetensors"
    weights.write_bytes(b"1")
    first = models.fingerprint(named, "clip")
    (tmp_path / "clip" / "README.md").write_text("no weights")
    assert models.fingerprint(named, "clip") == first and len(first) == 8
    weights.write_bytes(b"2")
    assert models.fingerprint(named, "clip") != first


def test_given_modules_replace_the_pipelines_own(preset):
    unet = models.load_trainable(preset)[0].half()
    pipe = models.load_pipeline(preset, device="cpu", unet=unet)
    assert pipe.unet is unet and pipe.unet.dtype is pipe.vae.dtype is torch.float32


def test_prompts_are_padded_to_full_length(preset):
    _, _, tokenizer, _ = models.load_trainable(preset)
    ids = models.tokenize(tokenizer, ["a sks armchair", "", "a " * 40])
    assert ids.shape == (3, TOKENS)
    assert (ids[1, 1:] == tokenizer.pad_token_id).all()
    assert (ids[2] != tokenizer.pad_token_id).sum() >= TOKENS - 1  # the long one is cut off


def test_a_finished_model_is_frozen_and_in_the_given_precision():
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    done = models.finish(model, torch.float16)
    assert not done.training and not any(value.requires_grad for value in done.parameters())
    assert done.weight.dtype is torch.float16 and done.weight.is_contiguous()


def test_a_long_prompt_is_shortened_in_the_sentence_about_it(preset):
    tokenizer = models.load(preset, "inpainting", CLIPTokenizer, subfolder="tokenizer")
    with pytest.warns(Note, match=r"^The model reads \d+ tokens, but 'a mug .* \.\.\. .*mug ' has \d+: ") as said:
        models.say_what_is_not_read(tokenizer, ["a mug " * 500])
    assert len(str(said[0].message)) < 400
