"""One picture of the main job for every catalogue item: `python data/build/strips.py [ITEM ...] [--out FILE]`

Each strip: a reference, the photo with its mask, DreamPaint's result, the true picture. Fine-tunes are kept under runs/strips/
and not made again, so that a killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from dp_helpers import catalog, finetune, inpaint, plots, presets, segment

ROOT = Path(__file__).resolve().parent.parent.parent
SIDE = 256


def strip(name: str, preset: presets.Preset, seed: int) -> Image.Image:
    """The strip of one item in the first of its benchmark contexts, (4 x 256) x 256 pixels."""
    item = catalog.load_item(ROOT / "data/catalog" / name)
    pair = sorted((ROOT / "data/benchmark").glob(f"{name}--*"))[0]
    context = catalog.load_context(ROOT / "data/contexts" / json.loads((pair / "pair.json").read_text())["context"])
    run = ROOT / "runs/strips" / name
    if not run.exists():
        shapes = segment.object_masks(item.photos, item.class_noun, preset, own_masks=item.own_masks)
        finetune.finetune(item, shapes, preset, seed=seed, output_dir=run)
    tuned, mask = finetune.load_run(run), context.masks["rectangle"]
    pipe = inpaint.load_pipeline(preset, tuned)
    result = inpaint.inpaint(pipe, context.photo, mask, tuned.prompt, preset=preset, seed=seed)
    tiles = [item.photos[1], plots.overlay(context.photo, mask), result.image, Image.open(pair / "truth.png")]
    return Image.fromarray(np.hstack([np.asarray(tile.convert("RGB").resize((SIDE, SIDE))) for tile in tiles]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", nargs="*", help="default: all of data/catalog")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "out/strips.png")
    args = parser.parse_args()
    preset, strips = presets.load(args.preset), []
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for name in args.items or sorted(path.name for path in (ROOT / "data/catalog").iterdir() if path.name[0] != "."):
        strips.append(np.asarray(strip(name, preset, args.seed)))
        Image.fromarray(np.vstack(strips)).save(args.out)
        print(f"{name}: {args.out}", flush=True)


if __name__ == "__main__":
    main()
