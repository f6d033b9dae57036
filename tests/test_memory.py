"""The account of memory: against a real step, against real optimizers, against published figures."""

import json
import subprocess
import sys
import warnings

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.pipelines.deprecated.paint_by_example import PaintByExampleImageEncoder
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
)

from dp_helpers import errors, files, presets, sources
from dp_helpers.training import fits, memory, optim

MEASURE = """
import resource
import sys
import torch
from dp_helpers import catalog, course, files, finetune, models, presets, segment
course.quiet()

def resident(key):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))

before = resident("VmRSS")
item = catalog.load_item(files.find_data() / "catalog" / "lantern-lamp")
masks = [segment.Image.new("L", photo.size, 255) for photo in item.photos]
options = {"steps": 2, "views": 7, "masks_per_view": 1, "progress": False, "lora_rank": int(sys.argv[1])}
finetune.finetune(item, masks, presets.load("tiny"), **options)
print(resident("VmHWM") - before)
"""


@pytest.mark.parametrize("rank", [0, 8])
def test_the_peak_of_tiny_is_within_a_tenth_of_the_measured_one(rank):
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    done = subprocess.run([sys.executable, "-c", MEASURE, str(rank)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measured = int(done.stdout.split()[-1])
    preset = presets.change(presets.load("tiny"), finetune={"lora_rank": rank})
    predicted = memory.account(preset, "cpu").total
    assert abs(predicted - measured) < 0.1 * measured, (
        f"predicted {predicted / 1e6:.0f} MB, measured {measured / 1e6:.0f}"
    )


@pytest.fixture(scope="module")
def sd15():
    """The account of sd15, made while every way to the Hub or to weights is closed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "first", lambda *_, **__: pytest.fail("something was loaded"))
        return memory.account(presets.load("sd15"))


def test_the_weights_of_sd15_are_counted_from_configurations_alone(sd15):
    assert sd15.parts["weights"] == pytest.approx(4 * (859_535_364 + 123_060_480), rel=1e-3)


def test_the_published_figure_of_a_t4_is_met(sd15):
    """8-bit Adam with gradient checkpointing: 9.9 GB (ShivamShrirao/diffusers, examples/dreambooth/README.md)."""
    assert sd15.tensors == pytest.approx(9.9e9, rel=0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_only_caches_files_counts_as_available():
    """A machine that has read many files has little unused memory, and can still give it to a fine-tune."""
    told = dict(line.split(":") for line in open("/proc/meminfo").read().splitlines())
    free = 1024 * int(told["MemFree"].split()[0])
    found = fits.available(torch.device("cpu"))
    assert abs(found - 1024 * int(told["MemAvailable"].split()[0])) < 0.2e9
    assert found > free - 0.2e9


@pytest.mark.parametrize("name", ["adamw", "adamw8bit"])
def test_the_states_of_the_optimizer_are_those_of_a_real_one(name):
    module = torch.nn.Sequential(torch.nn.Linear(100, 90), torch.nn.Linear(90, 7))
    groups = [{"params": list(module.parameters()), "lr": 1e-3}]
    optimizer = optim.make_optimizer(groups, name, weight_decay=0.0, device=torch.device("cpu"))
    module(torch.ones(1, 100)).sum().backward()
    optimizer.step()
    for weight, state in optimizer.state.items():
        kept = [value for key, value in state.items() if torch.is_tensor(value) and key[:4] not in ("qmap", "step")]
        assert sorted(value.nbytes for value in kept) == sorted(memory.state_bytes(weight.numel(), name))


def test_each_choice_changes_its_part(preset):
    def parts(**settings):
        return memory.account(presets.change(preset, finetune=settings), "cpu").most

    plain = parts(optimizer="adamw")
    assert parts(optimizer="adamw", batch_size=4)["activations"] > 1.5 * plain["activations"]
    assert parts(optimizer="adamw", gradient_checkpointing=True)["activations"] < plain["activations"]
    assert parts(optimizer="adamw", views=8)["bank"] > 1.9 * plain["bank"]
    assert parts(optimizer="adamw8bit")["optimizer"] < plain["optimizer"]
    frozen, lora = parts(optimizer="adamw", train_text_encoder=False), parts(optimizer="adamw", lora_rank=2)
    assert 0 < lora["gradients"] < frozen["gradients"] < plain["gradients"]
    assert memory.account(preset, "cuda").parts["weights"] % memory.GPU_BLOCK == 0


def test_the_account_follows_encoding_prior_and_resolution(preset):
    def found(resolution=32, **settings):
        return memory.account(presets.change(preset, resolution=resolution, finetune=settings), "cpu")

    masks = preset.finetune.masks_per_view
    plain, two, most = found(), found(encode_batch_size=2), found(encode_batch_size=1 + masks)
    assert plain.encoding < two.encoding <= most.encoding == found(encode_batch_size=64).encoding
    assert (plain.parts, plain.most) == (most.parts, most.most)
    prior = found(prior_weight=1.0, class_pictures=2 * preset.finetune.views)
    assert prior.parts["bank"] == 3 * plain.parts["bank"]
    twice = found(batch_size=2 * preset.finetune.batch_size).most["activations"]
    assert twice <= prior.most["activations"] < 1.1 * twice and twice > 1.5 * plain.most["activations"]
    large = found(resolution=64)
    assert large.parts["bank"] == pytest.approx(4 * plain.parts["bank"], rel=0.01)
    assert large.most["activations"] > 2 * plain.most["activations"] and large.encoding > 2 * plain.encoding


def test_a_run_that_fits_says_nothing(preset, monkeypatch):
    monkeypatch.setattr(fits, "available", lambda device: 1e12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fits.check_fits(preset, torch.device("cpu"))


def test_a_run_that_does_not_fit_is_named_with_what_to_change(preset, monkeypatch):
    monkeypatch.setattr(fits, "available", lambda device: 1e5)
    with pytest.warns(UserWarning, match=r"about 0.1 GB, but 0.0 GB are there. Set batch_size=1 with grad"):
        fits.check_fits(presets.change(preset, finetune={"optimizer": "adamw8bit"}), torch.device("cpu"))


@pytest.mark.parametrize("works", [True, False])
def test_adamw_on_a_16_gb_gpu_is_refused_before_any_download(works, monkeypatch):
    """8-bit Adam that does not work leaves AdamW: 15.7 GB before any activation; a T4 has 15.84."""
    monkeypatch.setattr(fits, "available", lambda device: 15.84e9)
    monkeypatch.setattr(fits, "why_no_8bit", lambda device: None if works else "no kernel")
    if works:
        fits.check_fits(presets.load("sd15"), torch.device("cuda"))
        return
    with pytest.raises(errors.InputError, match=r"needs 15.* GB without 8-bit Adam.*no kernel.*the GPU has 15.8 GB"):
        fits.check_fits(presets.load("sd15"), torch.device("cuda"))


def count(module: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_the_published_configurations_give_the_published_numbers_of_weights():
    root = files.find_data() / "published"
    pipeline = root / "stable-diffusion-v1-5/stable-diffusion-inpainting"
    with init_empty_weights():
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(pipeline / "unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(pipeline / "vae"))
        text = CLIPTextModel(CLIPTextConfig.from_pretrained(pipeline / "text_encoder"))
        checker = StableDiffusionSafetyChecker(CLIPConfig.from_pretrained(pipeline / "safety_checker"))
        clip = CLIPModel(CLIPConfig.from_pretrained(root / "openai/clip-vit-base-patch32"))
        clipseg = CLIPSegForImageSegmentation(CLIPSegConfig.from_pretrained(root / "CIDAS/clipseg-rd64-refined"))
        example = root / "Fantasy-Studio/Paint-by-Example/image_encoder"
        encoder = PaintByExampleImageEncoder(CLIPVisionConfig.from_pretrained(example))
    # The published fp16 file of the U-Net has 1,719,154,104 bytes: two for each weight, and a header.
    assert 0 < 1_719_154_104 - 2 * count(unet) < 200_000
    assert (count(vae), count(text), count(clip)) == (83_653_863, 123_060_480, 151_277_313)
    assert count(encoder.model) == 303_179_776 and len(encoder.mapper.blocks) == 5  # CLIP ViT-L/14, and its mapper
    assert 300e6 < count(checker) < 310e6 and 150e6 < count(clipseg) < 151e6
    assert json.loads((pipeline / "unet/config.json").read_text())["sample_size"] * 8 == presets.load("sd15").resolution
