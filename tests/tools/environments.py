"""Build the environments of Binder and of Colab from nothing and run the project in them: ``make environments``, or

    python tests/tools/environments.py binder    # Binder's own steps, then all lessons at full size in 2 GB of memory
    python tests/tools/environments.py colab     # ipywidgets 7.7.1: the tests of widgets and set-up cell, lesson 03

Run it after a change of pins, of binder/, or of what a lesson needs. It is not part of the tests, because each
environment is a download of about 300 MB and takes 1.5 GB of disk while it works. It tests the last commit, in a fresh
clone in a temporary folder, on Linux. It reaches neither service. Binder's image has conda's Python, some packages
next to ours, and one core. Colab has its own torch, Python and front end.

Memory is limited for all processes of a lesson together: JupyterLab's server, which Binder runs too, execute.py and the
kernel. Swap counts. The limit is a memory group of Linux's cgroup v1 (as root), otherwise ``systemd-run --scope``.
The latter follows its manual and has not been run yet. The peak counts what files have in memory too. pip obeys its
own variables, such as PIP_RETRIES=0 where one of its indexes cannot be reached.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GROUPS = Path("/sys/fs/cgroup/memory")  # where cgroup v1 is mounted, if it is
BINDERS_MEMORY = 2_000_000_000  # bytes: what mybinder.org allows at most
COLABS_IPYWIDGETS = "ipywidgets==7.7.1"
# Without test_lab.py: today's JupyterLab shows widgets of ipywidgets 8, and Colab has a front end of its own.
COLABS_TESTS = """test_canvas.py test_panels.py test_product.py test_rating.py test_upload.py test_download.py
test_setup_cell.py browser/test_canvas_page.py browser/test_canvas_open.py browser/test_canvas_tools.py
browser/test_canvas_keyboard.py browser/test_rating_page.py""".split()
SHOWN = """torch diffusers transformers ipywidgets jupyterlab_widgets widgetsnbextension anywidget jupyterlab
nbclient""".split()

# Runs inside the limit: the server as Binder starts it, and next to it the lesson ($1) by the Python $0.
LESSON = """
"$0" -m jupyter lab --no-browser --allow-root --port=0 --ServerApp.token=dreampaint >server.log 2>&1 & server=$!
for _ in $(seq 600); do grep -q "is running at" server.log && break; sleep 0.1; done
"$0" notebooks/execute.py "$1"; code=$?
kill -0 $server || { echo "JupyterLab's server did not survive: $(tail -n 1 server.log)" >&2; code=1; }
kill $server; wait $server; exit $code
"""


class Failure(Exception):
    """Raised for what went wrong, in one sentence for people."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("which", choices=["binder", "colab"])
    parser.add_argument("--memory", type=int, default=BINDERS_MEMORY, help="bytes for each lesson (%(default)s)")
    parser.add_argument("--python", help="default: that of runtime.txt (binder), this one (colab)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C: nothing stays behind
    try:
        with tempfile.TemporaryDirectory(prefix="dreampaint-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
            clone = Path(folder) / "dreampaint"
            call("git", "clone", "--quiet", ROOT, clone)
            commit = subprocess.check_output(["git", "log", "-1", "--format=%h %s"], cwd=clone, text=True).strip()
            say(f"{options.which}, tested at commit {commit}")
            failed = {"binder": binder, "colab": colab}[options.which](clone, options)
    except (Failure, KeyboardInterrupt) as error:
        say(str(error) or "stopped")
        return 2
    say(f"{options.which}: " + (f"FAILED: {', '.join(failed)}" if failed else "all passed"))
    return 1 if failed else 0


def binder(clone: Path, options: argparse.Namespace) -> list[str]:
    """Take Binder's steps in its order, then run every lesson in limited memory. Return the lessons that failed."""
    limiter()  # better now than after the download
    wanted = (clone / "binder/runtime.txt").read_text().strip().replace("-", "")  # python-3.11: the program python3.11
    python = make_environment(clone.parent / "binder", options.python or wanted, wanted)
    call(python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", "binder/requirements.txt", cwd=clone)
    environment = activated(python)
    call("binder/postBuild", cwd=clone, env=environment)
    show_versions(python)  # nbclient, which execute.py needs, came with JupyterLab: nothing is added to Binder's set
    failed = []
    for lesson in sorted((clone / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        begin = time.monotonic()
        command = ["binder/start", "bash", "-c", LESSON, python, lesson.stem]
        code, peak, killed = limited(command, options.memory, cwd=clone, env=environment)
        verdict = "KILLED for memory" if killed else "FAILED" if code else "passed"
        limit = f"peak {peak / 1e6:.0f} MB of {options.memory / 1e6:.0f}"
        say(f"{lesson.stem}: {verdict}, {time.monotonic() - begin:.0f} s, {limit}")
        failed += [lesson.stem] if code or killed else []
    return failed


def colab(clone: Path, options: argparse.Namespace) -> list[str]:
    """Install the requirements with Colab's ipywidgets, run the tests of the widgets, and the lesson of the canvas."""
    requirements = clone / "requirements.txt"
    text, found = re.subn(r"^ipywidgets==\S+", COLABS_IPYWIDGETS, requirements.read_text(), flags=re.MULTILINE)
    if found != 1:
        raise Failure("requirements.txt has no line 'ipywidgets==...' to put Colab's version into.")
    requirements.write_text(text)
    python = make_environment(clone.parent / "colab", options.python or sys.executable)
    call(python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", requirements.name, cwd=clone)
    environment = {"DP_REQUIRE_BROWSER": "1"} | activated(python)
    show_versions(python)
    steps = {
        "the tests": ["-m", "pytest", *(f"tests/{name}" for name in COLABS_TESTS)],
        "lesson 03": ["notebooks/execute.py", "03_inpainting_canvas"],
    }
    done = {name: subprocess.run([python, *step], cwd=clone, env=environment) for name, step in steps.items()}
    return [name for name, step in done.items() if step.returncode]


def make_environment(folder: Path, program: str, wanted: str = "") -> str:
    """Make a new virtual environment. Return its Python."""
    if not shutil.which(program):
        raise Failure(f"There is no program {program}: install it, or name one with --python.")
    version = "import sys; print('python{}.{}'.format(*sys.version_info))"
    found = subprocess.run([program, "-c", version], capture_output=True, text=True)
    if found.returncode or wanted not in ("", found.stdout.strip()):
        raise Failure(f"{program} is not {wanted or 'a Python that runs'}: name one with --python.")
    call(program, "-m", "venv", folder)
    return str(folder / "bin" / "python")


def activated(python: str) -> dict[str, str]:
    """Return this process's variables, less those that lead to other packages and with its own programs first."""
    left_out = ("PYTHON", "DREAMPAINT_", "JUPYTER", "IPY")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(left_out)}
    kept["HOME"] = str(Path(python).parents[2])  # no settings and no downloaded models of the user's
    return kept | {"PATH": f"{Path(python).parent}:{os.environ['PATH']}", "VIRTUAL_ENV": str(Path(python).parents[1])}


def show_versions(python: str) -> None:
    """Print Python's version and those of the packages that matter here."""
    code = """import sys, importlib.metadata as m
print(sys.version.split()[0], *(f"{name} {m.version(name)}" for name in sys.argv[1:]))"""
    say("Python " + subprocess.check_output([python, "-c", code, *SHOWN], text=True).strip())


def limiter() -> str:
    """Return the way to limit the memory of several processes together: "cgroup" or "systemd"."""
    if os.access(GROUPS / "memory.limit_in_bytes", os.W_OK):
        return "cgroup"
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")  # cgroup v2
    if shutil.which("systemd-run") and Path("/run/systemd/system").is_dir() and controllers.exists():
        return "systemd"
    raise Failure("Memory cannot be limited here: run this as root where cgroup v1 is mounted, or under systemd.")


def limited(command: list[str], limit: int, **options) -> tuple[int, int, bool]:
    """Run with at most ``limit`` bytes for all processes together.

    Returns:
        The exit code, the peak in bytes, and whether a process was killed for it.
    """
    if limiter() == "systemd":
        return limited_by_systemd(command, limit, **options)
    own = re.search(r"^\d+:memory:/(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)[1]
    # Below the group that this process is in, so that its limits hold as well.
    above = GROUPS / own if (GROUPS / own).is_dir() else GROUPS
    group = Path(tempfile.mkdtemp(prefix="dreampaint-", dir=above))
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        # With swap counted in where the kernel can do that, otherwise without swap.
        kind = "memory.memsw" if (group / "memory.memsw.limit_in_bytes").exists() else "memory"
        if kind == "memory":
            (group / "memory.swappiness").write_text("0")
        (group / f"{kind}.limit_in_bytes").write_text(str(limit))
        enter = f'echo $$ >"{group}/cgroup.procs" && exec "$@"'
        code = subprocess.run(["sh", "-c", enter, "sh", *command], **options).returncode
        peak = int((group / f"{kind}.max_usage_in_bytes").read_text())
        return code, peak, "oom_kill 0" not in (group / "memory.oom_control").read_text()
    finally:
        while left := (group / "cgroup.procs").read_text().split():  # what a killed lesson, or Ctrl-C, left behind
            for process in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            time.sleep(0.1)
        group.rmdir()


def limited_by_systemd(command: list[str], limit: int, **options) -> tuple[int, int, bool]:
    """Do the same by a scope of systemd. Its figures are read from within, because it ends with its last process."""
    place = '"/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)"'
    inside = f'exec 3>"$0"; "$@"; code=$?; cd {place}; cat memory.peak memory.events >&3; exit $code'
    who = [] if os.geteuid() == 0 else ["--user"]
    limits = ["-p", f"MemoryMax={limit}", "-p", "MemorySwapMax=0"]
    scope = ["systemd-run", *who, "--scope", "--quiet", "--collect", *limits]
    with tempfile.NamedTemporaryFile("r") as figures:
        shell = ["sh", "-c", inside, figures.name]
        code, said = subprocess.run([*scope, *shell, *command], **options).returncode, figures.read().split()
    if len(said) < 2 or not said[0].isdigit():
        raise Failure("systemd-run gave no figures: it made no scope with a limit, or the scope was killed as a whole.")
    return code, int(said[0]), said[said.index("oom_kill") + 1] != "0"


def call(*command: str | Path, **options) -> None:
    """Run a step that must succeed."""
    words = " ".join(map(str, command))
    say(f"$ {words}")
    if subprocess.run(command, **options).returncode:
        raise Failure(f"This step failed, see above: {words}")


def say(text: object) -> None:
    print(f"[environments] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
