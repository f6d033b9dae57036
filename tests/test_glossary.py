"""The glossary: plain, in order, and what the lessons link to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ENTRIES = {term: " ".join(text.split()) for term, text in re.findall(r"^### (.+)\n((?:.+\n)+)", GLOSSARY, re.MULTILINE)}
PAGES = [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]


def anchor(term: str) -> str:
    """Return the anchor that GitHub and Jupyter give a heading."""
    return re.sub(r"[^\w -]", "", term.lower()).replace(" ", "-")


def test_the_terms_are_in_order_and_few_enough_to_read():
    assert 25 <= len(ENTRIES) <= 40 and list(ENTRIES) == sorted(ENTRIES, key=str.lower)


@pytest.mark.parametrize("term", ENTRIES)
def test_each_entry_names_its_term_and_its_lesson_in_short_sentences(term):
    text = ENTRIES[term]
    assert re.search(r"\*\*[^*]+\*\*", text) and re.search(r"Lessons? 0\d( and 0\d)?\.$", text)
    for sentence in re.split(r"(?<=[.:?]) ", text):
        assert len(sentence.split()) <= 25, sentence


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_linked_is_there(page):
    anchors = {anchor(term) for term in ENTRIES}
    for link in re.findall(r"glossary\.md#([\w-]+)", page.read_text(encoding="utf-8")):
        assert link in anchors, f"{page.name} links to glossary.md#{link}"
