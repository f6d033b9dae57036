"""The glossary: plain, in order, linked from the lessons, and what is linked is there."""

import re
from pathlib import Path

import execute
import pytest

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ANCHORS = {term: name for name, term in re.findall(r'^### <a id="([\w-]+)"></a>(.+)$', GLOSSARY, re.MULTILINE)}
ENTRIES = {
    re.sub("<[^>]+>", "", term): " ".join(text.split())
    for term, text in re.findall(r"^### (.+)\n((?:.+\n)+)", GLOSSARY, re.MULTILINE)
}
LESSONS = {path.stem: execute.nbformat.read(path, as_version=4) for path in execute.lessons()}
PAGES = {page.name: page.read_text(encoding="utf-8") for page in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]}
PAGES |= {
    name: "\n".join(cell.source for cell in lesson.cells if cell.cell_type == "markdown")
    for name, lesson in LESSONS.items()
}


def links(page: str) -> list[str]:
    """Return the anchors in the glossary to which a page links."""
    return re.findall(r"glossary\.md#([\w-]+)\)", PAGES[page])


def test_the_terms_are_in_order_and_few_enough_to_read():
    assert 25 <= len(ENTRIES) <= 45 and list(ENTRIES) == sorted(ENTRIES, key=str.lower)


@pytest.mark.parametrize("term", ENTRIES)
def test_each_entry_names_its_term_and_its_lesson_in_short_sentences(term):
    text = ENTRIES[term]
    assert re.search(r"\*\*[^*]+\*\*", text) and re.search(r"Lessons? 0\d( and 0\d)?\.$", text)
    for sentence in re.split(r"(?<=[.:?]) ", text):
        assert len(sentence.split()) <= 25, sentence


@pytest.mark.parametrize("term", ENTRIES)
def test_its_anchor_is_the_one_that_github_makes(term):
    """JupyterLab keeps the capitals of a heading, so an anchor that works in both must be written out."""
    assert ANCHORS.get(term) == re.sub(r"[^\w -]", "", term.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_what_is_linked_is_there(page):
    assert set(links(page)) <= set(ANCHORS.values())


@pytest.mark.parametrize("term", ENTRIES)
def test_a_lesson_links_to_each_term_and_to_one_that_the_entry_names(term):
    named = re.findall(r"0\d", ENTRIES[term].rsplit("Lesson", 1)[1])
    linking = {name[:2] for name in LESSONS if ANCHORS[term] in links(name)}
    assert linking & set(named), f"the entry names {named}, but the links are in {sorted(linking)}"


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_links_to_a_term_once(lesson):
    assert links(lesson) and len(links(lesson)) == len(set(links(lesson)))
