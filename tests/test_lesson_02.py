"""Lesson 02 frees its own models before the real run, because both do not fit into a GPU with 16 GB at once."""

import execute
from tools.shrunk import shrunk_lesson

COUNT = """
import gc

kept = {id(parameter) for parameter in vae.parameters()}  # the VAE stays
alive = (thing for thing in gc.get_objects() if type(thing) is torch.nn.Parameter and id(thing) not in kept)
print(sum(parameter.numel() for parameter in alive))
del alive
"""


def test_no_model_is_alive_when_the_real_run_begins(monkeypatch):
    """Count the living parameters before the lesson frees its models, and again where the real run begins."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lesson = shrunk_lesson(execute.HERE / "02_masked_finetuning.ipynb")
    frees = next(index for index, cell in enumerate(lesson.cells) if "accelerator.free_memory(" in cell.source)
    begins = next(index for index, cell in enumerate(lesson.cells) if "finetune.finetune(item" in cell.source)
    count = execute.nbformat.v4.new_code_cell(COUNT)
    cells = [*lesson.cells[:frees], count, *lesson.cells[frees:begins], count.copy()]
    lesson.cells = [cell for cell in cells if cell.pop("id", True)]  # the notebook's format has no ids
    done = execute.execute(lesson)
    before, after = (int(done.cells[index].outputs[0].text) for index in (frees, -1))
    assert before > 1_000_000
    assert after == 0
