"""The order of the modules: `dp_helpers.MODULES` lists those on the disk, the README shows it, all imports obey it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dp_helpers
from dp_helpers import MODULES

PACKAGE = Path(dp_helpers.__file__).parent
README = PACKAGE.parent / "README.md"
MOST_LINES = 250
TO_LOOK_AT = {"plots", "charts", *(module for module in MODULES if module.startswith("widgets."))}
MAY_LOOK = {
    *TO_LOOK_AT,
    *(module for module in MODULES if module.startswith("commands.")),
    "evaluation.report",
    "evaluation.ablation_report",
    "course",
    "demo",
    "check",
    "__main__",
}


def path_of(module: str) -> Path:
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


def imports(text: str, module: str) -> list[str]:
    """Return what the source of ``module`` imports from this package, wherever the import is: "squares", "widgets" ...

    A name that is neither module nor package stands for where it is from: that of ``dp_helpers`` itself is "".
    """
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = ["dp_helpers", *module.split(".")][: -node.level] if node.level else []
            start = ".".join([*above, node.module] if node.module else above)
            found += [each if known(each := f"{start}.{alias.name}") else start for alias in node.names]
    return [name.partition(".")[2] for name in found if name.split(".")[0] == "dp_helpers"]


def known(name: str) -> bool:
    """Return whether "dp_helpers.SOMETHING" is a module or a package of modules."""
    wanted = name.removeprefix("dp_helpers.")
    return any(module == wanted or module.startswith(wanted + ".") for module in MODULES)


def wrong(found: list[str], module: str) -> list[str]:
    """Return which of the imports found in ``module`` are not of modules that stand above it in the order."""
    order = list(MODULES)
    return [name for name in found if name and name not in order[: order.index(module)]]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("from . import latents", ["training.latents"]),
        ("from .latents import Batch, Bank", ["training.latents", "training.latents"]),
        ("from .. import masks, presets", ["masks", "presets"]),
        ("from ..squares import cut", ["squares"]),
        ("from .. import __version__", [""]),
        ("from ..widgets import canvas", ["widgets.canvas"]),
        ("import dp_helpers.widgets.canvas as painting", ["widgets.canvas"]),
        ("from dp_helpers import plots", ["plots"]),
        ("from dp_helpers.plots import save", ["plots"]),
        ("import dp_helpers", [""]),
        ("import torch, numpy as np", []),
        ("from torch.nn import attention", []),
        ("def later():\n    if True:\n        from ..inpaint import Painter", ["inpaint"]),
        ("try:\n    from ..plots import save\nexcept ImportError:\n    pass", ["plots"]),
    ],
)
def test_every_form_of_import_is_read(line, wanted):
    assert imports(line, "training.loss") == wanted


def test_an_import_against_the_order_is_found():
    assert wrong(["training.latents", "presets", ""], "training.loss") == []
    for name in ("training.optim", "inpaint", "plots", "training.loss", "training"):
        assert wrong([name], "training.loss") == [name]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_stands_above_it(module):
    text = path_of(module).read_text(encoding="utf-8")
    assert wrong(imports(text, module), module) == [], "these do not stand above it in dp_helpers.MODULES"


@pytest.mark.parametrize("module", [name for name in MODULES if name not in MAY_LOOK])
def test_nothing_that_computes_draws_or_shows(module):
    found = imports(path_of(module).read_text(encoding="utf-8"), module)
    assert not [name for name in found if name in TO_LOOK_AT or name == "widgets"]


def test_packages_import_nothing_but_os():
    for path in PACKAGE.rglob("__init__.py"):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        imported = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
        assert {alias.name for node in imported for alias in node.names} <= {"os"}, path


def test_the_list_names_every_module_on_the_disk_once():
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    on_disk = {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in paths}
    assert on_disk - set(MODULES) == set(), "dp_helpers.MODULES lacks these"
    assert set(MODULES) - on_disk == set(), "there are no such modules"
    names = {PACKAGE, *(path_of(module).parent for module in MODULES)}
    assert {path.parent for path in PACKAGE.rglob("__init__.py")} == names


def test_every_description_is_one_line():
    for module, description in MODULES.items():
        assert description == description.strip() and "\n" not in description and 10 <= len(description) <= 90, module


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_no_module_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_importing_the_package_loads_none_of_its_modules_and_no_library():
    code = """
import sys
before = set(sys.modules)
import dp_helpers
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "dp_helpers\n"


def test_the_readme_shows_the_list():
    text = README.read_text(encoding="utf-8")
    wanted = "\n".join(f"| `{name}` | {description} |" for name, description in MODULES.items())
    blocks = re.findall(r"<!-- modules:begin -->\n(.*?)<!-- modules:end -->", text, re.DOTALL)
    assert len(blocks) == 1, f"README.md must show the modules between its two marks, one line each:\n{wanted}"
    # A table's row or a list's line: the name in backticks, then its description.
    row = re.compile(r"^\s*[|*-]?\s*`([\w.]+)`[\s|:]*(.*?)[\s|]*$")
    shown = [found.groups() for line in blocks[0].splitlines() if (found := row.match(line))]
    assert shown == list(MODULES.items()), f"README.md must show:\n{wanted}"
