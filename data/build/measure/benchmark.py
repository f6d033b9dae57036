"""Three methods on every pair of data/benchmark, against the true picture: the part `benchmark` of measure.py.

DreamPaint, Paint by Example and text-guided inpainting (the product's title as prompt, section 4.2 of the paper) paint
the same square of the same photo under the same mask from the same seeds. Differences are paired by item: an item's
pairs and seeds are averaged first, since they share a fine-tune, and the 95 % intervals come from a bootstrap over the
items.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from dp_helpers import catalog, files, inpaint, masks, presets, segment, squares
from dp_helpers.evaluation import metrics

from .gallery import ROOT, kept_run

METHODS = ("dreampaint", "pbe", "title")
SIDE = 192


def preset_of(tiny: Path) -> presets.Preset:
    """Return the preset tiny, with the models of another folder if one is given; the gallery's runs serve here, too."""
    preset = presets.load("tiny")
    if tiny.resolve() == files.find_data() / "tiny":
        return preset
    models = {
        field.name: (str(tiny.resolve() / Path(getattr(preset.models, field.name)[0]).name.replace("_", "-")),)
        for field in dataclasses.fields(preset.models)
    }
    return dataclasses.replace(preset, models=presets.Models(**models))


def example_of(item: catalog.Item, preset: presets.Preset) -> Image.Image:
    """Return the example for Paint by Example: the square around the item on its second photo, seen from the front."""
    mask = segment.object_masks(item, preset)[1]
    return squares.cut(item.photos[1], squares.square_around(mask.getbbox(), mask.size, 1.15))


def paint_by_example(
    pipe, photo: Image.Image, mask: Image.Image, example: Image.Image, preset, seed: int
) -> Image.Image:
    """Paint as a painter does, with an example instead of a prompt: same square, settings, paste-back and feather."""
    settings, side = preset.inpaint, preset.resolution
    box = squares.square_around(mask.getbbox(), photo.size, settings.crop_scale)
    painted = pipe(
        pipe.feature_extractor(images=[example], return_tensors="pt").pixel_values,
        squares.cut(photo, box).resize((side, side), Image.LANCZOS),
        masks.snap(squares.cut(mask, box, outside=0), side, pipe.vae_scale_factor),
        num_inference_steps=settings.num_inference_steps,
        guidance_scale=settings.guidance_scale,
        eta=settings.eta,
        generator=torch.Generator().manual_seed(seed),
    ).images[0]
    return squares.paste_back(photo, painted, masks.feather(mask, settings.feather * (box[2] - box[0])), box)


def color_difference(image: Image.Image, truth: Image.Image, where: Image.Image) -> float:
    """Return the mean CIEDE2000 over the item's pixels of the true picture."""
    inside = np.asarray(where) > 127
    return float(deltaE_ciede2000(*(rgb2lab(np.asarray(im)[inside] / 255.0) for im in (image, truth))).mean())


def interval(differences: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of one difference for each item."""
    means = differences[rng.integers(len(differences), size=(10_000, len(differences)))].mean(1)
    return tuple(np.percentile(means, (2.5, 97.5)))


def measure_benchmark(args, load_pbe) -> dict:
    """Return mean CLIP score and colour difference of each method, and intervals; write `measure-benchmark.png`."""
    preset, rows, pictures = preset_of(args.tiny), [], []
    text, example = inpaint.load_painter(preset), load_pbe(args.tiny / "paint-by-example")
    for pipe in (text.pipe, example):
        pipe.set_progress_bar_config(disable=True)
    for folder in sorted((ROOT / "data/benchmark").iterdir()):
        pair = json.loads((folder / "pair.json").read_text())
        item = catalog.load_item(ROOT / "data/catalog" / pair["item"])
        context = catalog.load_context(ROOT / "data/contexts" / pair["context"])
        truth, where = Image.open(folder / "truth.png").convert("RGB"), Image.open(folder / "mask.png")
        photo, mask = context.photo, context.masks["rectangle"]
        own, shown = inpaint.load_painter(preset, kept_run(item, preset, args.seed)), example_of(item, preset)
        own.pipe.set_progress_bar_config(disable=True)
        for seed in range(args.seed, args.seed + args.benchmark_seeds):
            painted = [
                own(photo, mask, seed=seed).image,
                paint_by_example(example, photo, mask, shown, preset, seed),
                text(photo, mask, seed=seed, prompt=item.title).image,
            ]
            rows += [
                {
                    "item": item.name,
                    "method": method,
                    "clip_score": metrics.clip_score(image, item.photos, mask, preset),
                    "ciede2000": color_difference(image, truth, where),
                }
                for method, image in zip(METHODS, painted, strict=True)
            ]
        tiles = [item.photos[1], truth, *painted]
        pictures.append(np.hstack([np.asarray(tile.convert("RGB").resize((SIDE, SIDE))) for tile in tiles]))
        Image.fromarray(np.vstack(pictures)).save(args.work / "measure-benchmark.png")
        print(
            f"benchmark: {folder.name} {json.dumps({r['method']: round(r['clip_score'], 3) for r in rows[-3:]})}",
            flush=True,
        )
    counts = {"benchmark_pairs": len(pictures), "benchmark_seeds": args.benchmark_seeds}
    return summary(rows, np.random.default_rng(args.seed)) | counts


def summary(rows: list[dict], rng: np.random.Generator) -> dict:
    """Return means over items, and the intervals of the paired differences between the three methods."""
    items, found, means = sorted({row["item"] for row in rows}), {}, {}
    for figure in ("clip_score", "ciede2000"):
        for method in METHODS:
            chosen = [[r[figure] for r in rows if r["item"] == item and r["method"] == method] for item in items]
            means[figure, method] = np.array([np.mean(values) for values in chosen])
            found[f"benchmark_{method}_{figure}"] = means[figure, method].mean()
        for better, worse in (("dreampaint", "pbe"), ("pbe", "title"), ("dreampaint", "title")):
            ends = interval(means[figure, better] - means[figure, worse], rng)
            name = f"benchmark_{better}_minus_{worse}_{figure}"
            found |= {f"{name}_low": ends[0], f"{name}_high": ends[1]}
    return found
