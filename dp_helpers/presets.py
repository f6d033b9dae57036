"""A preset says which models and which numbers are used. No other module knows a model's name.

A preset is a TOML file. Two come with the package, ``tiny`` (a laptop, Binder, the tests) and ``sd15``
(Stable Diffusion on a GPU); a path to a file of your own is as good. Every key that a file leaves out has
the default below. The defaults are the paper's numbers where the paper gives one (section 4.1: 500 steps,
learning rate 5e-6 kept constant, 512 x 512 pixels, guidance 10).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .errors import InputError
from .tables import build

Loaded = TypeVar("Loaded")
_PACKAGED = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class Models:
    """Where each model comes from: folders or Hub ids, tried in this order."""

    inpainting: tuple[str, ...]  # StableDiffusionInpaintPipeline
    clipseg: tuple[str, ...]  # CLIPSegForImageSegmentation and its processor
    clip: tuple[str, ...]  # CLIPModel and its image processor
    paint_by_example: tuple[str, ...] = ()  # PaintByExamplePipeline


@dataclass(frozen=True)
class Segment:
    """ClipSeg: from a class noun to an object mask. Lengths are shares of the photo's side."""

    prompts: tuple[str, ...] = ("{class_noun}", "a photo of a {class_noun}")  # their maps are averaged
    threshold: float = 0.3  # of the sigmoid, 0 to 1
    smooth: float = 0.01  # standard deviation of the Gaussian
    grow: float = 0.02  # how far the mask is grown at the end


@dataclass(frozen=True)
class Masks:
    """The training mixture. The shares need not add up to 1: they are divided by their sum."""

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
    learning_rate: float = 5e-6
    text_encoder_learning_rate: float | None = None  # None: the same
    optimizer: str = "adamw8bit"  # adamw8bit, adamw
    lr_scheduler: str = "constant"
    lr_warmup_steps: int = 0
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    gradient_checkpointing: bool = False
    mixed_precision: str = "auto"  # auto, no, fp16, bf16
    save_dtype: str = "float16"  # of the saved weights
    prompt_dropout: float = 0.0  # share of samples with an empty prompt
    snr_gamma: float | None = None  # Min-SNR loss weights (arXiv 2303.09556); None: plain Eq. 2
    mask_weight: float = 1.0  # loss weight where the mask is; 1: plain Eq. 2
    background_weight: float = 1.0  # loss weight off the product; 1: plain Eq. 2
    views: int = 32  # how many views of the photos are encoded before training
    masks_per_view: int = 4  # and how many masks for each of them
    augment_scale: tuple[float, float] = (0.8, 0.8)  # share of the view that the product's longer side takes
    augment_shift: float = 0.0  # 0: in the middle, 1: anywhere on the canvas
    augment_background: float = 0.0  # share of views on a random wall and floor; not in the paper, see backdrop.py
    augment_flip: bool = False  # mirror every second view; wrong for products with writing on them


@dataclass(frozen=True)
class Inpaint:
    """Arguments of the inpainting pipeline, and how a photo is brought to its resolution and back."""

    guidance_scale: float = 10.0
    num_inference_steps: int = 50
    strength: float = 1.0
    eta: float = 0.0  # of DDIM (arXiv 2010.02502): how much of the noise is drawn anew in each step; others ignore it
    crop_scale: float = 2.0  # side of the square that is painted, in units of the mask's longer side
    feather: float = 0.0  # width of the blend inside the mask's edge, share of the painted square


@dataclass(frozen=True)
class Preset:
    """Everything that differs between a toy run and a real one."""

    name: str
    source: str  # what load() was given: a name or a path
    folder: Path  # of the TOML file
    models: Models
    resolution: int = 512  # pixels, a side
    token: str = "nbsn"  # the rare word that will mean the item
    segment: Segment = field(default_factory=Segment)
    masks: Masks = field(default_factory=Masks)
    finetune: Finetune = field(default_factory=Finetune)
    inpaint: Inpaint = field(default_factory=Inpaint)

    def as_dict(self) -> dict[str, Any]:
        """All numbers and model ids as plain JSON-ready values."""
        return asdict(self) | {"folder": str(self.folder)}


def load(source: str | Path) -> Preset:
    """Load a preset by its name (``tiny``, ``sd15``) or from a TOML file.

    Raises:
        InputError: when there is no such preset, or a key or value in it is wrong.
    """
    names = sorted(path.stem for path in _PACKAGED.glob("*.toml"))
    named = str(source) in names
    path = _PACKAGED / f"{source}.toml" if named else Path(source).expanduser()
    if not path.is_file():
        raise InputError(
            f"There is no preset {str(source)!r}: name one of {', '.join(names)}, or a TOML file."
        )
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a TOML file: {error}.") from error
    given = {
        "name": path.stem,
        "source": str(source) if named else str(path.resolve()),
        "folder": path.parent,
    }
    for key in given.keys() & table.keys():
        raise InputError(f"{path}: the key {key!r} is set by the file's place; remove it.")
    preset = build(Preset, table | given, path)
    _check(preset, path)
    return preset


def load_first(preset: Preset, model: str, load_from: Callable[..., Loaded]) -> Loaded:
    """Load a model from the first of its sources that works.

    Args:
        preset: names the sources.
        model: a field of `Models`, for example ``"clip"``.
        load_from: called as ``load_from(source, **options)``; the options are the variant of the weights,
            so it passes them on to ``from_pretrained``.

    Raises:
        InputError: when no source works; the message holds what each of them said.
    """
    sources = getattr(preset.models, model)
    said = []
    for source in sources:
        place = _place(source, preset.folder)
        for options in ({},) if os.path.isdir(place) else ({}, {"variant": "fp16"}):
            try:
                return load_from(place, **options)
            except OSError as error:
                said.append(f"{source}: {str(error).strip().splitlines()[0]}")
    raise InputError(
        f"No source of the model {model!r} of preset {preset.name!r} could be loaded "
        f"({'; '.join(dict.fromkeys(said)) or 'the preset names none'}): "
        "check the connection, or put a folder or another id into a preset file of your own."
    )


def check_sources(preset: Preset, model: str) -> None:
    """Check that the folders among a model's sources are there; Hub ids are left alone.

    Raises:
        InputError: when one is missing.
    """
    for source in getattr(preset.models, model):
        _place(source, preset.folder)


def find_data() -> Path:
    """The data folder: DREAMPAINT_DATA, or the repository's ``data/`` around the package or working folder.

    Raises:
        InputError: when there is none.
    """
    named = os.environ.get("DREAMPAINT_DATA")
    if named:
        if not Path(named).is_dir():
            raise InputError(
                f"DREAMPAINT_DATA names {named!r}, which is not a folder: set it to a data folder."
            )
        return Path(named).resolve()
    for start in (Path(__file__).resolve(), Path.cwd() / "x"):
        for parent in start.parents:
            if (parent / "data" / "tiny").is_dir() or (parent / "data" / "catalog").is_dir():
                return parent / "data"
    raise InputError(
        "The data folder was not found: work in a checkout of the repository, "
        "or set DREAMPAINT_DATA to its data/."
    )


def _place(source: str, folder: Path) -> str:
    """A source as from_pretrained takes it. ``data/...`` and ``./...`` are folders, all else is a Hub id."""
    if source.startswith("data/"):
        path = find_data() / source.removeprefix("data/")
    elif source.startswith(("./", "../", "/", "~")):
        path = folder / Path(source).expanduser()
    else:
        return source
    if not path.is_dir():
        raise InputError(
            f"The model folder {path} is missing: check out the whole repository, or run `make tiny`."
        )
    return str(path)


def _check(preset: Preset, path: Path) -> None:
    """Check the values that a type cannot."""
    train, painting, segment = preset.finetune, preset.inpaint, preset.segment
    counts = (train.steps, train.batch_size, train.views, train.masks_per_view)
    smallest, largest = train.augment_scale
    precision, mixture = train.mixed_precision, preset.masks
    shares = (mixture.rectangle, mixture.ellipse, mixture.object, mixture.full)
    checks = {
        "resolution must be a positive multiple of 8": preset.resolution > 0 and preset.resolution % 8 == 0,
        "token must be one word": len(preset.token.split()) == 1,
        "models.inpainting must name at least one source": bool(preset.models.inpainting),
        "segment.threshold must lie between 0 and 1": 0 < segment.threshold < 1,
        "segment.prompts must name at least one prompt": bool(segment.prompts),
        "the shares of [masks] must not be negative, and not all 0": min(shares) >= 0 < sum(shares),
        "masks.around must lie between 0 and 1": 0 <= mixture.around <= 1,
        "finetune.steps, batch_size, views and masks_per_view must be at least 1": min(counts) >= 1,
        "finetune.learning_rate must be positive": train.learning_rate > 0,
        "finetune.optimizer must be adamw8bit or adamw": train.optimizer in ("adamw8bit", "adamw"),
        "mixed_precision must be auto, no, fp16 or bf16": precision in ("auto", "no", "fp16", "bf16"),
        "finetune.save_dtype must be float16 or float32": train.save_dtype in ("float16", "float32"),
        "finetune.prompt_dropout must lie between 0 and 1": 0 <= train.prompt_dropout < 1,
        "finetune.augment_scale must be two shares, the smaller first": 0.1 <= smallest <= largest <= 1,
        "finetune.augment_shift must lie between 0 and 1": 0 <= train.augment_shift <= 1,
        "inpaint.strength must lie between 0 (not included) and 1": 0 < painting.strength <= 1,
        # At 1 DDIM takes the root of a rounding error below zero if its last timestep holds noise alone: diffusers#5969.
        "inpaint.eta must lie between 0 and 1 (1 not included)": 0 <= painting.eta < 1,
        "inpaint.num_inference_steps must be at least 1": painting.num_inference_steps >= 1,
        "inpaint.crop_scale must be at least 1": painting.crop_scale >= 1,
    }
    for rule, holds in checks.items():
        if not holds:
            raise InputError(f"{path}: {rule}.")
