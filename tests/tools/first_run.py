"""Run the commands with sd15 from the first download to an offline painting: `python tests/tools/first_run.py`.

A Hub on this machine serves tiny random models under the real ids, in the layout of the real repositories. The README's
commands run against it, each in a process of its own, with the preset's own file (but few views and steps). What the
first user sees on stderr is printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

from tools.family import make_family  # noqa: E402
from tools.hub_models import make_repositories  # noqa: E402
from tools.hub_server import HubServer  # noqa: E402


def main() -> int:
    """Run all commands, and return 1 if one of them fails."""
    server = HubServer()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server.repositories |= make_repositories(make_family(folder / "family"), folder / "repositories")
        text = (REPOSITORY / "dp_helpers" / "presets" / "sd15.toml").read_text(encoding="utf-8")
        for old, new in (("views = 48", "views = 2"), ("masks_per_view = 4", "masks_per_view = 1")):
            assert old in text
            text = text.replace(old, new)
        (folder / "first.toml").write_text(text, encoding="utf-8")
        given = ["--preset", str(folder / "first.toml")]
        item, context = (REPOSITORY / "data" / part for part in ("catalog/captain-t-shirt", "contexts/mannequin-ben"))
        run, photo, mask = folder / "run", context / "photo.png", context / "masks" / "rectangle.png"
        environment = os.environ | {
            "PYTHONPATH": str(REPOSITORY),
            "HF_ENDPOINT": server.address,
            "HF_HOME": str(folder / "home"),
            "HF_HUB_OFFLINE": "0",
        }
        failed = False
        for words in (
            ["check", *given],
            ["masks", item, "--out", folder / "masks", *given],
            ["finetune", item, "--steps", "1", "--out", run, *given],
            ["inpaint", run, photo, mask, "--out", folder / "painted.png", *given],
            ["inpaint", run, photo, mask, "--out", folder / "offline.png", *given],
        ):
            started, asked = time.perf_counter(), len(server.requests)
            environment["HF_HUB_OFFLINE"] = "1" if "offline" in str(words) else "0"
            command = [sys.executable, "-m", "dp_helpers", *map(str, words)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            seconds, requests = time.perf_counter() - started, len(server.requests) - asked
            print(f"== {words[0]}: exit code {done.returncode}, {seconds:.0f} s, {requests} requests to the Hub")
            print("\n".join(line.split("\r")[-1] for line in (done.stdout + done.stderr).splitlines()))
            failed |= words[0] != "check" and done.returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
