"""The place to drop files on, in a real Chromium on a page of its own, together with the kernel's side of it."""

from __future__ import annotations

import pytest

from dp_helpers.widgets import upload

START = """async ([source, state]) => {
    const { default: widget } = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
    const listeners = new Set();
    const model = {
        get: (name) => state[name],
        on: (_name, run) => listeners.add(run),
        off: (_name, run) => listeners.delete(run),
        send: async (message) => {
            const answers = await window.kernel(message);
            for (const answer of answers) for (const run of [...listeners]) run(answer);
        },
    };
    document.body.replaceChildren();
    widget.render({ model, el: document.body });
    const real = FileReader.prototype.readAsDataURL;
    FileReader.prototype.readAsDataURL = function (blob) { // as for a folder, which has a size and cannot be read
        if (blob.size === 4096) setTimeout(() => this.onerror({ type: 'error' }));
        else real.call(this, blob);
    };
}"""
DROP = """(files) => {
    const dataTransfer = new DataTransfer();
    for (const [name, size] of files) dataTransfer.items.add(new File([new Uint8Array(size)], name));
    document.querySelector('.dp-files').dispatchEvent(new DragEvent('drop', { dataTransfer, cancelable: true }));
}"""


class Place:
    """A page with one place to drop files on."""

    def __init__(self, page, drop: upload.FileDrop, came: list, answers: list) -> None:
        self.page, self.widget, self.came, self.answers = page, drop, came, answers

    def kernel(self, message: dict) -> list[dict]:
        before = len(self.answers)
        self.widget._handle_custom_msg(message, [])
        return self.answers[before:]

    def drop(self, *files: tuple[str, int]) -> None:
        self.page.evaluate(DROP, [list(file) for file in files])

    def until(self, words: str) -> str:
        self.page.get_by_text(words).wait_for(timeout=10_000)
        return self.page.text_content("[role=status]")


@pytest.fixture
def place(browser, address, tmp_path, monkeypatch):
    answers, came = [], []
    monkeypatch.setattr(upload.FileDrop, "send", lambda self, content, buffers=None: answers.append(content))
    drop = upload.FileDrop(tmp_path / "new", lambda paths: came.append([path.name for path in paths]))
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    place = Place(page, drop, came, answers)
    page.expose_function("kernel", place.kernel)
    page.evaluate(START, [drop._esm, {name: getattr(drop, name) for name in ("label", "hint", "accept", "multiple")}])
    yield place
    page.close()
    assert errors == []


def test_a_folder_among_the_files_is_left_out_with_a_sentence_and_the_rest_arrives(place):
    place.drop(("one.png", 10), ("folder", 4096), ("two.png", 900_000), ("empty.png", 0))
    said = place.until("3 files arrived.")
    assert "folder was left out, because the browser cannot read it" in said
    assert place.came == [["one.png", "two.png", "empty.png"]]
    assert (place.widget.folder / "two.png").stat().st_size == 900_000
    place.drop(("folder", 4096))
    assert "folder was left out" in place.until("drop the files that are in it")
    place.drop(("three.png", 10))
    place.until("1 file arrived.")
    assert place.came[1:] == [["three.png"]]


def test_a_file_that_is_too_large_does_not_keep_the_others_from_coming(place, monkeypatch):
    monkeypatch.setattr(upload, "MAX_BYTES", 1000)
    place.drop(("large.png", 2000), ("small.png", 10))
    assert "large.png was left out: at most" in place.until("1 file arrived.")
    assert place.came == [["small.png"]]


def test_what_is_dropped_while_files_come_is_left_out_with_a_sentence(place):
    place.drop(("large.png", 3_000_000))
    place.drop(("small.png", 10))
    assert "What came in the meantime was left out" in place.until("1 file arrived.")
    place.drop(("small.png", 10))
    place.page.wait_for_function("document.querySelector('[role=status]').textContent === '1 file arrived.'")
    assert place.came == [["large.png"], ["small.png"]]


def test_an_error_on_the_page_is_told_and_the_next_drop_works(place):
    place.page.evaluate(
        "() => { window.real = Blob.prototype.slice; Blob.prototype.slice = () => { throw new Error('no memory'); }; }"
    )
    place.drop(("one.png", 10))
    place.until("That did not work: no memory")
    place.page.evaluate("() => { Blob.prototype.slice = window.real; }")
    place.drop(("one.png", 10))
    place.until("1 file arrived.")
