"""Execute the lessons from top to bottom and write their outputs back: ``python notebooks/execute.py [names...]``.

Each lesson gets a fresh kernel with this folder as its working folder. Two runs write the same file, except for what
the lesson itself measures: no cell ids, no timestamps, no widgets, no progress bars. A lesson with a failing cell, or
one that grows too large, stays as it was, and the exit code is 1.

``python notebooks/execute.py --sources`` executes nothing. It writes the set-up cell and the badges into every
lesson, and the `git clone` line and the badges into the README.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import signal
import sys
import time
from pathlib import Path

import address
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

HERE = Path(__file__).resolve().parent
MAX_BYTES = 1_000_000  # of a lesson with its pictures
TIMEOUT = 1800  # seconds for one cell
LIMITS = {"s": 180, "MB": 1500}  # what a lesson may take on two cores: time, and memory of its kernel
PEAK = """
import contextlib, sys
with contextlib.suppress(ImportError):  # Windows
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3))
"""
WIDGET = "application/vnd.jupyter.widget-view+json"
SETUP = (HERE / "setup_cell.py").read_text(encoding="utf-8").strip()
ADDRESS = address.find(SETUP)
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}  # as Colab and JupyterLab fold a cell


class LessonError(Exception):
    """A lesson that must not be written; the message is for people."""


def main(arguments: list[str]) -> int:
    """Execute the named lessons, or all, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("names", nargs="*", help="lessons, with or without folder and ending (default: all)")
    parser.add_argument("--sources", action="store_true", help="write set-up cells and badges; execute nothing")
    options = parser.parse_args(arguments)
    if options.sources:
        return write_sources()
    failed = 0
    for path in lessons(options.names):
        print(f"{path.name} ...", file=sys.stderr, flush=True)
        try:
            costs: dict[str, float] = {}
            notebook = execute(clean(read(path)), costs=costs)
            write(notebook, path)
        except LessonError as error:
            failed += 1
            print(f"{path.name} was left as it was: {error}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print(f"Stopped: {path.name} was left as it was.", file=sys.stderr, flush=True)
            return 130
        else:
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {_told(costs)}", flush=True)
    return 1 if failed else 0


def write_sources() -> int:
    """Write the set-up cell and the public address wherever they belong, and keep all outputs. Return the exit code."""
    readme = HERE.parent / "README.md"
    notebooks = {path: read(path) for path in lessons()}
    titles = {path.stem: notebook.cells[0].source.splitlines()[0][2:] for path, notebook in notebooks.items()}
    try:
        text = address.in_readme(readme.read_text(encoding="utf-8"), ADDRESS, titles)
        for path, notebook in notebooks.items():
            write(notebook, path)
    except (LessonError, ValueError) as error:
        print(f"The public address was not written everywhere: {error}", file=sys.stderr)
        return 1
    readme.write_text(text, encoding="utf-8")
    return 0


def lessons(names: list[str] | None = None) -> list[Path]:
    """Return the paths of the named lessons, or of all. A name may have a folder and an ending."""
    every = sorted(HERE.glob("[0-9][0-9]_*.ipynb"))
    if not names:
        return every
    known, wanted = {path.stem: path for path in every}, [Path(name).stem for name in names]
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"There is no lesson {unknown[0]!r}: name some of {', '.join(known)}.")
    return [known[name] for name in wanted]


def read(path: Path) -> nbformat.NotebookNode:
    """Return a lesson with the set-up cell and the badges of today in place of those that its file holds."""
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        if "setup" in cell.metadata.get("tags", []):
            cell.source, cell.metadata = SETUP, kept_metadata(cell)
    for first in notebook.cells[:1]:
        if first.cell_type == "markdown":
            first.source = address.in_lesson(first.source, ADDRESS, path.stem)
    return notebook


def kept_metadata(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the metadata that a cell is written with: its tags, and for the set-up cell that it is folded."""
    tags = cell.metadata.get("tags")
    folded = FOLDED if "setup" in (tags or []) else {}
    return nbformat.from_dict(({"tags": tags} if tags else {}) | folded)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the code cells in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _told(costs: dict[str, float]) -> str:
    """Say what a lesson took, and what of it is more than the limit."""
    over = {unit: f" (more than {most})" for unit, most in LIMITS.items() if costs.get(unit, 0) > most}
    return ", ".join(f"{cost:.0f} {unit}{over.get(unit, '')}" for unit, cost in costs.items())


def execute(
    notebook: nbformat.NotebookNode, timeout: int = TIMEOUT, costs: dict[str, float] | None = None
) -> nbformat.NotebookNode:
    """Run all cells in a fresh kernel of this very Python. Return the notebook with clean outputs.

    Args:
        notebook: without outputs.
        timeout: seconds for one cell.
        costs: receives the time and the kernel's peak memory, by the units of `LIMITS`; Windows does not tell the peak.

    Raises:
        LessonError: a cell failed; the message names it and the reason.
        KeyboardInterrupt: on Ctrl-C, or when this process is told to end.
    """
    started: list[nbformat.NotebookNode] = []
    stopped = asyncio.Event()

    def on_cell_execute(cell: nbformat.NotebookNode, cell_index: int) -> None:
        started.append(cell)
        _stop_on_signals(stopped)

    measuring, begin = nbformat.v4.new_code_cell(PEAK), time.monotonic()
    measuring.pop("id")
    notebook.cells.append(measuring)
    client = NotebookClient(
        notebook,
        on_cell_execute=on_cell_execute,
        timeout=timeout,
        startup_timeout=600,  # a busy machine takes its time
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--log-level=CRITICAL"],
        resources={"metadata": {"path": str(HERE)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise LessonError(f"{_last(started, notebook)} raised {error.ename}: {error.evalue}") from error
    except CellTimeoutError as error:
        raise LessonError(f"{_last(started, notebook)} took more than {timeout} s") from error
    except (DeadKernelError, asyncio.CancelledError) as error:
        if stopped.is_set():
            raise KeyboardInterrupt from error
        raise LessonError(f"{_last(started, notebook)} ended the kernel (out of memory?)") from error
    except RuntimeError as error:
        raise LessonError(f"its kernel did not start ({error})") from error
    notebook.cells.pop()
    if costs is not None:
        costs["s"] = time.monotonic() - begin
        if measuring.outputs:
            costs["MB"] = float(measuring.outputs[0].text)
    return clean(notebook, outputs=True)


def _stop_on_signals(stopped: asyncio.Event) -> None:
    """Cancel everything that runs here when this process is told to end. nbclient would end with a traceback."""

    def stop() -> None:
        stopped.set()
        for task in asyncio.all_tasks():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
            asyncio.get_running_loop().add_signal_handler(number, stop)


def clean(notebook: nbformat.NotebookNode, *, outputs: bool = False) -> nbformat.NotebookNode:
    """Keep what belongs to the lesson: sources, tags, the folded set-up cell and, if wanted, outputs for a page."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})
    notebook.nbformat, notebook.nbformat_minor = 4, 4  # the last format without cell ids
    for cell in notebook.cells:
        cell.pop("id", None)
        cell.metadata = kept_metadata(cell)
        if cell.cell_type == "code":
            cell.outputs = tidy(cell.outputs) if outputs else []
            cell.execution_count = cell.execution_count if outputs else None
    return notebook


def write(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a lesson whole or not at all.

    Raises:
        LessonError: it is too large.
    """
    text = nbformat.writes(notebook)
    if len(text.encode()) > MAX_BYTES:
        raise LessonError(
            f"it has {len(text.encode()) / 1000:.0f} kB, more than {MAX_BYTES / 1000:.0f}: fewer pictures"
        )
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    temporary.replace(path)


def tidy(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Return outputs as a page can show them: prints in one piece, no widgets, no progress bars.

    A widget works only in a running kernel, and a page would show only scraps of a progress bar. How a print is cut
    into pieces depends on time. nbclient can join the pieces, but hides the carriage returns by which we know a bar.
    """
    joined = _join([output for output in outputs if WIDGET not in output.get("data", {})])
    for output in joined:
        if output.output_type == "stream":
            output.text = "".join(line for line in re.findall(r"[^\n]*\n|[^\n]+", output.text) if "\r" not in line)
    return _join([output for output in joined if output.get("text") != ""])


def _join(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Copy the outputs, and join neighbours of the same stream."""
    kept: list[nbformat.NotebookNode] = []
    for output in outputs:
        if kept and output.output_type == kept[-1].output_type == "stream" and kept[-1].name == output.name:
            kept[-1].text += output.text
        else:
            kept.append(nbformat.from_dict(output))
    return kept


def _last(started: list[nbformat.NotebookNode], notebook: nbformat.NotebookNode) -> str:
    """Name the last cell that was started by its number and first line. A killed kernel leaves no other trace."""
    number = next(number for number, cell in enumerate(code_cells(notebook), start=1) if cell is started[-1])
    return f"code cell {number} ({started[-1].source.splitlines()[0]!r})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
