"""Ablations as data: named changes of the preset or of the painter, read from ablations.toml. No torch is needed."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import presets, tables
from ..errors import InputError
from ..presets import Preset
from .columns import METRICS

FILE = Path(__file__).parents[1] / "ablations.toml"


@dataclass(frozen=True)
class Level:
    """One form of the method: what differs from the preset and from its painter. By default nothing does."""

    finetune: dict = field(default_factory=dict)  # settings of the preset, as `presets.change` takes them
    masks: dict = field(default_factory=dict)
    inpaint: dict = field(default_factory=dict)
    prompt: str = "{prompt}"  # also {token}, {class_noun}, {title} and the entries of item.json
    class_noun: str | None = None
    photos: int | None = None  # fine-tune on so many of the item's photos
    mask: str | None = None  # the name of another mask of the context
    mask_scale: float = 1.0  # scales the mask about its centre
    base: bool = False  # the base model, without fine-tuning
    start: int | None = None  # start from a paste-in of the item's photo with this index
    paint: bool = True  # False: leave that paste-in as it is

    def preset(self, preset: Preset) -> Preset:
        """Return the preset with this level's changes."""
        return presets.change(preset, finetune=self.finetune, masks=self.masks, inpaint=self.inpaint)


@dataclass(frozen=True)
class Claim:
    """A sentence that the rows can support or contradict: by ``metric``, one level is better than another."""

    says: str
    better: str
    worse: str
    metric: str = "similarity"
    by: str = "the paper"


@dataclass(frozen=True)
class Ablation:
    """A question, its levels, and what is claimed about them. The first claim's metric is the one to draw."""

    name: str
    question: str
    axis: str  # what the levels are levels of
    levels: dict[str, Level]
    claims: tuple[Claim, ...]
    items: tuple[str, ...] = ()  # none: all items of the benchmark
    pairs: int = 1  # so many pairs of each item
    seeds: int = 2  # so many paintings of each pair
    note: str = ""  # what a reader of the report must know

    @property
    def metric(self) -> str:
        """Return the metric to draw."""
        return self.claims[0].metric


def load(path: str | Path = FILE) -> dict[str, Ablation]:
    """Read all ablations of a TOML file, by name.

    Raises:
        InputError: the file cannot be read; a key or a value in it is wrong.
    """
    try:
        text = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a TOML file ({error}): name another one.") from error
    found = {}
    for name, table in text.items():
        where = f"{path}, [{name}]: "
        if not isinstance(table, dict):
            raise InputError(f"{where}{table!r} is not a table: write the ablation below a line [{name}].")
        found[name] = _checked(tables.build(Ablation, {"name": name} | table, where), where)
    return found


def choose(names: Sequence[str] = (), path: str | Path = FILE) -> list[Ablation]:
    """Return the named ablations, or all of them, in the order of the file.

    Raises:
        InputError: there is no ablation of that name, or the file is wrong.
    """
    known = load(path)
    for name in names:
        if name not in known:
            raise InputError(f"There is no ablation {name!r}: name some of {', '.join(known)}.")
    return [ablation for name, ablation in known.items() if not names or name in names]


def check(ablation: Ablation, preset: Preset) -> None:
    """Check that the preset has every setting that the levels change.

    Raises:
        InputError: a setting is unknown or out of range.
    """
    for name, level in ablation.levels.items():
        try:
            level.preset(preset)
        except InputError as error:
            raise InputError(f"The level {name!r} of the ablation {ablation.name} does not fit: {error}") from error


def _checked(ablation: Ablation, where: str) -> Ablation:
    """Return the ablation after checking what its types do not check."""
    if not ablation.levels or not ablation.claims:
        raise InputError(f"{where}there are no {'claims' if ablation.levels else 'levels'}: give at least one.")
    for claim in ablation.claims:
        for level in (claim.better, claim.worse):
            if level not in ablation.levels:
                raise InputError(f"{where}a claim names {level!r}; the levels are {', '.join(ablation.levels)}.")
        if METRICS.get(claim.metric) not in ("higher", "lower"):
            directed = [name for name, better in METRICS.items() if better in ("higher", "lower")]
            raise InputError(f"{where}a claim's metric is {claim.metric!r}; accepted are {', '.join(directed)}.")
    counts = {"pairs": ablation.pairs, "seeds": ablation.seeds}
    for name, level in ablation.levels.items():
        counts |= {f"levels.{name}.photos": 1 if level.photos is None else level.photos}
        if level.start is not None and level.start < 0:
            raise InputError(f"{where}levels.{name}.start is {level.start}, but must be at least 0.")
        if not level.paint and level.start is None:
            raise InputError(f"{where}levels.{name} paints nothing: give a start, the index of the photo to paste.")
        if level.mask_scale <= 0:
            raise InputError(f"{where}levels.{name}.mask_scale is {level.mask_scale}, but must be greater than 0.")
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"{where}{name} is {count}, but must be at least 1.")
    return ablation
