# @title Set-up: finds DreamPaint, checks the packages, loads the preset "tiny"
import subprocess
import sys
from pathlib import Path

repository = ""
here, marker = Path.cwd(), "dp_helpers/course.py"
root = next((folder for folder in [here, *here.parents] if (folder / marker).is_file()), here / "dreampaint")
if repository and "google.colab" in sys.modules and not (root / marker).is_file():
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", repository, str(root)])
if not (root / marker).is_file():
    raise FileNotFoundError(
        f"DreamPaint is neither around {here} nor in {root}: open this lesson inside a checkout, or, on Colab, check "
        "the address `repository` in this cell and delete that last folder if it exists."
    )
sys.path.insert(0, str(root))
from dp_helpers import course, files, presets

course.set_up(root, version="0.1.0")
preset, data = presets.load("tiny"), files.find_data()  # with a GPU: "sd15" instead of "tiny"
