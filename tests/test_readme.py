"""The README's Python block, executed as a reader would copy it, only with fewer steps."""

from __future__ import annotations

import re

import numpy as np

from dp_helpers import files, inpaint, runs

README = files.find_data().parent / "README.md"
SHRUNK = {
    'presets.load("tiny")': 'presets.change(presets.load("tiny"), finetune={"steps": 2, "views": 8}, '
    'inpaint={"num_inference_steps": 2})',
}


def python_block() -> str:
    """Return the first Python block of the README, at a shrunken size and at its own line numbers."""
    text = README.read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, "README.md has no block ```python to copy: put one back, or change this test"
    code = found[1]
    for old, new in SHRUNK.items():
        assert old in code, f"the README's Python block does not hold {old!r} any more: change SHRUNK"
        code = code.replace(old, new)
    return "\n" * text[: found.start(1)].count("\n") + code


def test_the_python_block_runs_as_it_stands(tmp_path, monkeypatch):
    code = python_block()
    data = files.find_data()
    (tmp_path / "data").symlink_to(data, target_is_directory=True)  # as in a checkout
    monkeypatch.setenv("DREAMPAINT_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "readme"}
    exec(compile(code, str(README), "exec"), names)
    made = list(names.values())
    [run] = [each for each in made if isinstance(each, runs.Run)]
    assert len(run.losses) == 2
    results = [each for each in made if isinstance(each, inpaint.Result)]
    assert results, "the block paints nothing"
    for result in results:
        assert result.parameters["num_inference_steps"] == 2 and result.parameters["prompt"] == run.prompt
        assert np.asarray(result.image).std() > 0
