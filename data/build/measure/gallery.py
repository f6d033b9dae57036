"""Draw one picture of what every catalogue item becomes: `make gallery`, or
`python -m data.build.measure.gallery [ITEM ...] [--out FILE]`.

For each item: a catalogue photo, the place for it in the first of its benchmark photos, DreamPaint's result from noise
and over a paste-in, and the ground truth. The command also says which item of the whole catalogue CLIP takes each
result from noise for. The fine-tunes are those of `evaluate`, kept under runs/ and not made again, so a killed command
goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image

from dp_helpers import baselines, catalog, inpaint, plots, presets, segment
from dp_helpers.evaluation import benchmark, metrics
from dp_helpers.files import check_can_write, whole_file

ROOT = Path(__file__).resolve().parents[3]
LABELS = ("mask", "from noise", "over a paste-in", "ground truth")
ITEMS_IN_A_ROW = 2


def tiles(
    name: str, items: dict[str, catalog.Item], preset: presets.Preset, seed: int
) -> tuple[list[Image.Image], str]:
    """Return the five pictures of an item, and the item that CLIP takes the result from noise for."""
    item = items[name]
    pair = sorted((ROOT / "data/benchmark").glob(f"{name}--*"))[0]
    context = catalog.load_context(ROOT / "data/contexts" / json.loads((pair / "pair.json").read_text())["context"])
    mask = context.masks["rectangle"]
    object_masks = segment.object_masks(item, preset)
    painter = inpaint.load_painter(preset, benchmark.kept_run(item, object_masks, preset, ROOT / "runs"))
    result = painter(context.photo, mask, seed=seed)
    paste = baselines.paste_in(preset, item, object_masks)
    over = benchmark.over_paste(painter, paste)(context.photo, mask, seed=seed)
    scores = {other: metrics.clip_score(result.image, items[other].photos, mask, preset) for other in items}
    marked, truth = plots.overlay(context.photo, mask), Image.open(pair / "truth.png")
    pictures = [item.photos[paste.variants // 2], marked, result.image, over.image, truth]
    return pictures, max(scores, key=scores.get)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", nargs="*", help="default: all of data/catalog")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/gallery.jpg")
    args = parser.parse_args()
    out = check_can_write(args.out, suffix=".jpg")
    items = {path.name: catalog.load_item(path) for path in sorted((ROOT / "data/catalog").glob("[!.]*"))}
    preset, pictures, labels, known = presets.load(args.preset), [], [], 0
    names = args.items or list(items)
    for name in names:
        shown, taken_for = tiles(name, items, preset, args.seed)
        pictures += shown
        labels += [name, *LABELS]
        known += taken_for == name
        print(f"{name}: taken for {taken_for}", flush=True)
    print(f"{known} of {len(names)} results are nearest to their own item")
    figure = plots.image_grid(pictures, labels, columns=(1 + len(LABELS)) * min(ITEMS_IN_A_ROW, len(names)))
    with whole_file(out) as temporary:
        figure.savefig(temporary, dpi=60, facecolor="white", pil_kwargs={"quality": 88})
    print(out)


if __name__ == "__main__":
    main()
