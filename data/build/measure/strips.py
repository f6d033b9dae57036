"""One picture of the main job for every catalogue item: `python -m data.build.measure.strips [ITEM ...] [--out FILE]`

Each strip: a reference, the photo with its mask, DreamPaint's result, the true picture. Beside it is said which item of the
whole catalogue CLIP takes the result for. Fine-tunes are kept under runs/strips/ and not made again, so that a killed run goes
on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from dp_helpers import catalog, evaluate, finetune, inpaint, plots, presets, segment
from dp_helpers.runs import FineTuned

ROOT = Path(__file__).resolve().parents[3]
SIDE = 256


def fine_tuned(item: catalog.Item, preset: presets.Preset, seed: int) -> FineTuned:
    """The fine-tune kept under runs/strips/ if it was made with these numbers, or a new one."""
    shapes = segment.object_masks(item.photos, item.class_noun, preset, own_masks=item.own_masks)
    return finetune.load_or_finetune(item, shapes, preset, ROOT / "runs/strips" / item.name, seed=seed)


def strip(name: str, items: dict[str, catalog.Item], preset: presets.Preset, seed: int) -> tuple[Image.Image, str]:
    """One item in the first of its benchmark contexts: the strip, (4 x 256) x 256 pixels, and the item most like the result."""
    item = items[name]
    pair = sorted((ROOT / "data/benchmark").glob(f"{name}--*"))[0]
    context = catalog.load_context(ROOT / "data/contexts" / json.loads((pair / "pair.json").read_text())["context"])
    tuned, mask = fine_tuned(item, preset, seed), context.masks["rectangle"]
    pipe = inpaint.load_pipeline(preset, tuned)
    result = inpaint.inpaint(pipe, context.photo, mask, tuned.prompt, preset=preset, seed=seed)
    tiles = [item.photos[1], plots.overlay(context.photo, mask), result.image, Image.open(pair / "truth.png")]
    scores = {other: evaluate.clip_score(result.image, items[other].photos, mask, preset) for other in items}
    picture = Image.fromarray(np.hstack([np.asarray(tile.convert("RGB").resize((SIDE, SIDE))) for tile in tiles]))
    return picture, max(scores, key=scores.get)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", nargs="*", help="default: all of data/catalog")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "out/strips.png")
    args = parser.parse_args()
    folders = sorted(path for path in (ROOT / "data/catalog").iterdir() if path.name[0] != ".")
    items = {path.name: catalog.load_item(path) for path in folders}
    preset, strips, known = presets.load(args.preset), [], 0
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for name in args.items or items:
        picture, taken_for = strip(name, items, preset, args.seed)
        strips.append(np.asarray(picture))
        Image.fromarray(np.vstack(strips)).save(args.out)
        known += taken_for == name
        print(f"{name}: {args.out}, taken for {taken_for}", flush=True)
    print(f"{known} of {len(strips)} results are nearest to their own item")


if __name__ == "__main__":
    main()
