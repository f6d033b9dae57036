"""An export is whole: diffusers loads the folder and the one file, and both compute what the run computes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionInpaintPipeline, UNet2DConditionModel
from huggingface_hub import HfApi, ModelCard
from safetensors import safe_open
from tools.command import Done
from tools.family import SIDE, make_unet

from dp_helpers import export, inpaint, models, presets, single_file
from dp_helpers.errors import InputError
from dp_helpers.finetune import finetune
from dp_helpers.training import lora


@pytest.fixture(scope="module")
def make_run(preset, tmp_path_factory):
    """Fine-tune with some settings."""
    from tools.family import make_item

    from dp_helpers import catalog

    folder = tmp_path_factory.mktemp("runs")
    item = catalog.load_item(make_item(folder / "red-box"))

    def make(name: str, **settings):
        out = folder / name
        return finetune(item, item.own_masks, preset, steps=2, output_dir=out, progress=False, **settings)

    return make


@pytest.fixture(scope="module")
def run(make_run):
    return make_run("full")


@pytest.fixture(scope="module")
def exported(run, preset, tmp_path_factory):
    return export.export(run, preset, tmp_path_factory.mktemp("exports") / "box")


def prediction(pipe) -> torch.Tensor:
    pipe = pipe.to(torch.float32)
    sample = torch.randn(1, 9, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        text = pipe.text_encoder(models.tokenize(pipe.tokenizer, ["a sks mug"]))[0]
        latents = pipe.unet(sample, torch.tensor([500]), text).sample
        return pipe.vae.decode(pipe.vae.encode(pipe.vae.decode(latents).sample).latent_dist.mode()).sample


def test_the_folder_is_an_inpainting_pipeline_in_fp16(exported, run, preset):
    """A peer saves the class of the text-to-image pipeline around a U-Net of nine channels."""
    index = json.loads((exported / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionInpaintPipeline"
    pipe = StableDiffusionInpaintPipeline.from_pretrained(exported, torch_dtype=torch.float16)
    assert pipe.unet.config.in_channels == 9 and pipe.unet.dtype == torch.float16
    with safe_open(exported / "unet" / "diffusion_pytorch_model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}
    ours = inpaint.load_painter(preset, run, device="cpu").pipe
    torch.testing.assert_close(prediction(pipe), prediction(ours), atol=2e-2, rtol=1e-2)


def test_it_paints_what_the_run_paints(exported, run, preset, photo, mask):
    pipe = StableDiffusionInpaintPipeline.from_pretrained(exported, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    ours = inpaint.load_painter(preset, run, device="cpu")(photo, mask, seed=3).painted
    theirs = inpaint.Painter(pipe, preset, run.prompt)(photo, mask, seed=3).painted
    assert abs(np.asarray(ours).astype(int) - np.asarray(theirs)).max() <= 2


def test_the_one_file_is_loaded_back_as_a_whole_pipeline(exported):
    path = exported / "box.safetensors"
    pipe = StableDiffusionInpaintPipeline.from_single_file(
        str(path), config=str(exported), local_files_only=True, torch_dtype=torch.float16
    )
    saved = StableDiffusionInpaintPipeline.from_pretrained(exported, torch_dtype=torch.float16)
    for name in ("unet", "vae", "text_encoder"):
        one, other = getattr(pipe, name).state_dict(), getattr(saved, name).state_dict()
        assert one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


REAL_UNET = dict(
    sample_size=64,
    block_out_channels=(320, 640, 1280, 1280),
    layers_per_block=2,
    attention_head_dim=8,
    cross_attention_dim=768,
    norm_num_groups=32,
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
)
# Names in the published v1 checkpoints, at the places where a numbering could go wrong.
PUBLISHED = """
model.diffusion_model.time_embed.2.bias
model.diffusion_model.input_blocks.0.0.weight
model.diffusion_model.input_blocks.3.0.op.weight
model.diffusion_model.input_blocks.4.0.skip_connection.weight
model.diffusion_model.input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight
model.diffusion_model.input_blocks.9.0.op.bias
model.diffusion_model.input_blocks.11.0.out_layers.3.weight
model.diffusion_model.middle_block.1.transformer_blocks.0.ff.net.0.proj.weight
model.diffusion_model.middle_block.2.in_layers.2.weight
model.diffusion_model.output_blocks.2.1.conv.weight
model.diffusion_model.output_blocks.5.2.conv.weight
model.diffusion_model.output_blocks.8.2.conv.bias
model.diffusion_model.output_blocks.11.1.proj_out.weight
model.diffusion_model.out.2.weight
first_stage_model.encoder.down.0.downsample.conv.weight
first_stage_model.encoder.down.1.block.0.nin_shortcut.weight
first_stage_model.encoder.mid.attn_1.q.weight
first_stage_model.encoder.mid.block_2.conv2.weight
first_stage_model.encoder.norm_out.weight
first_stage_model.decoder.up.0.block.0.nin_shortcut.weight
first_stage_model.decoder.up.3.upsample.conv.weight
first_stage_model.decoder.mid.attn_1.proj_out.bias
first_stage_model.post_quant_conv.weight
first_stage_model.quant_conv.bias
""".split()


def test_the_names_are_the_published_ones_at_the_real_size():
    """686 weights of the U-Net and 248 of the VAE, as in the published files of Stable Diffusion 1."""
    with torch.device("meta"):
        unet = make_unet(**REAL_UNET)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
            latent_channels=4,
        )
    names = [f"model.diffusion_model.{single_file.unet_name(name, 2, unet.state_dict())}" for name in unet.state_dict()]
    names += [f"first_stage_model.{single_file.vae_name(name, 4)}" for name in vae.state_dict()]
    assert len(unet.state_dict()) == 686 and len(vae.state_dict()) == 248
    assert len(set(names)) == len(names) and set(PUBLISHED) <= set(names)
    assert not [name for name in names if "blocks." in name and "_blocks." not in name and "transformer" not in name]


def test_a_unet_of_another_build_is_refused(preset, run, tmp_path):
    config = make_unet(mid_block_type=None).config
    assert "mid_block_type None" in single_file.why_not(config) and single_file.why_not(make_unet().config) is None
    pipe = models.load_pipeline(preset, device="cpu", unet=make_unet(resnet_time_scale_shift="scale_shift"))
    with pytest.raises(InputError, match="resnet_time_scale_shift"):
        single_file.save(pipe, tmp_path / "box.safetensors")


def test_a_wrong_file_is_found_out(exported, tmp_path, monkeypatch):
    pipe = StableDiffusionInpaintPipeline.from_pretrained(exported, torch_dtype=torch.float16)
    real = single_file.unet_name
    twisted = {"norm1.weight": "norm2.weight", "norm2.weight": "norm1.weight"}

    def swap(name, *given):
        for old, new in twisted.items():
            if name == f"mid_block.resnets.0.{old}":
                name = f"mid_block.resnets.0.{new}"
                break
        return real(name, *given)

    with torch.no_grad():
        pipe.unet.mid_block.resnets[0].norm1.weight.fill_(0.5)
    monkeypatch.setattr(single_file, "unet_name", swap)
    path = single_file.save(pipe, tmp_path / "box.safetensors")
    with pytest.raises(RuntimeError, match="came back otherwise"):
        single_file.check(path, exported)


def test_the_card_says_what_it_is(exported, run, preset):
    card = ModelCard.load(exported / "README.md")
    assert card.data.license == preset.license == "unknown"
    assert card.data.to_dict()["instance_prompt"] == run.prompt and "inpainting" in card.data.tags
    assert f"| `learning_rate` | {preset.finetune.learning_rate} |" in card.text
    assert run.prompt in card.text and "Red box" in card.text and f"torch {torch.__version__}" in card.text
    real = presets.change(preset, license="creativeml-openrail-m", models={"inpainting": ["someone/base"]})
    untitled = replace(run, record=run.record | {"item": run.record["item"] | {"title": ""}})
    assert "# armchair, fine-tuned" in export.card(untitled, preset, "box").text
    data = export.card(with_base(run, "someone/base@123"), real, "me/box").data
    assert (data.license, data.base_model) == ("creativeml-openrail-m", "someone/base")


def test_every_preset_names_the_licence_of_its_base():
    assert presets.load("sd15").license == "creativeml-openrail-m" and presets.load("tiny").license == "apache-2.0"


def test_lora_is_merged_and_goes_along_in_both_namings(make_run, preset, family, tmp_path):
    run = make_run("lora", lora_rank=2, learning_rate=0.05)
    folder = export.export(run, preset, tmp_path / "lora")
    merged = StableDiffusionInpaintPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    found = prediction(merged)
    for name in (lora.FILE, export.KOHYA_FILE):
        pipe = StableDiffusionInpaintPipeline.from_pretrained(family / "inpainting")
        base = prediction(pipe)
        pipe.load_lora_weights(folder, weight_name=name)
        torch.testing.assert_close(prediction(pipe), found, atol=2e-2, rtol=1e-2)
        assert (found - base).abs().max() > 5e-2
    with safe_open(folder / export.KOHYA_FILE, "pt") as weights:
        assert any(name.startswith("lora_te_text_model_encoder_layers_0_self_attn_q_proj.") for name in weights.keys())
        assert any(name.startswith("lora_unet_down_blocks_1_attentions_0_") for name in weights.keys())
    nothing = export.export(run, preset, tmp_path / "none", lora_scale=0.0, one_file=False)
    none = prediction(StableDiffusionInpaintPipeline.from_pretrained(nothing))
    torch.testing.assert_close(none, base, atol=2e-2, rtol=1e-2)


def test_a_frozen_text_encoder_is_the_base_models(make_run, preset, tmp_path):
    run = make_run("frozen", train_text_encoder=False)
    folder = export.export(run, preset, tmp_path / "box", one_file=False)
    pipe = StableDiffusionInpaintPipeline.from_pretrained(folder, torch_dtype=torch.float16)
    base = models.load_trainable(preset)[1].half().state_dict()
    assert all(torch.equal(value, base[name]) for name, value in pipe.text_encoder.state_dict().items())


def test_a_foreign_folder_is_not_overwritten(run, preset, tmp_path):
    (tmp_path / "letters.txt").write_text("dear diary")
    with pytest.raises(InputError, match="other things"):
        export.export(run, preset, tmp_path)


@pytest.fixture
def hub(monkeypatch):
    """The Hub's interface, with the real signatures and without the Hub."""
    calls = []

    def stand_in(name):
        from inspect import signature

        real = signature(getattr(HfApi, name))

        def call(*given, **named):
            bound = real.bind(*given, **named).arguments
            calls.append((name, {key: value for key, value in bound.items() if key != "self"}))

        return call

    for name in ("create_repo", "upload_folder"):
        monkeypatch.setattr(HfApi, name, stand_in(name))
    return calls


def test_push_makes_the_repository_and_uploads_the_folder(exported, hub):
    files = export.push(exported, "me/box")
    assert [name for name, _ in hub] == ["create_repo", "upload_folder"]
    assert hub[0][1] == {"repo_id": "me/box", "private": True, "exist_ok": True}
    assert hub[1][1]["folder_path"] == exported and hub[1][1]["repo_id"] == "me/box"
    assert {"README.md", "model_index.json", "box.safetensors", "unet/config.json"} <= set(files)
    hub.clear()
    assert export.push(exported, "me/box", dry_run=True) == files and hub == []


def test_a_hub_that_refuses_is_told_in_one_sentence(exported, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("401 Client Error\nrequest id 1")

    monkeypatch.setattr(HfApi, "create_repo", refuse)
    with pytest.raises(InputError, match=r"401 Client Error\): log in") as caught:
        export.push(exported, "me/box")
    assert "\n" not in str(caught.value)


def test_the_command(run, family, tmp_path, capsys, hub):
    done = Done(capsys, "export", run.folder, "--out", tmp_path / "out", "--push-to-hub", "me/box", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "out")] and hub == []
    assert "would upload" in done.stderr and "out.safetensors" in done.stderr
    done = Done(
        capsys, "export", run.folder, "--out", tmp_path / "other", "--no-single-file", "--push-to-hub", "me/box"
    )
    assert done.returncode == 0 and len(hub) == 2 and not (tmp_path / "other" / "other.safetensors").exists()
    assert 'from_pretrained("me/box"' in (tmp_path / "other" / "README.md").read_text()
    for arguments, words in (
        ((run.folder, "--out", tmp_path / "x", "--push-to-hub", "me/box/es"), "no name of a repository"),
        ((run.folder, "--out", tmp_path / "x", "--push-to-hub", "armchair"), "it names no user"),
        ((run.folder, "--out", tmp_path / "x", "--dry-run"), "give both"),
        ((run.folder, "--out", tmp_path / "x", "--public"), "give both"),
        ((run.folder, "--out", tmp_path / "x", "--lora-scale", "0.5"), "no LoRA to scale"),
        ((run.folder, "--out", tmp_path / "x", "--set", 'models.inpainting=["a/b"]'), "names a/b"),
        ((tmp_path, "--out", tmp_path / "x"), "not a fine-tuned run"),
    ):
        done = Done(capsys, "export", *arguments)
        assert done.returncode == 2 and words in done.stderr and not (tmp_path / "x").exists()


def test_an_export_of_tiny_says_why_there_is_no_single_file():
    config = models.load_config(presets.load("tiny"), "inpainting", UNet2DConditionModel, subfolder="unet")
    assert single_file.why_not(config)


def test_no_path_of_the_machine_goes_along(exported, run, preset, family):
    """diffusers writes where a model was loaded from into its configurations."""
    places = {str(family), family.as_posix(), str(run.folder), str(Path.home())}
    for path in exported.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [place for place in places if place.encode() in content], path
            assert b"_name_or_path" not in content or path.suffix == ".safetensors", path


def with_base(run, served, **changes):
    """The run as if another base model had served it."""
    return replace(run, record=run.record | {"sources": {"inpainting": served}} | changes)


@pytest.mark.parametrize(
    ("served", "said", "base"),
    [
        ("someone/base@123", "someone/base", "someone/base"),
        ("/home/anna/secret/base", "base", None),
        ("C:\\Users\\anna\\base", "base", None),
        ("/cache/models--some--base/snapshots/123", "some/base", "some/base"),
        ("/home/anna/dreampaint/data/tiny/inpainting", "data/tiny/inpainting", None),
    ],
)
def test_the_card_names_the_base_that_served_the_run(run, preset, served, said, base):
    listed = presets.change(preset, models={"inpainting": ["first/one", "data/tiny/inpainting"]})
    card = export.card(with_base(run, served), listed, "me/box")
    assert card.data.base_model == base and f"The base model is `{said}`" in card.text
    assert "anna" not in str(card) and 'from_pretrained("me/box"' in card.text


def test_a_licence_is_that_of_the_base_or_unknown(run, family, tmp_path):
    (tmp_path / "mine.toml").write_text('license = "mit"\n' + (family / "preset.toml").read_text())
    mine = presets.load(tmp_path / "mine.toml")
    assert export.card(run, mine, "box").data.license == "mit"
    other = presets.change(mine, models={"inpainting": ["someone/base"]})
    assert export.card(run, other, "box").data.license == "unknown"
    assert export.card(run, presets.change(other, license="gpl"), "box").data.license == "gpl"
    (tmp_path / "mine.toml").unlink()
    assert export.card(run, mine, "box").data.license == "mit"


def test_an_export_replaces_an_export_and_no_other_pipeline(exported, run, preset, family, tmp_path):
    shutil.copytree(exported, tmp_path / "box")
    (tmp_path / "box" / "older.txt").write_text("")
    export.export(run, preset, tmp_path / "box", one_file=False)
    assert not (tmp_path / "box" / "older.txt").exists()
    mine = shutil.copytree(family / "inpainting", tmp_path / "mine")
    for text in (None, "My own pipeline", f"---\nlicense: mit\n---\n{export.MARK}\n", "\0\xff"):
        if text is not None:
            (mine / "README.md").write_bytes(text.encode("latin-1"))
        with pytest.raises(InputError, match="mine holds a pipeline, but .*: name a new folder, or remove that one"):
            export.export(run, preset, mine)
    assert (mine / "unet").is_dir() and export.MARK in (exported / "README.md").read_text().splitlines()
    with pytest.raises(InputError, match="name a new folder"):
        export.check_export_folder("data/tiny/inpainting")


def test_the_run_stays_as_it_is(make_run, preset, photo, mask, tmp_path):
    run = make_run("stays")
    painter = inpaint.load_painter(preset, run, device="cpu")
    before = {name: {weight.dtype for weight in module.parameters()} for name, module in run.modules.items()}
    painted = painter(photo, mask, seed=3).image
    export.export(run, preset, tmp_path / "box", one_file=False)
    after = {name: {weight.dtype for weight in module.parameters()} for name, module in run.modules.items()}
    assert before == after and painter(photo, mask, seed=3).image.tobytes() == painted.tobytes()


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (0.5, "no LoRA to scale"),
        (float("nan"), "lora_scale is nan"),
        (float("inf"), "lora_scale is inf"),
        (-1, "lora_scale is -1.0"),
    ],
)
def test_a_scale_that_does_nothing_is_refused(run, preset, tmp_path, scale, words):
    with pytest.raises(InputError, match=words):
        export.export(run, preset, tmp_path / "box", lora_scale=scale)
    assert not (tmp_path / "box").exists()


def test_a_run_on_another_base_is_refused(run, preset, tmp_path):
    other = with_base(run, "someone/base@123", preset={**run.record["preset"], "models": {}})
    with pytest.raises(InputError, match="on someone/base, but preset 'preset' names ./inpainting"):
        export.export(other, preset, tmp_path / "box")
    assert not (tmp_path / "box").exists()
