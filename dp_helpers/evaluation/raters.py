"""One CSV file for each rater: give ratings, go on later, and read the files of all raters together.

    study = load_study("out/study")
    ratings = open_ratings(study, "anna")              # holds what anna has rated before
    ratings.rate("07", similarity=2, harmony=3)        # saved before the call returns

The file has one line for each card. A cell without a rating is empty.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import check_can_write, whole_file
from .statistics import to_csv
from .study import Card, Study

CRITERIA = ("similarity", "harmony")
SCORES = (1, 2, 3, 4, 5)  # 1 is the best and 5 is the worst, as in the paper
COLUMNS = ("study", "rater", "card", *CRITERIA)
FOLDER = "ratings"  # inside the study's folder
Scores = dict[str, int]  # by criterion


@dataclass
class Ratings:
    """One rater's ratings, saved after each change."""

    study: Study
    rater: str
    path: Path
    scores: dict[str, Scores]  # by card; a card without a rating is not here

    @property
    def order(self) -> list[Card]:
        """Return the cards in the order in which this rater sees them."""
        return self.study.order(self.rater)

    def missing(self) -> list[Card]:
        """Return the cards that lack a rating, in the rater's order."""
        return [card for card in self.order if len(self.scores.get(card.name, ())) < len(CRITERIA)]

    def rate(self, card: str, *, similarity: int | None = None, harmony: int | None = None) -> None:
        """Rate a card and save the file. None leaves a rating as it is.

        Args:
            card: its name, for example "07".
            similarity: of the painted object to the product, from 1 (best) to 5 (worst).
            harmony: of the painted object with the photo, from 1 (best) to 5 (worst).

        Raises:
            InputError: there is no such card, or a score is not a whole number from 1 to 5.
        """
        given = {"similarity": similarity, "harmony": harmony}
        scores = {name: _score(value, name, "rate()") for name, value in given.items() if value is not None}
        if card not in {each.name for each in self.study.cards}:
            raise InputError(f"The study has no card {card!r}: its cards are {_range(self.study)}.")
        self.scores[card] = self.scores.get(card, {}) | scores
        _write(self)


def open_ratings(study: Study, rater: str, folder: str | Path | None = None) -> Ratings:
    """Return a rater's ratings: those of the rater's file, or none if there is no file yet.

    Args:
        study: from `study.load_study`.
        rater: a name or a number. It becomes the file's name.
        folder: of the raters' files; default: ``ratings/`` in the study's folder.

    Raises:
        InputError: the name has other characters than letters, digits, spaces, "-" and "_";
            the file belongs to another study or cannot be read.
    """
    if not isinstance(rater, str) or not re.fullmatch(r"\w[\w -]{0,39}", rater) or rater != rater.strip():
        raise InputError(
            f"The rater {rater!r} cannot name a file: use up to 40 letters, digits, spaces, '-' and '_', "
            "for example 'rater 7'."
        )
    path = check_can_write(Path(folder or study.folder / FOLDER) / f"{rater}.csv", suffix=".csv")
    return Ratings(study, rater, path, _read(path, study)[1] if path.is_file() else {})


def merge(study: Study, paths: Iterable[str | Path]) -> dict[str, dict[str, Scores]]:
    """Read the files of several raters: scores by rater, card and criterion.

    A rater's cards may come from several files. The same rating counts once. A rater without a rating is left out.

    Raises:
        InputError: a file belongs to another study or cannot be read, or one rater rates a card in two ways.
    """
    merged: dict[str, dict[str, Scores]] = {}
    for path in map(Path, paths):
        rater, scores = _read(path, study)
        own = merged.setdefault(rater, {})
        for card, given in scores.items():
            before = own.setdefault(card, {})
            if any(before.get(name, score) != score for name, score in given.items()):
                raise InputError(f"{path} rates card {card} in another way than a file before it, also by {rater!r}.")
            before.update(given)
    return {rater: own for rater, own in sorted(merged.items()) if own}


def rating_files(study: Study) -> list[Path]:
    """Return the raters' files in the study's own folder."""
    return sorted((study.folder / FOLDER).glob("[!.]*.csv"))


def write_form(study: Study) -> Path:
    """Write form.csv, an empty file of ratings in which to type what raters have written on paper."""
    form = Ratings(study, "", study.folder / "form.csv", {})
    _write(form, study.cards)
    return form.path


def _write(ratings: Ratings, cards: Sequence[Card] | None = None) -> None:
    about = {"study": ratings.study.name, "rater": ratings.rater}
    rows = [
        about | {"card": card.name} | {name: ratings.scores.get(card.name, {}).get(name, "") for name in CRITERIA}
        for card in cards or ratings.order
    ]
    with whole_file(ratings.path) as temporary:
        temporary.write_text(to_csv(rows), encoding="utf-8")


def _read(path: Path, study: Study) -> tuple[str, dict[str, Scores]]:
    """Return the rater and the scores of a file, which a spreadsheet may have saved again.

    Spreadsheets write ";" between cells in some countries, put a mark before the first column, and drop the zero of
    "07". The rater's name may be left empty. Then the file's name counts.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table: save it as CSV in UTF-8.") from error
    first = text.partition("\n")[0]
    rows = list(csv.DictReader(io.StringIO(text), restval="", delimiter=";" if ";" in first else ","))
    lacking = [name for name in COLUMNS if not rows or rows[0].get(name) is None]
    if lacking:
        raise InputError(f"{path} is not a file of ratings: it lacks the column {lacking[0]!r} or has no line.")
    rows = [row for row in rows if any(str(cell).strip() for name, cell in row.items() if name in COLUMNS)]
    others = {row["study"] for row in rows} - {study.name}
    if others:
        raise InputError(f"{path} rates another study ({min(others)}), not {study.name}: leave it out.")
    raters = {row["rater"].strip() for row in rows} - {""}
    if len(raters) > 1:
        raise InputError(f"{path} holds ratings of {len(raters)} raters: make one file for each rater.")
    cards, scores = {int(card.name): card.name for card in study.cards}, {}
    for row in rows:
        card = cards.get(int(row["card"])) if row["card"].isdecimal() else None
        if card is None:
            raise InputError(f"{path} rates the card {row['card']!r}: this study has the cards {_range(study)}.")
        given = {name: _score(row[name].strip(), name, path) for name in CRITERIA if row[name].strip()}
        if any(scores.get(card, {}).get(name, score) != score for name, score in given.items()):
            raise InputError(f"{path} rates card {card} twice, in two ways: delete one of the two lines.")
        if given:
            scores[card] = scores.get(card, {}) | given
    return min(raters, default=path.stem), scores


def _score(value: object, criterion: str, where: object) -> int:
    if isinstance(value, bool) or str(value) not in map(str, SCORES):
        raise InputError(f"{where}: {criterion} is {value!r}, but must be a whole number from 1 (best) to 5 (worst).")
    return int(str(value))


def _range(study: Study) -> str:
    return f"{study.cards[0].name} to {study.cards[-1].name}"
