"""Try to fool the metrics: `python -m data.build.measure.fool`, ten minutes on one core.

Each metric measures the true pictures of the benchmark, and pictures made from them with one known fault. A good metric
prefers the true picture. The table says in how many cases it does, and what the fake scores on average. DreamPaint's
mean stands next to it: a fake that scores better than DreamPaint shows what the metric does not ask for.

The near-twins are fresh. `similarity` was chosen on the twins of data/benchmark, so those cannot confirm it. The fresh
ones have other details, and they stand in other scenes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps
from tqdm import tqdm

from dp_helpers import course, presets
from dp_helpers.evaluation import benchmark, retrieval, statistics
from dp_helpers.evaluation.columns import METRICS
from dp_helpers.evaluation.pairs import Pair, load_gallery_items, load_pairs
from dp_helpers.evaluation.rows import commit, read_rows
from dp_helpers.files import check_can_write, whole_file

from ..render import products
from ..render.items import ITEMS
from ..render.products import COLORS

TEXT = """# What fools each metric

Command: `python -m data.build.measure.fool`. Commit {commit}.

Each cell has the mean over items, then in how many cases the true picture gets a better value than the fake. The fakes
are made from the true picture under the mask. DreamPaint's mean is that of `evaluate/`, and a fake that comes nearer to
the true picture than DreamPaint shows what the metric does not ask for. The fresh twins have other details than the
twins of the benchmark, and they stand in other scenes.

{table}"""
DATA = Path(__file__).resolve().parents[3] / "data"
LEFT_OUT = ("reciprocal_rank", "top1", "outside_max_change")  # the first two say what the rank says
BLUR, MOVE, TILES = 0.05, 0.1, 4  # shares of the longer side of the mask's box; tiles a side

# Written down before anything was measured. The entries are those of `make_twins.TWINS`.
FRESH = {
    "harlequin-armchair": [{"paint": {"leg1": COLORS["green"]}}, {"paint": {"left": COLORS["purple"]}}],
    "admiral-sofa": [{"emblem": ["star", COLORS["yellow"]]}, {"paint": {"right": COLORS["red"]}}],
    "sunny-chair": [{"paint": {"leg0": COLORS["teal"]}}, {"paint": {"seat": COLORS["red"]}}],
    "clover-table": [
        {"paint": {"leg1": COLORS["white"]}},
        {"paint": {"leg1": COLORS["white"], "leg3": COLORS["orange"]}},
    ],
    "lantern-lamp": [{"emblem": ["heart", COLORS["red"]]}, {"paint": {"base": COLORS["blue"]}}],
    "lagoon-vase": [
        {"paint": {"right": COLORS["green"]}},
        {"paint": {"left": COLORS["yellow"], "right": COLORS["red"]}},
    ],
    "sweetheart-mug": [{"emblem": ["heart", COLORS["blue"]]}, {"paint": {"right": COLORS["red"]}}],
    "bumblebee-mug": [{"paint": {"right": COLORS["orange"]}}, {"color2": "blue", "shade2": COLORS["blue"]}],
    "trio-wall-art": [
        {"paint": {"right": COLORS["green"]}},
        {"paint": {"top": COLORS["blue"], "right": COLORS["yellow"]}},
    ],
    "polaris-wall-art": [{"emblem": ["cross", COLORS["orange"]]}, {"emblem": ["star", COLORS["yellow"]]}],
    "captain-t-shirt": [{"paint": {"left": COLORS["green"]}}, {"color": "red", "shade": COLORS["red"]}],
    "signal-t-shirt": [{"emblem": ["star", COLORS["white"]]}, {"paint": {"right": COLORS["yellow"]}}],
}


def fakes(pair: Pair, rng: np.random.Generator) -> dict[str, Image.Image]:
    """Return pictures with one fault each, made from the true picture under the mask alone."""
    true, (left, top, right, bottom) = pair.truth, pair.mask.getbbox()
    size, side = (right - left, bottom - top), max(right - left, bottom - top)
    mean = np.asarray(true)[np.asarray(pair.item_mask) > 127].mean(axis=0).round().astype(int)
    crop, shuffled = true.crop(pair.mask.getbbox()), true.copy()
    xs, ys = (np.linspace(0, length, TILES + 1).astype(int) for length in size)
    cells = [(x, y) for y in range(TILES) for x in range(TILES)]
    for (x, y), (to_x, to_y) in zip(cells, rng.permutation(cells), strict=True):
        tile = crop.crop((xs[x], ys[y], xs[x + 1], ys[y + 1]))
        room = int(xs[to_x + 1] - xs[to_x]), int(ys[to_y + 1] - ys[to_y])
        shuffled.paste(tile.resize(room), (int(left + xs[to_x]), int(top + ys[to_y])))
    moved = ImageChops.offset(true, round(MOVE * side), 0)
    outline = ImageChops.offset(pair.item_mask, round(MOVE * side), 0)
    made = {
        "blurred": true.filter(ImageFilter.GaussianBlur(BLUR * side)),
        "without colour": Image.composite(ImageOps.grayscale(true).convert("RGB"), true, pair.item_mask),
        "its outline in its mean colour": Image.composite(
            Image.new("RGB", true.size, tuple(map(int, mean))), true, pair.item_mask
        ),
        "tiles shuffled": shuffled,
        "moved aside": Image.composite(moved, pair.context.photo, outline),
    }
    return {name: Image.composite(picture, true, pair.mask) for name, picture in made.items()}


def same_class(pair: Pair, pairs: list[Pair]) -> dict[str, Image.Image]:
    """Return the true picture of another item of the same class in the same scene, where there is one."""
    others = [one for one in pairs if one.context.name == pair.context.name and one.item.name != pair.item.name]
    found = [one.truth for one in others if one.item.class_noun == pair.item.class_noun]
    return {"another of its class": found[0]} if found else {}


def fresh_twins(pair: Pair) -> dict[str, Image.Image]:
    """Render the fresh twins of an item into the scene of a pair, without those whose change is out of sight."""
    from ..render.make_catalog import CONTEXTS, SAMPLES, SIZE, setting_of  # these need the renderer
    from ..render.make_twins import twin_spec

    spec = next(item["spec"] for item in ITEMS if item["name"] == pair.item.name)
    setting, body, _ = setting_of(next(context for context in CONTEXTS if context[0] == pair.context.name))
    made = {}
    for number, changes in enumerate(FRESH[pair.item.name], 1):
        picture = Image.fromarray(setting.photo(products.build(twin_spec(spec, changes)), SIZE, SAMPLES, body))
        change = ImageChops.difference(picture, pair.truth).convert("L").point(lambda level: 255 * (level > 24))
        if ImageChops.darker(change, pair.item_mask).getbbox():
            made[f"fresh twin {number}"] = picture
    return made


def pictures(pairs: list[Pair]) -> Iterator[tuple[Pair, str, Image.Image]]:
    """Yield pair, name and picture. Fresh twins are in the last scene of an item, the committed ones in the first."""
    rng, last = np.random.default_rng(0), {pair.item.name: pair.name for pair in pairs}
    for pair in pairs:
        twins = fresh_twins(pair) if last[pair.item.name] == pair.name else {}
        for name, picture in ({"true": pair.truth} | fakes(pair, rng) | same_class(pair, pairs) | twins).items():
            yield pair, name, picture


def table(rows: list[dict], painted: list[dict]) -> list[dict[str, str]]:
    """Return a line for each metric: means over items, and in how many cases the true picture is better."""
    kinds = list(dict.fromkeys(row["painter"].rstrip(" 12") for row in rows if row["painter"] != "true"))
    lines = []
    for metric, better in METRICS.items():
        if metric in LEFT_OUT:
            continue
        line = {"metric": f"{metric} ({better})"}
        line["true picture"] = f"{statistics.mean(rows, 'true', metric).mean:.2f}"
        line["DreamPaint"] = f"{statistics.mean(painted, 'dreampaint', metric).mean:.2f}"
        for kind in kinds:
            won, cases = statistics.wins(rows, metric, better, "true", kind)
            of_kind = [row | {"painter": kind} for row in rows if row["painter"].startswith(kind)]
            line[kind] = f"{statistics.mean(of_kind, kind, metric).mean:.2f}; {won} of {cases}"
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", nargs="*", help="default: all of the benchmark")
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--out", type=Path, default=DATA / "results" / "metrics.md")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures, to look at them")
    args = parser.parse_args()
    out = check_can_write(args.out, suffix=".md")
    course.quiet()
    preset, pairs, rows = presets.load(args.preset), load_pairs(DATA, args.items), []
    gallery = retrieval.make_gallery(load_gallery_items(DATA), preset)
    for pair, name, picture in tqdm(pictures(pairs), desc="measure", unit="picture"):
        about = {"item": pair.item.name, "pair": pair.name, "painter": name, "seed": 0}
        rows.append(about | benchmark.measure(picture, pair, gallery, preset))
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
            picture.save(args.pictures / f"{pair.name}--{name}.png")
    text = TEXT.format(
        commit=commit(), table=statistics.to_markdown(table(rows, read_rows(DATA / "results" / "evaluate")))
    )
    with whole_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main()
