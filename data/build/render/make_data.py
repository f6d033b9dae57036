"""Make all of data/ but the models: `python -m data.build.render.make_data`

First what people see (catalogue, contexts, benchmark, near-twins), then the training set of the tiny family (ignored
by git). The same seeds give the same pictures. What exists already is left alone.
"""

import subprocess
import sys

for module in ("make_catalog", "make_twins", "make_trainset"):
    subprocess.run([sys.executable, "-m", f"data.build.render.{module}"], check=True)
