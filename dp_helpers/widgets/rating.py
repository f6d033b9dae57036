"""The rating panel: rate the pictures of a blind study in a notebook, by keyboard or mouse.

    panel = RatingPanel("out/study", rater="anna")      # show it: a cell's last line
    panel.ratings.rate("07", similarity=2, harmony=3)   # the plain call that does the same

The browser shows one picture at a time. Each rating goes to the kernel at once, which saves the rater's file whole. A
panel for the same rater goes on at the first picture without a rating. The panel does not know which method painted a
picture. Only text and numbers are synced, pictures as data URLs, as in `canvas`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ..errors import InputError
from ..evaluation.raters import CRITERIA, Scores, open_ratings
from ..evaluation.study import Study, load_study

_BROWSER = Path(__file__).with_name("rating")


class RatingPanel(anywidget.AnyWidget):
    """Rate the cards of a study.

    Keys: 1 to 5 rate, first similarity, then harmony. Up and down choose between the two. Enter or right goes to the
    next picture, left goes back.

    Args:
        study: a `Study`, or its folder.
        rater: a name or number; see `raters.open_ratings`.
        folder: of the raters' files; default: ``ratings/`` in the study's folder.
        settings: ``layout`` as for any widget.

    Attributes:
        ratings: the rater's `Ratings`, with the plain call `rate`.

    Traits, all synced with the browser:
        place: which card of the rater's order is shown; the number of cards shows the end.
        scores: by the card's name and criterion, as in ``ratings.scores``.

    Raises:
        InputError: there is no such study, or the rater's file belongs to another one.
    """

    _esm = (_BROWSER / "widget.js").read_text(encoding="utf-8")
    _css = (_BROWSER / "rating.css").read_text(encoding="utf-8")

    place = traitlets.Int().tag(sync=True)
    scores = traitlets.Dict().tag(sync=True)
    cards = traitlets.List().tag(sync=True)  # names, in the rater's order
    view = traitlets.Dict().tag(sync=True)  # the pictures of the card at `place`
    ahead = traitlets.Dict().tag(sync=True)  # those of the next card, so that it is there when it is wanted
    rater = traitlets.Unicode().tag(sync=True)
    message = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, study: Study | str | Path, rater: str, folder: str | Path | None = None, **settings: Any
    ) -> None:
        study = study if isinstance(study, Study) else load_study(study)
        self.ratings = open_ratings(study, rater, folder)
        self._order = self.ratings.order
        place = self._order.index(missing[0]) if (missing := self.ratings.missing()) else len(self._order)
        super().__init__(
            place=place,
            scores=_copy(self.ratings.scores),
            cards=[card.name for card in self._order],
            view=self._pictures(place),
            ahead=self._pictures(place + 1),
            rater=rater,
            message=f"{'Goes on in' if self.ratings.scores else 'Saves to'} {self.ratings.path}",
            **settings,
        )
        self.observe(self._turn, names="place")
        self.observe(self._save, names="scores")

    def __repr__(self) -> str:
        return "RatingPanel: a widget, which shows where this notebook runs"

    def _turn(self, _change) -> None:
        self.view, self.ahead = self._pictures(self.place), self._pictures(self.place + 1)

    def _save(self, change) -> None:
        """Save what is new in the scores that the browser sends; say why if that is not possible."""
        try:
            for card, given in change["new"].items():
                saved = self.ratings.scores.get(card, {})
                new = {name: given[name] for name in CRITERIA if name in given and given[name] != saved.get(name)}
                if new:
                    self.ratings.rate(card, **new)
            self.message = f"Saved in {self.ratings.path}"
        except (InputError, OSError) as error:
            self.message = f"Not saved: {error}"

    def _pictures(self, place: int) -> dict[str, Any]:
        """Return the pictures of a card as data URLs; no card gives an empty dict."""
        if not 0 <= place < len(self._order):
            return {}
        card = self._order[place]
        references = [_data_url(path) for path in card.references]
        pictures = {"picture": _data_url(card.picture), "photo": _data_url(card.photo), "references": references}
        return {"card": card.name} | pictures


def _copy(scores: Mapping[str, Scores]) -> dict[str, Scores]:
    return {card: dict(given) for card, given in scores.items()}


def _data_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
