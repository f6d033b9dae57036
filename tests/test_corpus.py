"""The corpus through the commands: the sentence, the exit code, and nothing left behind."""

import re

import pytest
from tools import corpus

from dp_helpers.__main__ import main


@pytest.mark.parametrize(("make", "lines"), [case[1:] for case in corpus.CASES], ids=[case[0] for case in corpus.CASES])
def test_every_input_gets_its_sentence(tmp_path, capsys, make, lines):
    corpus.scene().save(tmp_path / "photo.png")
    corpus.hole().save(tmp_path / "mask.png")
    words = [str(word) for word in make(tmp_path)]
    before = {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")}
    code = main(words)
    stdout, stderr = capsys.readouterr()
    assert code == 2 and stdout == ""
    said = stderr.strip().splitlines()
    assert len(said) == len(lines), stderr
    for line, wanted in zip(said, lines, strict=True):
        assert line.startswith("dp_helpers: ") and re.search(wanted, line), line
        assert "Traceback" not in line and len(line) < 600
    assert {path: path.read_bytes() if path.is_file() else None for path in tmp_path.rglob("*")} == before


def test_the_corpus_is_large():
    assert len(corpus.CASES) >= 120 and len({case[0] for case in corpus.CASES}) == len(corpus.CASES)
