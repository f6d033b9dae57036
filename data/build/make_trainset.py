"""Render the training set of the tiny family: `python data/build/make_trainset.py [--shards N] [--workers N]`.

Each shard holds 30 random products, each once on white and twice in settings: 90 pictures of 128 x 128 with product mask and
record (see `record`). In the last 60 training shards the products are decorated as catalogue items are (`products.decorate`).
Shards are written whole and never rewritten, so that a killed run goes on where it stopped; a shard depends on its number
alone. `heldout/` is made the same way as the first training shards, from other seeds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np

WORK = Path(__file__).parent / "work"
SIZE, SAMPLES, PRODUCTS = 128, 9, 30
SHARDS, HELDOUT_SHARDS, DECORATED_FROM = 150, 5, 90
PHRASE = {"room": "in a room", "wall": "on a wall", "desk": "on a desk", "mannequin": "on a mannequin"}


def record(spec: dict, kind: str, mask: np.ndarray, product: int) -> dict:
    """What is known of a picture: caption, class noun, colours, pattern, box of the mask, product number."""
    from products import WHERE, decorated, describe

    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    where = "on a white background" if kind == "catalog" else PHRASE[WHERE[spec["class_noun"]]]
    return {
        "caption": f"a photo of a {describe(spec)} {where}",
        "class_noun": spec["class_noun"],
        "color": spec["color"],
        "color2": spec["color2"] if spec["pattern"] != "plain" else None,
        "pattern": spec["pattern"],
        "decorated": decorated(spec),
        "kind": kind,
        "box": [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1],
        "product": product,
    }


def pictures(rng, product: int, decorated: bool):
    """Yield (picture, mask, record) three times for one random product."""
    import products
    import scenes

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
        yield setting.photo(thing, SIZE, SAMPLES, body), mask, record(spec, kind, mask, product)


def make_shard(folder: Path, number: int, seed: int) -> None:
    path = folder / f"shard-{number:05d}.npz"
    if path.exists():
        return
    rngs, decorated = (np.random.default_rng([seed, number, i]) for i in range(PRODUCTS)), number >= DECORATED_FROM
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
    parser.add_argument("--shards", type=int, default=SHARDS, help="shards of 90 pictures (default %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for name, count, seed in (("heldout", HELDOUT_SHARDS, 2), ("train", args.shards, 1)):
        (WORK / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            queue.put((WORK / name, number, seed))
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
