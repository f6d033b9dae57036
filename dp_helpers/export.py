"""A run for other programs: a whole pipeline in fp16, one file for ComfyUI and A1111, a model card, the Hub.

A run's folder holds what was trained, and the base model is needed next to it. An export needs nothing else. LoRA
matrices are merged into the weights, and their file goes along in both namings.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path, PureWindowsPath
from typing import Any

import torch
from diffusers.utils import convert_state_dict_to_kohya
from huggingface_hub import HfApi, ModelCard, ModelCardData
from huggingface_hub.utils import HFValidationError, validate_repo_id
from safetensors.torch import save_file

from . import models, presets, single_file, sources
from .errors import InputError
from .files import check_can_write, is_of_system, recover, whole_folder
from .presets import Preset
from .runs import Run
from .training import lora

KOHYA_FILE = "lora_kohya.safetensors"
MARK = "made_with: dp_helpers"  # a line of the card's front matter: this folder is an export, and may be replaced
USAGE = """
```python
import torch
from diffusers import StableDiffusionInpaintPipeline

pipe = StableDiffusionInpaintPipeline.from_pretrained("{place}", torch_dtype=torch.float16).to("cuda")
image = pipe({prompt!r}, image=photo, mask_image=mask, guidance_scale={guidance_scale}).images[0]
```

`photo` is a square RGB picture of {resolution} x {resolution} pixels, and `mask` is white where it is to be repainted.
"""


def export(
    run: Run,
    preset: Preset,
    folder: str | Path,
    *,
    lora_scale: float = 1.0,
    one_file: bool = True,
    place: str | None = None,
) -> Path:
    """Write a run as a whole pipeline in fp16, with a model card.

    Args:
        run: of full weights or LoRA.
        preset: the base model, and the settings to recommend.
        folder: to write to; an older export in it is replaced.
        lora_scale: how strongly a LoRA is merged.
        one_file: also write one file under the original names, and check it by loading it back.
        place: where others will find it, for the card: "user/name" on the Hub. None: the folder's name.

    Raises:
        InputError: the folder holds something else, the preset has another base model than the run, there is no LoRA to
            scale, or one file cannot express this model.
    """
    folder = check_export_folder(folder)
    sources.check_base(preset, run.record)
    presets.change(preset, inpaint={"lora_scale": lora_scale})  # refuses what is no scale
    if lora_scale != 1 and not run.lora:
        raise InputError("This run has no LoRA to scale: leave lora_scale at 1, or fine-tune with lora_rank.")
    # Copies, because the pipeline casts its modules in place, and a painter may have those of the run.
    pipe = models.load_pipeline(preset, device="cpu", **copy.deepcopy(run.modules))
    if run.lora:
        lora.merge(pipe, run.lora, lora_scale)
    pipe = pipe.to(torch.float16)
    with whole_folder(folder, replace=True) as temporary:
        pipe.save_pretrained(temporary, safe_serialization=True)
        if one_file:
            single_file.check(single_file.save(pipe, temporary / f"{folder.name}.safetensors"), temporary)
        if run.lora:
            save_file(run.lora, temporary / lora.FILE, metadata={"format": "pt"})
            save_file(kohya_names(run.lora), temporary / KOHYA_FILE, metadata={"format": "pt"})
        card(run, preset, place or folder.name).save(temporary / "README.md")
        _forget_paths(temporary)
    return folder


def check_export_folder(folder: str | Path) -> Path:
    """Return ``folder`` as a Path if an export can be written there.

    Raises:
        InputError: it cannot be written, or holds something else than an older export with its `MARK`.
    """
    folder = check_can_write(folder)
    recover(folder)
    if not folder.is_dir() or all(is_of_system(path.name) for path in folder.iterdir()):
        return folder
    if not (folder / "model_index.json").is_file():
        raise InputError(f"{folder} holds other things than an exported pipeline: name a new folder.")
    told = folder / "README.md"
    text = told.read_text(encoding="utf-8", errors="replace") if told.is_file() else ""
    if MARK not in text.partition("\n---")[0].splitlines():
        raise InputError(
            f"{folder} holds a pipeline, but its README.md does not say that `export` made it: name a new folder, or "
            "remove that one."
        )
    return folder


def kohya_names(matrices: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the matrices of a LoRA file under the names that ComfyUI and A1111 know."""
    # The library's own prefix is that of the first of two text encoders, as Stable Diffusion XL has them.
    return convert_state_dict_to_kohya(
        {name.replace("text_encoder.", "lora_te.", 1): value for name, value in matrices.items()}
    )


def card(run: Run, preset: Preset, place: str) -> ModelCard:
    """Write the model card: what it is, how to use it, every setting, and the base model's licence."""
    record, item, licence = run.record, run.record["item"], _licence(preset)
    base, public = _base(run, preset)
    data = ModelCardData(
        license=licence,
        base_model=base if public else None,
        library_name="diffusers",
        pipeline_tag="image-to-image",
        tags=["inpainting", "stable-diffusion", "dreambooth", *(["lora"] if run.lora else [])],
        instance_prompt=run.prompt,
        made_with="dp_helpers",  # the MARK
    )
    title = item["title"] or run.record["class_noun"]
    usage = USAGE.format(place=place, prompt=run.prompt, **_used(preset))
    settings = record["preset"]["finetune"]
    text = f"""---
{data.to_yaml()}
---

# {title}, fine-tuned for inpainting

Paints one product, "{title}", into photos. The prompt `{run.prompt}` means this product. It was fine-tuned with
masked DreamBooth ([arXiv 2305.01257](https://arxiv.org/abs/2305.01257)) on {len(item["photos"])} photos.

## Use
{usage}
## Licence

The base model is `{base}`, its licence is `{licence}`. These weights are derived from it, so its terms and
restrictions hold for them, too. The photos of the product have their own rights.

## Limits

The model learned from a few photos: details that they do not show are guesses. Writing and fine patterns may come out
wrong. Look at each picture before you publish it.

## How it was made

{_table({"steps": record["steps"], "seed": record["seed"], "photos": len(item["photos"])} | settings)}

Mean loss of the last 20 steps: {sum(run.losses[-20:]) / len(run.losses[-20:]):.3f}. Versions:
{", ".join(f"{name} {version}" for name, version in record["versions"].items())}.
"""
    return ModelCard(text)


def push(folder: Path, repo_id: str, *, private: bool = True, dry_run: bool = False) -> list[str]:
    """Upload an export to the Hugging Face Hub. Return the names of its files.

    Args:
        folder: the export.
        repo_id: "user/name"; the repository is made if it does not exist.
        private: of a new repository.
        dry_run: upload nothing and reach for nothing.

    Raises:
        InputError: the Hub refused, or you are not logged in.
    """
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if dry_run:
        return files
    api = HfApi()
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Fine-tuned with dp_helpers")
    except Exception as error:  # of the Hub, the network or the login: there are many
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{folder} could not be uploaded to {repo_id} ({reason}): log in with `hf auth login`, check the name and "
            "the connection, and push again."
        ) from error
    return files


def check_repo_id(repo_id: str) -> str:
    """Return a repository's name if it is one.

    Raises:
        InputError: it is not of the form user/name.
    """
    try:
        validate_repo_id(repo_id)
        if "/" not in repo_id:  # the Hub's library takes it, for models from before there were users
            raise HFValidationError("it names no user")
    except HFValidationError as error:
        raise InputError(f"{repo_id!r} is no name of a repository ({error}): give one like user/name.") from error
    return repo_id


def _base(run: Run, preset: Preset) -> tuple[str, bool]:
    """Return the name of the base model that served a run, and whether it is an id on the Hub.

    Others may read it, so of a folder on this machine it is the last part of the path, or the name in data/.
    """
    source = (run.record.get("sources") or {}).get("inpainting") or preset.models.inpainting[0]
    if found := sources.public_id(source, preset):
        return found, True
    path = PureWindowsPath(source)  # it knows both kinds of slashes
    ours = [each for each in preset.models.inpainting if each.startswith("data/") and path.match(each)]
    return (ours or [path.name])[0], False


def _licence(preset: Preset) -> str:
    """Return the licence that a preset states for its base model; "unknown" if the model alone was changed."""
    try:
        own = presets.load(preset.source)
    except InputError:  # its file is gone
        return preset.license
    same = preset.models.inpainting == own.models.inpainting
    return preset.license if same or preset.license != own.license else "unknown"


def _forget_paths(folder: Path) -> None:
    """Remove the paths of this machine, which the library notes, from the configurations in an export."""
    for path in folder.rglob("*.json"):
        if '"_name_or_path"' in (text := path.read_text(encoding="utf-8")):
            kept = json.loads(
                text, object_hook=lambda table: {key: table[key] for key in table if key != "_name_or_path"}
            )
            path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _used(preset: Preset) -> dict[str, Any]:
    return {"guidance_scale": preset.inpaint.guidance_scale, "resolution": preset.resolution}


def _table(values: dict[str, Any]) -> str:
    rows = [f"| `{name}` | {value} |" for name, value in values.items()]
    return "\n".join(["| setting | value |", "|---|---|", *rows])
