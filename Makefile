# make demo and make test do everything on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
OUT ?= out/demo
PY := .venv/bin/python

.PHONY: help setup demo test fuzz notebooks gallery evaluate ablations address bench rehearse lint data tiny environments

help:
	@echo "make demo   set up .venv, run the main job, say where the picture is"
	@echo "make test   set up .venv, run the tests"
	@echo "make notebooks   execute the lessons, write outputs and README's picture (LESSONS=\"00_start_here\" for some)"
	@echo "make gallery   draw README's gallery of all twelve products (fine-tunes each of them first, once)"
	@echo "make evaluate   compare all painters on data/benchmark, write data/results/evaluate/ (about an hour, resumable)"
	@echo "make ablations   run all ablations into data/results/ablations (ABLATIONS=\"guidance eta\" for some); says the hours"
	@echo "make address   write the public address (repository in notebooks/setup_cell.py) into lessons and README"
	@echo "make fuzz   give the loaders many thousands of damaged files (minutes)"
	@echo "make lint   check the style        make setup  only set up .venv"
	@echo "make data   render data/ again     make tiny   train data/tiny/ again (many hours)"
	@echo "make bench  measure the speed of fine-tuning against a plain loop (ten minutes on two cores)"
	@echo "make rehearse   walk Stable Diffusion's real size, with random weights, through commands and lessons (21 GB)"
	@echo "make environments   run the lessons with Binder's packages in 2 GB of memory, the canvas with Colab's widgets"

setup: .venv/.stamp

demo: .venv/.stamp
	@$(PY) -m dp_helpers demo --out $(OUT)

# As many tests at once as there are cores, but at most 4: a lesson can take 1 GB of memory.
test: .venv/.stamp
	@$(PY) -m pytest -n auto --maxprocesses 4 --dist loadfile

notebooks: address
	@$(PY) notebooks/execute.py $(LESSONS)
ifndef LESSONS
	@$(PY) -m dp_helpers demo --out out/demo
	@$(PY) -c "from PIL import Image; picture = Image.open('out/demo/figure.png').convert('RGB'); \
	picture.thumbnail((1400, 1400), Image.LANCZOS); picture.save('docs/demo.png', optimize=True)"
endif

gallery: .venv/.stamp
	@$(PY) -m data.build.measure.gallery

# Rows and pictures are kept in out/, so that a killed run goes on; what is small enough to commit is copied.
evaluate: .venv/.stamp
	@$(PY) -m dp_helpers evaluate --out out/evaluate
	@mkdir -p data/results/evaluate
	@cd out/evaluate && cp rows.csv table1.csv report.md gallery.png angles.csv angles.png ../../data/results/evaluate/

# Pictures and unfinished runs stay in out/ablations. What the lessons read is small and goes to data/results.
ablations: .venv/.stamp
	@$(PY) -m dp_helpers evaluate --out out/ablations --ablation $(ABLATIONS)
	@cd out/ablations && for report in */report.md; do folder=$$(dirname $$report); \
	mkdir -p ../../data/results/ablations/$$folder; \
	cp $$report $$folder/rows.csv $$folder/table.csv $$folder/pictures.jpg ../../data/results/ablations/$$folder; done

bench: .venv/.stamp
	@$(PY) -m data.build.measure.bench

rehearse: .venv/.stamp
	@$(PY) -m data.build.measure.rehearse

address: .venv/.stamp
	@$(PY) notebooks/execute.py --sources

fuzz: .venv/.stamp
	@DP_FUZZ=1 $(PY) -m pytest tests/test_fuzz.py

lint: .venv/.stamp
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

environments:
	$(PYTHON) tests/tools/environments.py binder
	$(PYTHON) tests/tools/environments.py colab

data: .venv/.stamp-data
	$(PY) -m data.build.render.make_data

tiny: .venv/.stamp-data
	$(PY) -m data.build.train.make_tiny

# A stamp says that the packages named in the files it depends on are installed.
.venv/.stamp: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
	"DreamPaint needs Python 3.11 or newer. Name one, for example: make demo PYTHON=python3.12" >&2; exit 2; }
	@test -x $(PY) && $(PY) -m pip --version >/dev/null || $(PYTHON) -m venv .venv
	@echo "Installing into .venv (once, several minutes) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/.stamp-data: .venv/.stamp data/build/requirements.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check -r data/build/requirements.txt
	@touch $@
