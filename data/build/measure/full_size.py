"""Models of the published size of preset sd15, with random weights: inpainting, Paint by Example, CLIPSeg and CLIP.

They are made from the configurations in data/published, in about 4 GB on disk. What they paint is noise. They are
there to walk through the commands and to measure time and memory at the real size, without a download.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.deprecated.paint_by_example import PaintByExampleImageEncoder
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPSegProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    ViTImageProcessor,
)

from dp_helpers.files import whole_folder

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = ROOT / "data/published"
FOLDER = ROOT / "data/build/work/full-size"
MODELS = ("inpainting", "paint_by_example", "clipseg", "clip")
VOCABULARY = 49408  # entries: 256 bytes, the same at a word's end, 48,894 merges, two marks
# The words of our prompts; all others are spelled in pairs of letters.
WORDS = "a photo of sks nbsn sofa armchair chair table lamp vase mug t-shirt wall art red blue plain".split()


def make(folder: Path = FOLDER) -> Path:
    """Make the folder with a folder for each of `MODELS` and sd15.toml if it is not whole, and return the preset."""
    if not all((folder / name).is_dir() for name in MODELS):
        with whole_folder(folder, replace=True) as temporary:
            torch.manual_seed(0)
            _make_pipeline(temporary / "inpainting")
            _make_paint_by_example(temporary / "paint_by_example", temporary / "inpainting")
            _make_clip(temporary)
            (temporary / "sd15.toml").write_text(preset_text(), encoding="utf-8")
    return folder / "sd15.toml"


def preset_text() -> str:
    """Return the preset sd15 with this folder's models in place of the published ones."""
    text = (ROOT / "dp_helpers/presets/sd15.toml").read_text(encoding="utf-8")
    for name in MODELS:
        text, count = re.subn(rf"^{name} = \[[^\]]*\]$", f'{name} = ["./{name}"]', text, flags=re.MULTILINE)
        assert count == 1, f"sd15.toml no longer names {name!r} in one list"
    return text


def _make_pipeline(folder: Path) -> None:
    """Save the pipeline one part at a time, because all of them at once would take 5 GB."""
    place = PUBLISHED / "stable-diffusion-v1-5/stable-diffusion-inpainting"
    _save(UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(place / "unet")), folder / "unet")
    _save(AutoencoderKL.from_config(AutoencoderKL.load_config(place / "vae")), folder / "vae")
    _save(CLIPTextModel(CLIPTextConfig.from_pretrained(place / "text_encoder")), folder / "text_encoder")
    _save(StableDiffusionSafetyChecker(CLIPConfig.from_pretrained(place / "safety_checker")), folder / "safety_checker")
    tokenizer, features = make_tokenizer(), CLIPImageProcessor()
    scheduler = DDIMScheduler.from_pretrained(place / "scheduler")
    names = ("vae", "text_encoder", "unet", "safety_checker")
    parts = dict.fromkeys(names) | {"tokenizer": tokenizer, "scheduler": scheduler, "feature_extractor": features}
    pipe = StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)
    for name, library in zip(names, ("diffusers", "transformers", "diffusers", "stable_diffusion"), strict=True):
        kind = {"vae": AutoencoderKL, "text_encoder": CLIPTextModel, "unet": UNet2DConditionModel}
        kind = kind.get(name, StableDiffusionSafetyChecker).__name__
        pipe.register_to_config(**{name: (library, kind)})
    pipe.register_to_config(requires_safety_checker=True)
    pipe.save_config(folder)
    for name, part in (("tokenizer", tokenizer), ("scheduler", scheduler), ("feature_extractor", features)):
        part.save_pretrained(folder / name)


def _make_paint_by_example(folder: Path, inpainting: Path) -> None:
    """Save Paint by Example. Parts of the size of the inpainting pipeline's are links to them, to save the disk."""
    for name in ("unet", "vae", "safety_checker", "feature_extractor"):
        shutil.copytree(inpainting / name, folder / name, copy_function=os.link)
    place = PUBLISHED / "Fantasy-Studio/Paint-by-Example"
    config = CLIPVisionConfig.from_pretrained(place / "image_encoder")
    _save(PaintByExampleImageEncoder(config), folder / "image_encoder")
    schedule = DDIMScheduler.load_config(PUBLISHED / "stable-diffusion-v1-5/stable-diffusion-inpainting/scheduler")
    PNDMScheduler.from_config(schedule).save_pretrained(folder / "scheduler")


def _make_clip(folder: Path) -> None:
    tokenizer = make_tokenizer()
    _save(CLIPModel(CLIPConfig.from_pretrained(PUBLISHED / "openai/clip-vit-base-patch32")), folder / "clip")
    CLIPImageProcessor().save_pretrained(folder / "clip")
    tokenizer.save_pretrained(folder / "clip")
    _save(
        CLIPSegForImageSegmentation(CLIPSegConfig.from_pretrained(PUBLISHED / "CIDAS/clipseg-rd64-refined")),
        folder / "clipseg",
    )
    CLIPSegProcessor(ViTImageProcessor(size={"height": 352, "width": 352}), tokenizer).save_pretrained(
        folder / "clipseg"
    )


def _save(model: torch.nn.Module, folder: Path) -> None:
    """Save a model in fp16, as the published weights are."""
    model.half().save_pretrained(folder, safe_serialization=True)


def make_tokenizer() -> CLIPTokenizer:
    """Make a tokenizer of the published size and layout: bytes, bytes at a word's end, merges, start, end."""
    letters = _byte_letters()
    tokens = dict.fromkeys([*letters, *(letter + "</w>" for letter in letters)])
    merges: list[tuple[str, str]] = []
    wanted = VOCABULARY - 2
    for word in WORDS:
        for part in re.findall(r"[a-z]+", word):
            pieces = [*part[:-1], part[-1] + "</w>"]
            while len(pieces) > 1:
                if (merged := pieces[0] + pieces[1]) not in tokens:
                    merges.append((pieces[0], pieces[1]))
                    tokens[merged] = None
                pieces = [merged, *pieces[2:]]
    for first, second in itertools.product(letters, tuple(tokens)[: 2 * len(letters)]):
        if len(tokens) == wanted:
            break
        if first + second not in tokens:
            merges.append((first, second))
            tokens[first + second] = None
    tokens |= dict.fromkeys(["<|startoftext|>", "<|endoftext|>"])
    vocab = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)


def _byte_letters() -> list[str]:
    """Return the 256 characters that stand for the bytes, the printable ones first, as in CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
