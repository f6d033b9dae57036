# Set-up, the same in every lesson: on Colab, on Binder and on your own machine. Running it again does no harm.
repository = ""  # only for Colab: the address to clone this project from

import subprocess
import sys
from pathlib import Path

here, marker = Path.cwd(), "dp_helpers/course.py"
folders = [here, *here.parents, here / "dreampaint"]
root = next((folder for folder in folders if (folder / marker).is_file()), folders[-1])
if repository and "google.colab" in sys.modules and not root.exists():
    subprocess.run(["git", "clone", "--quiet", repository, str(root)])
if not (root / marker).is_file():
    raise FileNotFoundError(f"There is no checkout of DreamPaint around {here}: open this notebook inside one. On Colab, "
                            f"fill in (or correct) `repository` above; if {root} exists, delete it first.")
sys.path[:0] = [str(root)] if str(root) not in sys.path else []
from dp_helpers import course, presets

course.set_up(root, version="0.1.0")
preset, data = presets.load("tiny"), presets.find_data()  # with a GPU: "sd15" instead of "tiny"
