"""A JupyterLab of the tests' own: neither the lessons nor what a reader has set in JupyterLab has a part in it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 600  # seconds for whatever is waited for: a busy machine takes its time
ARGUMENTS = """--no-browser --allow-root --ip=127.0.0.1 --port=0 --IdentityProvider.token=
--ServerApp.open_browser=False""".split()
FOLDERS = "JUPYTER_CONFIG_DIR JUPYTER_DATA_DIR JUPYTER_RUNTIME_DIR IPYTHONDIR".split()
SETTINGS = Path("lab/user-settings/@jupyterlab/apputils-extension")


@contextlib.contextmanager
def serve(folder: Path, tmp_path: Path, theme: str | None = None) -> Iterator[str]:
    """Run a JupyterLab in a folder, with its own settings below ``tmp_path``, and yield its address."""
    environment = (
        os.environ | {name: str(tmp_path / name) for name in FOLDERS} | {"JUPYTER_CONFIG_PATH": "", "JUPYTER_PATH": ""}
    )
    settings = tmp_path / "JUPYTER_CONFIG_DIR" / SETTINGS
    settings.mkdir(parents=True, exist_ok=True)
    values = {"notification": {"fetchNews": "false", "checkForUpdates": False}}
    if theme:
        values["themes"] = {"theme": theme}
    for name, chosen in values.items():
        (settings / f"{name}.jupyterlab-settings").write_text(json.dumps(chosen))
    log = tmp_path / "server.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "jupyterlab", *ARGUMENTS]
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield _address_of(server, tmp_path / "JUPYTER_RUNTIME_DIR", log)
        finally:
            _end(server)


def _address_of(server: subprocess.Popen, runtime: Path, log: Path) -> str:
    """Wait for the file in which a server that answers tells its address."""
    told = runtime / f"jpserver-{server.pid}.json"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return json.loads(told.read_text())["url"]
        except (FileNotFoundError, json.JSONDecodeError):  # not there yet, or not yet whole
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()}")


def _end(server: subprocess.Popen) -> None:
    """Stop a server; it takes its kernels with it."""
    server.terminate()
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
