"""An evaluation's folder with pictures but without painters, and studies made from it."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, PngImagePlugin

from dp_helpers.evaluation import rows
from dp_helpers.evaluation.study import PAINTERS, Study, make_study
from tools.family import make_item, product_photo

ITEMS, ROOMS = ("blue-box", "red-box"), ("hall", "kitchen")
SECRETS = (*PAINTERS, "true-picture")


def make_evaluation(folder: Path, painters=SECRETS, seeds=(0, 1)) -> tuple[Path, Path]:
    """Make (results, data): two items in two rooms, each painted by all painters, their names in the text chunks."""
    data, results = folder / "data", folder / "results"
    for number, name in enumerate(ITEMS):
        make_item(data / "catalog" / name, count=2 + number)
    for number, room in enumerate(ROOMS):
        (data / "contexts" / room / "masks").mkdir(parents=True)
        product_photo(number).save(data / "contexts" / room / "photo.png")
        mask = Image.new("L", (48, 40), 0)
        mask.paste(255, (8, 6, 38, 36))
        mask.save(data / "contexts" / room / "masks" / "rectangle.png")
    for pair in (f"{item}--{room}" for item in ITEMS for room in ROOMS):
        for painter in painters:
            for seed in seeds:
                _paint(results, pair, painter, seed)
    return results, data


def _paint(results: Path, pair: str, painter: str, seed: int) -> None:
    shade = 40 * SECRETS.index(painter) + 10 * seed
    image, text = Image.new("RGB", (48, 40), (shade, 90, 200)), PngImagePlugin.PngInfo()
    text.add_itxt("dreampaint", json.dumps({"painter": painter, "seed": seed}))
    path = rows.picture_path(results, pair, painter, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.info["painter"] = painter
    image.save(path, pnginfo=text)
    about = {"pair": pair, "item": pair.split("--")[0], "painter": painter, "seed": seed, "variant": 0, "seconds": 1}
    rows.append_row(results, about | dict.fromkeys(rows.METRICS, 0))


def make_example_study(folder: Path, **options) -> tuple[Study, Path]:
    """Make a study of four pairs and three painters; return it and its key."""
    results, data = make_evaluation(folder)
    key = folder / "study-key.csv"
    return make_study(results, data, folder / "study", key, **options), key
