"""Which files of a model are needed: configurations, and weights in the form that is there."""

import pytest

from dp_helpers.weights import Unusable, choose, parts_of

PIPELINE = {
    "_class_name": "StableDiffusionInpaintPipeline",
    "requires_safety_checker": True,
    "feature_extractor": ["transformers", "CLIPImageProcessor"],
    "image_encoder": [None, None],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "scheduler": ["diffusers", "PNDMScheduler"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
}
FILES = [
    "README.md",
    "config.json",
    "model_index.json",
    "sd-v1-5-inpainting.ckpt",
    "feature_extractor/preprocessor_config.json",
    "scheduler/scheduler_config.json",
    "tokenizer/merges.txt",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "safety_checker/model.fp16.safetensors",
]


def test_a_pipelines_parts_are_those_that_it_has():
    assert parts_of(PIPELINE) == ["feature_extractor", "safety_checker", "scheduler", "tokenizer", "unet"]
    assert "safety_checker" not in parts_of(PIPELINE, skip=["safety_checker"])


def test_only_the_needed_files_of_a_pipeline_are_chosen():
    chosen = choose(FILES, parts_of(PIPELINE))
    assert sorted(chosen.files) == [
        "feature_extractor/preprocessor_config.json",
        "model_index.json",
        "safety_checker/config.json",
        "safety_checker/model.safetensors",
        "scheduler/scheduler_config.json",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
    ]
    assert chosen.fp16 == {"unet"} and not chosen.pickled
    assert chosen.options("unet") == chosen.options() == {"variant": "fp16", "use_safetensors": True}
    assert chosen.options("safety_checker") == chosen.options("tokenizer") == {"use_safetensors": True}


def test_without_weights_only_configurations_are_chosen():
    assert not [path for path in choose(FILES, parts_of(PIPELINE), weights=False).files if "pytorch_model" in path]


def test_a_model_without_parts():
    chosen = choose(["config.json", "vocab.json", "merges.txt", "model.safetensors", "tf_model.h5", "rust_model.ot"])
    assert sorted(chosen.files) == ["config.json", "merges.txt", "model.safetensors", "vocab.json"]


@pytest.mark.parametrize("precision", ["", ".fp16"])
def test_shards_come_with_their_index(precision):
    shards = [f"unet/diffusion_pytorch_model{precision}-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = f"unet/diffusion_pytorch_model.safetensors.index{precision}.json"
    others = ["unet/config.json", "unet/diffusion_pytorch_model.bin.index.json"]
    chosen = choose([*others, index, *shards], ["unet"])
    assert sorted(chosen.files) == sorted(["unet/config.json", index, *shards])
    with pytest.raises(Unusable, match="lacks the weights of unet"):
        choose(["unet/config.json", index, shards[0]], ["unet"])


def test_pickles_are_refused_with_the_way_out_unless_allowed():
    files = ["config.json", "pytorch_model.bin", "pytorch_model.fp16.bin"]
    with pytest.raises(Unusable, match="as .bin files only, not as safetensors: write its id into the list allow_bin"):
        choose(files)
    chosen = choose(files, allow_bin=True)
    assert sorted(chosen.files) == ["config.json", "pytorch_model.bin"] and chosen.pickled == {""}
    assert chosen.options() == {"use_safetensors": None}
    assert choose([*files, "model.safetensors"], allow_bin=True).pickled == frozenset()


@pytest.mark.parametrize(("files", "said"), [([], "has no configuration"), (["config.json"], "lacks the weights")])
def test_what_is_missing_is_told(files, said):
    with pytest.raises(Unusable, match=said):
        choose(files)
