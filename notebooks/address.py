"""What follows from the public address of the project: the badges of the lessons, and README's `git clone` line.

The address stands in one place: `repository` in setup_cell.py. Set it there and run ``make address``. As long as it
is empty, there are no badges, and the README asks you to fill in the address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

BRANCH = "main"
_COLAB, _BINDER = "https://colab.research.google.com", "https://mybinder.org"
_BADGES = re.compile(r"\n\n\[!\[Open lesson .*")


def find(setup_cell: str) -> str:
    """Return the address in the source of the set-up cell; it may be empty.

    Raises:
        SystemExit: Colab and Binder could not open the lessons from this address.
    """
    address = re.search(r'^repository = "(.*)"$', setup_cell, re.MULTILINE)[1]
    if address and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise SystemExit(
            f"setup_cell.py: repository is {address!r}, but must be https://github.com/OWNER/NAME, or empty."
        )
    return address


def badges(address: str, lesson: str) -> list[str]:
    """Return the Markdown of a lesson's two badges, for Colab and for Binder."""
    name = address.removeprefix("https://github.com/").removesuffix(".git")
    colab = f"{_COLAB}/github/{name}/blob/{BRANCH}/notebooks/{lesson}.ipynb"
    binder = f"{_BINDER}/v2/gh/{name}/{BRANCH}?labpath=notebooks%2F{lesson}.ipynb"
    return [
        f"[![Open lesson {lesson[:2]} in Colab]({_COLAB}/assets/colab-badge.svg)]({colab})",
        f"[![Open lesson {lesson[:2]} on Binder]({_BINDER}/badge_logo.svg)]({binder})",
    ]


def in_lesson(first_cell: str, address: str, lesson: str) -> str:
    """Return the first cell of a lesson with its badges below the title, or without them if there is no address."""
    title, *rest = _BADGES.sub("", first_cell).split("\n", 1)
    return "\n".join([title, *(["", " ".join(badges(address, lesson))] if address else []), *rest])


def in_readme(text: str, address: str, titles: Mapping[str, str]) -> str:
    """Return the README with new text between its markers ``clone`` and ``badges``.

    Args:
        text: the README.
        address: may be empty.
        titles: the title of each lesson, by the name of its file.

    Raises:
        ValueError: a marker is missing.
    """
    clone = f"```sh\ngit clone --depth 1 {address or 'ADDRESS'} dreampaint\ncd dreampaint\n```\n"
    if not address:
        clone = (
            "This project has no public address yet. Write the address of your copy in place of `ADDRESS`:\n\n" + clone
        )
    table = ["| lesson | in Colab | on Binder |", "|---|---|---|"]
    table += [f"| {title} | {' | '.join(badges(address, lesson))} |" for lesson, title in titles.items()]
    for marker, lines in (("clone", clone), ("badges", "\n".join([*table, ""]) if address else "")):
        begin, end = f"<!-- {marker}:begin -->\n", f"<!-- {marker}:end -->"
        if text.count(begin) != 1 or end not in text.split(begin)[1]:
            raise ValueError(f"README.md must have the lines {begin.strip()} and {end} once each.")
        before, after = text.split(begin)
        text = before + begin + lines + end + after.split(end, 1)[1]
    return text
