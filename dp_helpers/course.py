"""Do the work of every lesson's set-up cell: check the checkout and the packages, quiet the libraries, show figures.

The cell itself only finds the checkout, or clones it on Colab. Its source is `notebooks/setup_cell.py`.
"""

from __future__ import annotations

import importlib
import logging
import re
import subprocess
import sys
import tempfile
import tomllib
import warnings
from importlib.metadata import PackageNotFoundError, packages_distributions
from importlib.metadata import version as installed_version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from . import __version__
from .errors import InputError, show_notes

_KEPT = ("torch", "ipywidgets")  # never replaced on Colab: torch fits the driver there, ipywidgets fits the page
_EXTRA = "notebooks"


def set_up(root: str | Path, version: str) -> None:
    """Check the checkout and the packages, install packages on Colab, quiet the libraries, show figures.

    Args:
        root: the checkout that the lesson found.
        version: the version of the package that the lesson was written for.

    Raises:
        InputError: the package comes from another folder than ``root`` or has another version;
            other packages are missing or have a version that does not fit.
    """
    root = Path(root)
    _check_checkout(root, version)
    unmet = unmet_requirements(root / "pyproject.toml")
    if unmet and on_colab():
        _install(unmet)
    elif unmet:
        raise InputError(
            f"This kernel's Python needs {_listed(unmet)}: run `make setup` in {root} and choose the kernel of its "
            f".venv, or run `{sys.executable} -m pip install -r {root / 'requirements.txt'}` and restart the kernel."
        )
    quiet()
    show_notes()
    show_figures()
    print(f"DreamPaint {__version__} is ready.")


def on_colab() -> bool:
    """Return whether this process is a Colab kernel."""
    return "google.colab" in sys.modules


def unmet_requirements(pyproject: Path) -> dict[str, str]:
    """Return the requirements of package and lessons that are not met, each with the version found, or "none"."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    unmet = {}
    for line in [*project["dependencies"], *project["optional-dependencies"][_EXTRA]]:
        requirement = Requirement(line)
        found = _version(requirement.name)
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            unmet[line] = found or "none"
    return unmet


def quiet() -> None:
    """Keep the libraries' own loading bars and notes off the screen."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns about kernels that nothing here calls
    warnings.filterwarnings("ignore", category=FutureWarning, module="diffusers")


def show_figures(dpi: int = 72, quality: int = 90) -> None:
    """Let a notebook show the figures of `plots` as HTML images with alternative text.

    JupyterLab and nbconvert give no alternative text to outputs of the type image/jpeg, whatever their metadata say.
    """
    try:
        from IPython import get_ipython

        shell = get_ipython()
        # ipywidgets imports this module at some later time, and the import sets PNG. So import it before we set ours.
        from matplotlib_inline import backend_inline  # noqa: F401
    except ImportError:
        return
    if shell is None:
        return
    from . import plots

    formatters = shell.display_formatter.formatters
    formatters["image/png"].pop("matplotlib.figure.Figure", None)
    formatters["text/html"].for_type_by_name(
        "matplotlib.figure", "Figure", lambda figure: plots.to_html(figure, dpi, quality)
    )


def _check_checkout(root: Path, version: str) -> None:
    package = Path(__file__).resolve().parent
    if package.parent != root.resolve():
        raise InputError(
            f"This kernel has loaded dp_helpers from {package.parent}, but this lesson is in {root}: restart the "
            "kernel and run this cell first."
        )
    text = (package / "__init__.py").read_text(encoding="utf-8")
    on_disk = re.search(r'__version__ = "(.*)"', text)
    if on_disk is None or on_disk[1] != __version__:
        raise InputError(f"The files in {root} have changed since this kernel loaded them: restart the kernel.")
    if version != __version__:
        raise InputError(
            f"This lesson belongs to DreamPaint {version}, but the checkout in {root} is {__version__}: bring it up "
            "to date (`git pull` there, or delete it on Colab) and restart the kernel."
        )


def _version(name: str) -> str | None:
    """Return the version of an installed package, or None."""
    try:
        return installed_version(name)
    except PackageNotFoundError:
        return None


def _listed(unmet: dict[str, str]) -> str:
    return ", ".join(f"{line} (found: {found})" for line, found in unmet.items())


def _install(unmet: dict[str, str]) -> None:
    """Install or upgrade packages on Colab. pip gives up rather than replace a package of _KEPT."""
    kept = {name: version for name in _KEPT if (version := _version(name))}
    held = {line: found for line, found in unmet.items() if Requirement(line).name in kept}
    if held:
        raise InputError(
            f"The lessons need {_listed(held)}. Colab itself depends on its own version, so this cell does not replace "
            "it: choose another runtime version (Runtime > Change runtime type) and run this cell again."
        )
    print("installing", ", ".join(unmet), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "kept.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in kept.items()), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints), *unmet]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise InputError(f"pip could not install {', '.join(unmet)} ({said}): try this cell again.")
    importlib.invalidate_caches()
    if loaded := _loaded([Requirement(line).name for line, found in unmet.items() if found != "none"]):
        raise InputError(
            f"This kernel still holds the old {', '.join(loaded)}: restart the session (Runtime > Restart session) and "
            "run this cell again."
        )


def _loaded(packages: list[str]) -> list[str]:
    """Return those of the packages of which this process has imported a module."""
    providers = packages_distributions()
    names = {canonicalize_name(name) for module in providers.keys() & sys.modules for name in providers[module]}
    return [package for package in packages if canonicalize_name(package) in names]
