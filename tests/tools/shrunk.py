"""The size switch of the lessons, for the tests that execute them. It is here and not in the lessons.

SHRUNK replaces text in their cells tagged ``parameters``. It fails loudly when there is nothing left to replace.
"""

from __future__ import annotations

from pathlib import Path

import execute

# For each lesson: text in its parameter cells, and what the test puts there. Empty: the lesson is small as it is.
SHRUNK = {
    "00_start_here": {"steps = preset.finetune.steps": "steps = 2"},
    "01_data_prep": {"draws = 600": "draws = 12"},
    "02_masked_finetuning": {
        "steps = preset.finetune.steps  #": "steps = 2  #",
        "curve_steps = 100": "curve_steps = 4",
        "curve_samples = 32": "curve_samples = 4",
        'root / "runs"': 'root / "out" / "test-runs"',  # a reader's own runs stay as they are
    },
    "03_inpainting_canvas": {
        "finetune_steps = preset.finetune.steps": "finetune_steps = 2",
        # At strength 0.3 one of the four steps is left.
        "num_inference_steps = preset.inpaint.num_inference_steps": "num_inference_steps = 4",
        "seeds = [0, 1, 2, 3, 4, 5]": "seeds = [0, 1]",
        'root / "runs"': 'root / "out" / "test-runs"',
    },
    "04_baselines": {
        "finetune_steps = preset.finetune.steps": "finetune_steps = 2",
        "num_inference_steps = preset.inpaint.num_inference_steps": "num_inference_steps = 2",
        'root / "runs"': 'root / "out" / "test-runs"',
        'root / "out" / "lesson-04"': 'root / "out" / "test-lesson-04"',
    },
    "05_ablations": {
        "live_steps = 100": "live_steps = 2",
        "live_seeds = 2": "live_seeds = 1",
        'root / "runs"': 'root / "out" / "test-runs"',
    },
}


def shrunk_lesson(path: Path) -> execute.nbformat.NotebookNode:
    """Return a lesson without outputs and at a shrunken size."""
    notebook = execute.clean(execute.read(path))
    shrink(notebook, SHRUNK[path.stem])
    return notebook


def shrink(notebook, replacements: dict[str, str]) -> None:
    """Replace lines in the parameter cells; each of them must still be there."""
    for old, new in replacements.items():
        holding = [cell for cell in tagged(notebook, "parameters") if old in cell.source]
        assert holding, f"no cell tagged 'parameters' holds {old!r} any more: change SHRUNK"
        for cell in holding:
            cell.source = cell.source.replace(old, new)


def tagged(lesson, tag: str) -> list:
    """Return the code cells that carry a tag."""
    return [cell for cell in execute.code_cells(lesson) if tag in cell.metadata.get("tags", [])]
