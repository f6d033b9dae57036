"""A preset holds every setting and the ids of all models. No other module names a model.

A preset is a TOML file. Two come with the package: ``tiny`` (a laptop, Binder, the tests) and ``sd15`` (Stable
Diffusion on a GPU). A file of your own works as well. A key that it leaves out takes the default below: the paper's
setting where it states one (section 4.1: 500 steps, constant learning rate 5e-6, 512 x 512 pixels, guidance 10).
"""

from __future__ import annotations

import numbers
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

from . import tables
from .errors import InputError

_PACKAGED = Path(__file__).parent / "presets"

# The attention layers of U-Net and text encoder, as in diffusers' LoRA scripts.
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")
TABLES = ("models", "segment", "masks", "finetune", "inpaint")
# Those of diffusers.optimization.get_scheduler that need nothing but the warm-up and the number of steps.
SCHEDULES = "constant constant_with_warmup linear cosine cosine_with_restarts polynomial".split()
TRACKERS = "none aim clearml comet_ml dvclive mlflow swanlab tensorboard trackio wandb".split()


@dataclass(frozen=True)
class Models:
    """Where each model comes from: folders or Hub ids, tried in order."""

    inpainting: tuple[str, ...]  # StableDiffusionInpaintPipeline
    clipseg: tuple[str, ...]  # CLIPSegForImageSegmentation and its processor
    clip: tuple[str, ...]  # CLIPModel and its image processor
    paint_by_example: tuple[str, ...] = ()  # PaintByExamplePipeline


@dataclass(frozen=True)
class Segment:
    """ClipSeg, from a class noun to an object mask. Lengths are shares of the photo's side."""

    prompts: tuple[str, ...] = ("{class_noun}", "a photo of a {class_noun}")  # their maps are averaged
    threshold: float = 0.3  # of the sigmoid, 0 to 1
    smooth: float = 0.01  # standard deviation of the Gaussian
    grow: float = 0.02  # how far the mask is grown at the end
    edges: float = 0.0  # how closely masks follow the photo's edges, 0: not at all; see segment.follow_edges


@dataclass(frozen=True)
class Masks:
    """The training mixture. The shares need not add up to 1; they are divided by their sum."""

    rectangle: float = 1.0
    ellipse: float = 1.0
    object: float = 1.0
    full: float = 0.0  # everything hidden; not in the paper, see masks.draw_mask
    around: float = 0.0  # share of rectangles and ellipses that hold the whole product; not in the paper either
    object_grow: float = 0.05  # object-shaped masks grow by 0 to this share of the photo's side


@dataclass(frozen=True)
class Finetune:
    """Masked DreamBooth (section 3.4)."""

    steps: int = 500
    batch_size: int = 1
    gradient_accumulation_steps: int = 1  # batches for each step; several take the memory of one
    learning_rate: float = 5e-6
    train_text_encoder: bool = True  # as in the paper (section 3.4); false: its embeddings are made once
    text_encoder_learning_rate: float | None = None  # None: the same as learning_rate
    text_encoder_stop_step: int | None = None  # train the U-Net alone from this step on; None: both to the end
    lora_rank: int = 0  # train LoRA matrices of this rank (arXiv 2106.09685) and no other weight; 0: all weights
    lora_alpha: float | None = None  # LoRA's change is scaled by lora_alpha / lora_rank; None: by 1
    lora_targets: tuple[str, ...] = LORA_TARGETS  # the layers that get them, by the ends of their names
    prior_weight: float = 0.0  # of the loss on class pictures (arXiv 2208.12242); 0: none, see section 6 of the paper
    class_pictures: int = 100  # how many of them the base model draws; 100 as in diffusers' DreamBooth script
    optimizer: str = "adamw8bit"  # adamw8bit, adamw
    lr_scheduler: str = "constant"  # a schedule of diffusers.optimization
    lr_warmup_steps: int = 0
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    gradient_checkpointing: bool = False
    mixed_precision: str = "auto"  # auto, no, fp16, bf16
    save_dtype: str = "float16"  # of the saved weights
    checkpointing_steps: int = 0  # save the state every so many steps, so that the run can be resumed; 0: never
    checkpoints_total_limit: int = 2  # keep so many of the latest checkpoints
    validation_steps: int = 50  # paint every so many steps, if `finetune` is given a `Watch`; 0: at the end only
    report_to: str = "none"  # a tracker of accelerate, for example tensorboard or wandb
    prompt_dropout: float = 0.0  # share of samples with an empty prompt
    snr_gamma: float | None = None  # Min-SNR loss weights (arXiv 2303.09556); None: plain Eq. 2
    mask_weight: float = 1.0  # loss weight where the mask is; 1: plain Eq. 2
    background_weight: float = 1.0  # loss weight off the product; 1: plain Eq. 2
    views: int = 32  # number of views of the photos that are encoded before training
    masks_per_view: int = 4  # number of masks for each of them
    encode_batch_size: int = 1  # pictures that the VAE encodes at once
    augment_scale: tuple[float, float] = (0.8, 0.8)  # share of the view that the product's longer side takes
    augment_shift: float = 0.0  # 0: in the middle, 1: anywhere on the canvas
    augment_background: float = 0.0  # share of views on a random wall and floor; not in the paper
    augment_flip: bool = False  # mirror every second view; wrong for products with writing on them


@dataclass(frozen=True)
class Inpaint:
    """Arguments of the inpainting pipeline, and how the photo is cut for it and pasted back."""

    guidance_scale: float = 10.0
    autoguidance_scale: float = 1.0  # how far to lead away from the base model, 1: not at all; see guidance.py
    autoguidance_interval: tuple[float, float] = (0.0, 1.0)  # it acts between these shares of the timesteps
    num_inference_steps: int = 50
    strength: float = 1.0
    eta: float = 0.0  # share of the noise that DDIM (arXiv 2010.02502) draws again in each step; others ignore it
    crop_scale: float = 2.0  # side of the square that is painted, in units of the mask's longer side
    feather: float = 0.0  # width of the blend inside the mask's edge, share of the painted square
    soft_mask: bool = False  # the mask's grey levels are the blend, instead of feather; False: they are split at 128
    paste: str = "mask"  # what goes into the photo: all under the mask, or the "product" alone; not in the paper
    lora_scale: float = 1.0  # how strongly a run's LoRA acts: 0 is the base model


@dataclass(frozen=True)
class Preset:
    """Everything that differs between a small run and a real one."""

    name: str
    source: str  # the name or path that load() was given
    folder: Path  # of the TOML file
    models: Models
    resolution: int = 512  # pixels, a side
    token: str = "nbsn"  # the rare word that will mean the item
    license: str = "unknown"  # of the inpainting model, for the cards of exported runs
    allow_bin: tuple[str, ...] = ()  # sources of [models] that may be read from .bin where they have no safetensors
    safety_checker: bool = True  # False paints without the pipeline's safety checker, where it has one
    segment: Segment = field(default_factory=Segment)
    masks: Masks = field(default_factory=Masks)
    finetune: Finetune = field(default_factory=Finetune)
    inpaint: Inpaint = field(default_factory=Inpaint)

    def as_dict(self) -> dict[str, Any]:
        """Return all settings and model ids as values that JSON can hold."""
        return asdict(self) | {"folder": str(self.folder)}


def load(source: str | Path) -> Preset:
    """Load a preset by its name (``tiny``, ``sd15``) or from a TOML file.

    Raises:
        InputError: there is no such preset, or a key or value in it is wrong.
    """
    names = sorted(path.stem for path in _PACKAGED.glob("*.toml"))
    named = str(source) in names
    path = _PACKAGED / f"{source}.toml" if named else Path(source).expanduser()
    if not path.is_file():
        raise InputError(f"There is no preset {str(source)!r}: name one of {', '.join(names)}, or a TOML file.")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # tomllib's own, and those of text and numbers
        raise InputError(f"{path} is not a TOML file: {error}.") from error
    given = {"name": path.stem, "source": str(source) if named else str(path.resolve()), "folder": path.parent}
    for key in given.keys() & table.keys():
        raise InputError(f"{path}: the key {key!r} follows from the file's place; remove it.")
    return _checked(tables.build(Preset, table | given, f"{path}: "), f"{path}: ")


def change(preset: Preset, **changes: Any) -> Preset:
    """Return a copy of a preset with some settings changed; types and ranges are checked as those of a file are.

    Args:
        preset: stays as it is.
        changes: fields of `Preset`, for example ``token="nbsn"``, or settings of a table: ``inpaint={"eta": 0.0}``.

    Raises:
        InputError: an unknown setting, or a value of the wrong type or out of range.
    """
    hints, values = typing.get_type_hints(Preset), {}
    for name, value in changes.items():
        if isinstance(value, Mapping) and is_dataclass(hints.get(name)):
            values[name] = replace(getattr(preset, name), **tables.values(hints[name], value, "", name + "."))
        else:
            values |= tables.values(Preset, {name: value}, "", "")
    return _checked(replace(preset, **values), "")


_SHARE, _NOT_NEGATIVE = ("between 0 and 1", lambda value: 0 <= value <= 1), ("0 or more", lambda value: value >= 0)
_COUNT, _SIZE = ("at least 1", lambda value: value >= 1), ("between 1 and 4096", range(1, 4097).__contains__)
_PROMPTS = "texts without braces but {class_noun}", lambda text: not {*"{}"} & {*str(text).replace("{class_noun}", "")}
# What a type cannot say: a table, its settings, what they must be, and the test.
_RULES = [
    ("", "resolution", "a multiple of 8 up to 4096", range(8, 4097, 8).__contains__),
    ("", "token", "one word", lambda value: len(value.split()) == 1),
    ("models", "inpainting", "a list of at least one source", bool),
    ("segment", "prompts", "a list of at least one prompt", bool),
    ("segment", "prompts", *_PROMPTS),
    ("segment", "threshold", "between 0 and 1, neither of them included", lambda value: 0 < value < 1),
    ("segment", "smooth grow", *_SHARE),
    ("segment", "edges", *_NOT_NEGATIVE),
    ("masks", "around object_grow", *_SHARE),
    ("masks", "rectangle ellipse object full", *_NOT_NEGATIVE),
    ("finetune", "steps gradient_accumulation_steps views checkpoints_total_limit text_encoder_stop_step", *_COUNT),
    ("finetune", "batch_size encode_batch_size masks_per_view class_pictures", *_SIZE),
    ("finetune", "max_grad_norm snr_gamma lora_alpha", "greater than 0", lambda value: value > 0),
    ("finetune", "learning_rate", "greater than 0 and at most 0.1", lambda value: 0 < value <= 0.1),
    ("finetune", "text_encoder_learning_rate", "between 0 and 0.1", lambda value: 0 <= value <= 0.1),
    ("finetune", "weight_decay lr_warmup_steps mask_weight background_weight prior_weight", *_NOT_NEGATIVE),
    ("finetune", "checkpointing_steps validation_steps", *_NOT_NEGATIVE),
    ("finetune", "lora_rank", "between 0 and 1024", lambda value: 0 <= value <= 1024),
    ("finetune", "lora_targets", "a list of at least one layer", bool),
    ("finetune", "lr_scheduler", f"one of {', '.join(SCHEDULES)}", SCHEDULES.__contains__),
    ("finetune", "report_to", f"one of {', '.join(TRACKERS)}", TRACKERS.__contains__),
    ("finetune", "optimizer", "adamw8bit or adamw", ("adamw8bit", "adamw").__contains__),
    ("finetune", "mixed_precision", "auto, no, fp16 or bf16", ("auto", "no", "fp16", "bf16").__contains__),
    ("finetune", "save_dtype", "float16 or float32", ("float16", "float32").__contains__),
    ("finetune", "prompt_dropout", "between 0 and 1 (1 not included)", lambda value: 0 <= value < 1),
    ("finetune", "augment_scale", "two shares, 0.1 to 1, the smaller first", lambda two: 0.1 <= two[0] <= two[1] <= 1),
    ("finetune", "augment_shift augment_background", *_SHARE),
    ("inpaint", "num_inference_steps", "between 1 and 1000", lambda value: 1 <= value <= 1000),
    ("inpaint", "crop_scale", "between 1 and 10", lambda value: 1 <= value <= 10),
    ("inpaint", "guidance_scale", "between 0 and 100", lambda value: 0 <= value <= 100),
    ("inpaint", "autoguidance_scale", "between 1 and 100", lambda value: 1 <= value <= 100),
    ("inpaint", "lora_scale", *_NOT_NEGATIVE),
    ("inpaint", "autoguidance_interval", "two shares, the smaller first", lambda two: 0 <= two[0] <= two[1] <= 1),
    ("inpaint", "feather", *_SHARE),
    ("inpaint", "paste", "mask or product", ("mask", "product").__contains__),
    ("inpaint", "strength", "greater than 0 and at most 1", lambda value: 0 < value <= 1),
    # At 1 DDIM takes the root of a rounding error below zero if its last timestep is pure noise: diffusers#5969.
    ("inpaint", "eta", "between 0 and 1 (1 not included); 0.99 is as good", lambda value: 0 <= value < 1),
]


def checked_seed(seed: Any) -> int:
    """Return a seed as an int. An `InputError` says if it is not a whole number from 0 to 2**32 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise InputError(f"The seed is {seed!r}, but must be a whole number from 0 to {2**32 - 1}.")
    return int(seed)


def _checked(preset: Preset, where: str) -> Preset:
    """Return the preset after checking every value that its type alone does not check."""
    for table, names, wanted, holds in _RULES:
        for name in names.split():
            value = getattr(getattr(preset, table) if table else preset, name)
            if value is not None and not holds(value):
                raise InputError(f"{where}{table}{'.' if table else ''}{name} is {value!r}, but must be {wanted}.")
    shares, steps, strength = preset.masks, preset.inpaint.num_inference_steps, preset.inpaint.strength
    if not shares.rectangle + shares.ellipse + shares.object + shares.full > 0:
        raise InputError(f"{where}the shares of [masks] are all 0: give at least one of them a share.")
    if int(steps * strength) < 1:
        raise InputError(f"{where}{steps} steps at strength {strength} leave no step to take: raise one of them.")
    return preset
