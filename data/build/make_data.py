"""Make all of data/ but the models: `python data/build/make_data.py`

First what people see (catalogue, contexts, benchmark), then the training set of the tiny family (ignored by git). Same
seeds, same pictures; what exists already is left alone.
"""

import subprocess
import sys
from pathlib import Path

for script in ("make_catalog.py", "make_trainset.py"):
    subprocess.run([sys.executable, str(Path(__file__).with_name(script))], check=True)
