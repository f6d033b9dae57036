"""What the set-up cell of every lesson calls: check the checkout and the packages, quiet the libraries, show figures.

The cell itself only finds the checkout, or clones it on Colab. Its source is `notebooks/setup_cell.py`.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import warnings
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from . import __version__
from .errors import InputError

_KEPT = ("torch", "ipywidgets")  # on Colab: torch fits the driver, ipywidgets the page; never replaced
_EXTRA = "notebooks"


def set_up(root: str | Path, version: str) -> None:
    """Check the checkout, install what is missing if this is Colab, quieten the libraries, show figures.

    Args:
        root: the checkout that the lesson found.
        version: of the package that the lesson was written for.

    Raises:
        InputError: the package comes from elsewhere than ``root``, or is of another version;
            packages are missing.
    """
    root = Path(root)
    _check_checkout(root, version)
    missing = missing_packages(root / "pyproject.toml")
    if missing and on_colab():
        _install(missing)
    elif missing:
        names = ", ".join(re.split(r"[<>=!~ ]", requirement)[0] for requirement in missing)
        raise InputError(
            f"This kernel's Python lacks {names}: run `make setup` in {root} and choose the kernel of its .venv, "
            f"or run `{sys.executable} -m pip install -r {root / 'requirements.txt'}` and restart the kernel."
        )
    yield_cores()
    quiet()
    show_figures()
    print(f"DreamPaint {__version__} is ready.")


def on_colab() -> bool:
    """Whether this process is a Colab kernel."""
    return "google.colab" in sys.modules


def missing_packages(pyproject: Path) -> list[str]:
    """The requirements of the package and of its lessons that are not installed, in any version."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"][_EXTRA]]
    return [requirement for requirement in needed if not _is_installed(re.split(r"[<>=!~ \[]", requirement)[0])]


def yield_cores() -> None:
    """Let torch's threads sleep while they wait for one another, instead of spinning. Call it before torch is imported.

    On a machine that is busy with something else, spinning threads take the cores from the work that they wait for.
    Variables that the user has set stay as they are.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")


def quiet() -> None:
    """Keep the libraries' own loading bars and notes off the screen."""
    import diffusers.utils.logging
    import transformers.utils.logging

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it misses kernels that nothing here calls
    warnings.filterwarnings("ignore", category=FutureWarning, module="diffusers")


def show_figures(dpi: int = 72, quality: int = 90) -> None:
    """Let a notebook show the figures of `plots`: as JPEG, since they are mostly photos and a lesson stays small."""
    try:
        from IPython import get_ipython

        shell = get_ipython()
        # ipywidgets imports this at some later time, and then it sets PNG: so let it do that now, before us.
        from matplotlib_inline import backend_inline  # noqa: F401
    except ImportError:
        return
    if shell is None:
        return
    shell.display_formatter.formatters["image/png"].pop("matplotlib.figure.Figure", None)
    formatter = shell.display_formatter.formatters["image/jpeg"]
    formatter.for_type_by_name("matplotlib.figure", "Figure", lambda figure: _to_jpeg(figure, dpi, quality))


def _to_jpeg(figure, dpi: int, quality: int) -> bytes:
    buffer = io.BytesIO()
    options = {"dpi": dpi, "facecolor": "white", "bbox_inches": "tight", "pad_inches": 0.05}
    figure.savefig(buffer, format="jpeg", pil_kwargs={"quality": quality}, **options)
    return buffer.getvalue()


def _check_checkout(root: Path, version: str) -> None:
    package = Path(__file__).resolve().parent
    if package.parent != root.resolve():
        raise InputError(
            f"This kernel has loaded dp_helpers from {package.parent}, but this lesson lies in {root}: restart the "
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


def _is_installed(name: str) -> bool:
    try:
        installed_version(name)
    except PackageNotFoundError:
        return False
    return True


def _install(requirements: list[str]) -> None:
    """Add packages; pip gives up rather than replace one of those in _KEPT."""
    print("installing", ", ".join(requirements), flush=True)
    kept = [f"{name}=={installed_version(name)}" for name in _KEPT if _is_installed(name)]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "kept.txt"
        constraints.write_text("\n".join(kept) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints), *requirements]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        raise InputError(f"pip could not install {', '.join(requirements)} ({said}): try this cell again.")
    importlib.invalidate_caches()
