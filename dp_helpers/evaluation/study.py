"""The blind rating of section 5.2: from the pictures of an evaluation to a folder that raters can see.

A card is one painted picture. Each card has a number, the product's catalogue photos, and the photo that was painted
into. The cards are shuffled. Nothing in the folder tells which method painted a card: no file name, no text chunk of a
picture, no line of study.json. Only the key tells it: one CSV file outside the folder, which raters must not see.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from ..catalog import load_photo
from ..errors import InputError
from ..files import check_can_write, whole_file, whole_folder
from ..masks import grow
from .pairs import Pair, load_pairs
from .rows import Row, picture_path, read_rows
from .statistics import to_csv

PAINTERS = ("dreampaint", "paint-by-example", "title")  # the three methods of the paper's Table 2
PAIRS = 20  # 20 pairs of three methods are 60 pictures, as in the paper
MOST_REFERENCES = 8
_SIDES = {"pictures": 1024, "photos": 512, "references": 512}  # pixels: the longer side of a picture, at most
_HIDDEN = ("pair", "item", "painter", "seed")  # columns of rows.csv that only the key has


@dataclass(frozen=True)
class Card:
    """One picture to rate, and what a rater sees next to it."""

    name: str  # "07"
    picture: Path
    photo: Path  # the photo before painting; an outline marks the painted region
    references: tuple[Path, ...]


@dataclass(frozen=True)
class Study:
    """A folder of cards, without the key."""

    name: str  # a fingerprint of the pictures and the key
    folder: Path
    cards: tuple[Card, ...]

    def order(self, rater: str) -> list[Card]:
        """Return the cards in the rater's own order, so that no card is always seen late. A name fixes its order."""
        return random.Random(f"{self.name} {rater}").sample(self.cards, len(self.cards))


def make_study(
    results: Path,
    data: Path,
    folder: Path,
    key: Path,
    *,
    painters: Sequence[str] = PAINTERS,
    pairs: int = PAIRS,
    seed: int | None = None,
) -> Study:
    """Make a study from the folder that ``python -m dp_helpers evaluate`` wrote.

    Pairs are drawn in turn from all items. Each pair appears once for each painter, with the painter's first seed. A
    pair that lacks the picture of a painter is left out.

    Args:
        results: holds rows.csv and pictures/.
        data: the folder of items and contexts that was evaluated.
        folder: to make. Raters get it.
        key: a CSV file to make outside ``folder``. Raters do not get it.
        painters: names of rows.csv, for example also "true-picture", the best that a method can reach.
        pairs: how many to draw, at most.
        seed: of the draw and of the order of the cards. None: chance, so that nobody can compute the key.

    Raises:
        InputError: there are no such results, ``folder`` is not empty, or ``key`` is there already.
    """
    results, folder, key = Path(results), check_can_write(folder), check_can_write(key, suffix=".csv")
    if folder.resolve() in key.resolve().parents:
        raise InputError(f"The key {key} would be inside {folder}, where raters see it: name a file outside.")
    if key.exists():
        raise InputError(f"The key {key} is there already, maybe of a study in use: name another file with --key.")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty: name a new folder, because ratings belong to one study.")
    rng = random.SystemRandom() if seed is None else random.Random(seed)
    chosen = _draw(_complete(results, painters), pairs, rng)
    rng.shuffle(chosen)
    items = sorted({row["item"] for row in chosen})
    known = {pair.name: pair for pair in load_pairs(Path(data), items)}
    unknown = {row["pair"] for row in chosen} - known.keys()
    if unknown:
        raise InputError(f"{data} has no pair {min(unknown)}, which {results} holds: name its folder with --data.")
    width = max(2, len(str(len(chosen))))
    cards = [
        {"card": f"{index:0{width}}"} | {name: row[name] for name in _HIDDEN} for index, row in enumerate(chosen, 1)
    ]
    with whole_folder(folder) as temporary:
        name = _write_cards(temporary, cards, known, results)
        with whole_file(key) as file:
            file.write_text(to_csv([{"study": name} | card for card in cards]), encoding="utf-8")
    return load_study(folder)


def load_or_make_study(results: Path, data: Path, folder: Path, key: Path, **choices: Any) -> Study:
    """Load the study in ``folder`` if there is one, and otherwise make it as `make_study` does.

    So a lesson that runs again goes on with the same cards, and the ratings still fit.
    """
    folder = Path(folder)
    return (
        load_study(folder) if (folder / "study.json").is_file() else make_study(results, data, folder, key, **choices)
    )


def load_study(folder: str | Path) -> Study:
    """Load a study for raters.

    Raises:
        InputError: the folder holds no study, or lacks a picture.
    """
    folder = Path(folder)
    try:
        about = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        cards = tuple(_card(folder, entry) for entry in about["cards"])
        study = Study(str(about["study"]), folder, cards)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} holds no study: name a folder that `python -m dp_helpers study make` made."
        ) from error
    for card in cards:
        for path in (card.picture, card.photo, *card.references):
            if not path.is_file():
                raise InputError(f"The study lacks {path}: copy the whole folder again.")
    return study


def load_key(path: str | Path, study: Study) -> dict[str, dict[str, str]]:
    """Load the key: pair, item, painter and seed of each card.

    Raises:
        InputError: there is no such file, or it is not the key of this study.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"There is no key {path}: name the CSV file that `study make` wrote next to the study."
        ) from error
    key = {row.get("card"): row for row in rows if row.get("study") == study.name}
    if key.keys() != {card.name for card in study.cards} or not set(_HIDDEN) <= rows[0].keys():
        raise InputError(f"{path} is not the key of the study in {study.folder}: name the file that was made with it.")
    return key


def _complete(results: Path, painters: Sequence[str]) -> dict[str, list[Row]]:
    """Return the rows to rate of each pair that all painters have painted."""
    rows, found = read_rows(results), {}
    if not rows:
        raise InputError(f"{results} holds no rows.csv: name a folder that `python -m dp_helpers evaluate` wrote.")
    there = list(dict.fromkeys(row["painter"] for row in rows))
    for name in painters:
        if name not in there:
            raise InputError(f"{results} holds nothing by {name!r}: name some of {', '.join(there)} with --painters.")
    for row in sorted(rows, key=lambda row: row["seed"]):
        if row["painter"] in painters:
            found.setdefault(row["pair"], {}).setdefault(row["painter"], row)
    complete = {
        pair: [own[name] for name in painters] for pair, own in sorted(found.items()) if len(own) == len(painters)
    }
    if not complete:
        raise InputError(f"No pair in {results} is painted by all of {', '.join(painters)}: let the evaluation finish.")
    return complete


def _draw(complete: Mapping[str, list[Row]], count: int, rng: random.Random) -> list[Row]:
    """Draw pairs, one of each item in turn, and return their rows."""
    if count < 1:
        raise InputError(f"A study needs at least 1 pair, not {count}.")
    by_item: dict[str, list[list[Row]]] = {}
    for pair in rng.sample(list(complete), len(complete)):
        by_item.setdefault(complete[pair][0]["item"], []).append(complete[pair])
    drawn = [rows for each in zip_longest(*by_item.values()) for rows in each if rows]
    return [row for rows in drawn[:count] for row in rows]


def _write_cards(folder: Path, cards: Sequence[Row], pairs: Mapping[str, Pair], results: Path) -> str:
    """Write all pictures and study.json. Return the study's name."""
    for name in _SIDES:
        (folder / name).mkdir()
    fingerprint, photos, products, shown = hashlib.sha256(), {}, {}, []
    for row in cards:
        pair = pairs[row["pair"]]
        if pair.name not in photos:
            photos[pair.name] = f"{len(photos) + 1:02}"
            _save(outlined(pair.context.photo, pair.mask), folder / "photos" / f"{photos[pair.name]}.png")
        if pair.item.name not in products:
            products[pair.item.name] = f"{len(products) + 1:02}"
            for number, photo in enumerate(_some(pair.item.photos), 1):
                _save(photo, folder / "references" / f"{products[pair.item.name]}-{number}.png")
        picture = folder / "pictures" / f"{row['card']}.png"
        _save(load_photo(picture_path(results, row["pair"], row["painter"], row["seed"])), picture)
        fingerprint.update(json.dumps(row).encode() + picture.read_bytes())
        shown.append({"card": row["card"], "photo": photos[pair.name], "product": products[pair.item.name]})
    # The letter in front keeps spreadsheets from taking a name for a number.
    about = {"study": f"s{fingerprint.hexdigest()[:12]}", "cards": shown}
    (folder / "study.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return about["study"]


def outlined(photo: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the photo with a black and white outline around the region to paint, visible on any background."""
    photo, width = photo.copy(), max(1, round(max(mask.size) / 128))
    wide, narrow = grow(mask, 2 * width), grow(mask, width)
    photo.paste((0, 0, 0), mask=ImageChops.subtract(wide, mask))
    photo.paste((255, 255, 255), mask=ImageChops.subtract(narrow, mask))
    return photo


def _some(photos: Sequence[Image.Image]) -> list[Image.Image]:
    """Return all photos, or `MOST_REFERENCES` of them at equal distances."""
    count = min(len(photos), MOST_REFERENCES)
    return [photos[index * len(photos) // count] for index in range(count)]


def _save(image: Image.Image, path: Path) -> None:
    """Save the pixels alone, scaled down to the folder's largest side."""
    side = _SIDES[path.parent.name]
    image = image.convert("RGB")
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    clean = Image.new("RGB", image.size)  # a copy would keep `info`, which a PNG writes in part
    clean.paste(image)
    clean.save(path, "PNG")


def _card(folder: Path, entry: Mapping[str, str]) -> Card:
    references = sorted((folder / "references").glob(f"{entry['product']}-*.png"))
    pictures = (folder / "pictures" / f"{entry['card']}.png", folder / "photos" / f"{entry['photo']}.png")
    return Card(entry["card"], *pictures, tuple(references))
