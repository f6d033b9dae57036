"""Choose the files of a model that are needed: its configurations, and its weights as safetensors, fp32 or fp16.

Files are listed, not tried. So it is known before anything is read or downloaded whether a model is whole, how large
it is, and which precision there is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# model.fp16-00001-of-00002.safetensors: stem, precision, shard, format
_WEIGHTS = re.compile(r"(?:diffusion_pytorch_|pytorch_)?model(\.fp16)?(?:-\d+-of-(\d+))?\.(safetensors|bin)")
_TEXTS = (".json", ".txt")


def megabytes(size: int) -> str:
    """Return a number of bytes in words: "1,720 MB"."""
    return "less than 1 MB" if 0 < size < 1e6 else f"{size / 1e6:,.0f} MB"


class Unusable(Exception):
    """Raised for a source that cannot be used.

    Attributes:
        why: what is wrong with the source, to follow its name.
        way_out: what the user can do.
        unreachable: the whole Hub does not answer, so other ids can come from the cache alone.
        final: no other source helps, for example because the disk is full.
    """

    def __init__(self, why: str, way_out: str, *, unreachable: bool = False, final: bool = False) -> None:
        super().__init__(f"{why}: {way_out}")
        self.why, self.way_out, self.unreachable, self.final = why, way_out, unreachable, final


OTHER_SOURCE = "name a folder or another id in a preset file of your own"


@dataclass(frozen=True)
class Choice:
    """The needed files of a model, and in which form the weights of its parts are. The part "" is the whole model."""

    files: tuple[str, ...]
    fp16: frozenset[str] = frozenset()
    pickled: frozenset[str] = frozenset()

    def options(self, part: str = "") -> dict[str, Any]:
        """Return how ``from_pretrained`` has to read a part, or the whole model."""
        fp16, pickled = (bool(parts if part == "" else part in parts) for parts in (self.fp16, self.pickled))
        # None: safetensors where there are some, otherwise .bin by the weights-only reader.
        return ({"variant": "fp16"} if fp16 else {}) | {"use_safetensors": None if pickled else True}


def parts_of(model_index: Mapping[str, Any], skip: Collection[str] = ()) -> list[str]:
    """Return the parts that a pipeline's model_index.json names, without those to ``skip``."""
    named = {name: value for name, value in model_index.items() if isinstance(value, list) and any(value)}
    return [name for name in named if name not in skip]


def choose(
    paths: Iterable[str], parts: Iterable[str] = ("",), *, weights: bool = True, allow_bin: bool = False
) -> Choice:
    """Choose the files to read.

    Plain weights are preferred to those in fp16, safetensors to .bin.

    Args:
        paths: all files of the model's folder or repository.
        parts: the subfolders of the parts; "" for a model that is in the folder itself.
        weights: False chooses the configurations alone.
        allow_bin: True takes .bin files where there are no safetensors.

    Raises:
        Unusable: a part is missing, or its weights are.
    """
    folders: dict[str, list[str]] = {}
    for path in paths:
        part, _, name = path.rpartition("/")
        folders.setdefault(part, []).append(name)
    files, fp16, pickled = ["model_index.json"] if "model_index.json" in folders.get("", ()) else [], set(), set()
    for part in parts:
        names = folders.get(part, [])
        chosen = [name for name in names if name.endswith(_TEXTS) and ".index." not in name]
        if not chosen:
            raise Unusable(f"has no configuration{part and ' in ' + part + '/'}", OTHER_SOURCE)
        if weights and "config.json" in names:  # a model; tokenizers, schedulers and processors have none
            form, found = _weights(names, part, allow_bin)
            chosen += found
            fp16 |= {part} if form[0] else set()
            pickled |= {part} if form[1] == "bin" else set()
        files += [f"{part}/{name}" if part else name for name in chosen if part or name != "model_index.json"]
    return Choice(tuple(files), frozenset(fp16), frozenset(pickled))


def _weights(names: Collection[str], part: str, allow_bin: bool) -> tuple[tuple[str, str], list[str]]:
    """Return the form, (precision, format), and the files of a part's weights."""
    forms: dict[tuple[str, str], dict[int, list[str]]] = {}  # form -> number of shards -> files
    for name in names:
        if found := _WEIGHTS.fullmatch(name):
            precision, shards, kind = found.groups(default="")
            forms.setdefault((precision, kind), {}).setdefault(int(shards or 1), []).append(name)
    for form in [(precision, kind) for kind in ("safetensors", "bin") for precision in ("", ".fp16")]:
        if form[1] == "bin" and not allow_bin:
            break
        for shards, found in sorted(forms.get(form, {}).items()):
            if len(found) == shards:
                index = [name for name in names if f".{form[1]}.index{form[0]}.json" in name] if shards > 1 else []
                return form, [*index, *found]
    of_part = f"the weights{part and ' of ' + part}"
    if any(kind == "bin" for _, kind in forms) and not allow_bin:
        raise Unusable(
            f"has {of_part} as .bin files only, not as safetensors",
            "write its id into the list allow_bin of a preset file of your own, and the weights-only reader, which "
            "runs no code, reads them",
        )
    raise Unusable(f"lacks {of_part}", OTHER_SOURCE)
