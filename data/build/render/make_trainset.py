"""Render the pictures that the tiny family learns from: `python -m data.build.render.make_trainset [--sets train]
[--shards N]`

Each shard holds 30 random products, each once on white and twice in settings: 90 pictures of 128 x 128 with product
mask and record (see `record`). From training shard 90 on the products are decorated as catalogue items are
(`products.decorate`). `heldout` and `heldout-decorated` are rendered in the same way from other seeds. Shards are
written whole and never rewritten, so a killed run goes on where it stopped. A shard depends on its number and its set's
seed alone.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np

from . import products

WORK = Path(__file__).resolve().parents[1] / "work"
SIZE, SAMPLES, PRODUCTS = 128, 9, 30
# name: number of shards, seed, first shard with decorated products
SETS = {"heldout": (5, 2, 5), "heldout-decorated": (5, 3, 0), "train": (150, 1, 90)}
PHRASE = {"room": "in a room", "wall": "on a wall", "desk": "on a desk", "mannequin": "on a mannequin"}


def record(spec: dict, kind: str, mask: np.ndarray, product: int, setting) -> dict:
    """Return what is known of a picture: the product's spec, colours, box, turn and setting, and the camera's angle."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    where = "on a white background" if kind == "catalog" else PHRASE[products.WHERE[spec["class_noun"]]]
    left, away = (setting.target - setting.origin)[:2]
    return {
        "caption": f"a photo of a {products.describe(spec)} {where}",
        "class_noun": spec["class_noun"],
        "color": spec["color"],
        "color2": spec["color2"] if spec["pattern"] != "plain" else None,
        "pattern": spec["pattern"],
        "decorated": products.decorated(spec),
        "kind": kind,
        "box": [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1],
        "product": product,
        "spec": spec,
        "turn": float(np.degrees(setting.turn)),
        "camera": float(np.degrees(np.arctan2(left, away))),
        "setting": setting.kind,
    }


def pictures(rng, product: int, decorated: bool):
    """Yield (picture, mask, record) three times for one random product."""
    from . import scenes  # imports the renderer, which the other recipes do without

    spec = products.random_spec(rng)
    if decorated:
        spec = products.decorate(spec, rng)
    noun = spec["class_noun"]
    thing = products.build(spec)
    for kind in ("catalog", "scene", "scene"):
        for _ in range(5):
            body = scenes.shirt_body(rng) if noun == "t-shirt" else []
            if kind == "catalog":
                span = 25 if noun == "wall art" else 70
                setting = scenes.sweep(rng, thing.size, rng.uniform(-span, span), noun == "t-shirt", noun == "wall art")
            else:
                setting = scenes.around(rng, noun, thing.size)
            mask = setting.mask(thing, SIZE, body)
            if (mask > 0).mean() > 0.02:
                break
        yield setting.photo(thing, SIZE, SAMPLES, body), mask, record(spec, kind, mask, product, setting)


def make_shard(folder: Path, number: int, seed: int, decorated: bool) -> None:
    """Render shard `number` of a folder unless it exists."""
    path = folder / f"shard-{number:05d}.npz"
    if path.exists():
        return
    rngs = (np.random.default_rng([seed, number, i]) for i in range(PRODUCTS))
    rows = [row for i, rng in enumerate(rngs) for row in pictures(rng, number * PRODUCTS + i, decorated)]
    images, masks, records = zip(*rows, strict=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, image=np.stack(images), mask=np.stack(masks), meta=np.array(json.dumps(records)))
    os.replace(part, path)


def _work(number: int, queue) -> None:
    os.sched_setaffinity(0, {number % os.cpu_count()})  # one core a worker; the renderer's threads share it
    while (job := queue.get()) is not None:
        make_shard(*job)
        print(f"{job[0].name} {job[1]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS), help="comma-separated part of %(default)s")
    parser.add_argument("--shards", type=int, default=SETS["train"][0], help="training shards (default %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=WORK, help="folder of the sets")
    args = parser.parse_args()
    if unknown := set(args.sets.split(",")) - set(SETS):
        parser.error(f"unknown set: {', '.join(sorted(unknown))}")
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for name in args.sets.split(","):
        count, seed, decorated_from = SETS[name]
        (args.out / name).mkdir(parents=True, exist_ok=True)
        for number in range(args.shards if name == "train" else count):
            queue.put((args.out / name, number, seed, number >= decorated_from))
    workers = [context.Process(target=_work, args=(i, queue)) for i in range(args.workers)]
    for worker in workers:
        queue.put(None)
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a worker stopped early; run the command again to go on")


if __name__ == "__main__":
    main()
