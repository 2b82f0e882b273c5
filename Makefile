# Each target does its own set-up in .venv; Python 3.11 or newer is all it needs.
#   make test PYTHON=python3.12      another interpreter (with a new .venv)
#   make test ARGS="-k moments -x"   arguments for pytest
#   make study-gpu OUT=folder        with the machine's own python3, no .venv and no network:
#     DATA=mnist/   WHEELS=wheels/   MINUTES=50 (a slice; rerun to resume)   MB=16 (an encodings file)
#     EPOCHS=200   SPRITES_EPOCHS=30   ONLY='learned*'   DEVICE=auto

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
WORKERS ?= 2
ARGS ?=
BIN := .venv/bin
RUN := $(BIN)/python -m
LOWEST := .venv-lowest
MINIMAL := .venv-minimal
LOWEST_PYTHON ?= $(shell for p in python3.11 python3.12 $(PYTHON); do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)

# pip reads both: the first for installs, the second for build environments.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test slow calibration reliability mutants minimal lowest lowest-pins audit lint format docs wheel-check bench study-gpu clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

# $(1) is the folder of a new virtual environment, which gets the newest pip.
define environment
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "No Python >= 3.11 found. Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet --upgrade pip
endef

.venv/.pip:
	$(call environment,.venv)
	@touch $@

.venv/.core: .venv/.pip pyproject.toml constraints.txt
	$(RUN) pip install --quiet --editable .
	@touch $@

.venv/.test: .venv/.pip pyproject.toml constraints.txt
	$(RUN) pip install --quiet --editable '.[models]' --group test
	@touch $@ .venv/.core

.venv/.dev: .venv/.pip pyproject.toml constraints.txt
	$(RUN) pip install --quiet --editable '.[models]' --group dev
	@touch $@ .venv/.core .venv/.test

# Plain pip installs the committed pins; uv made them (make lowest-pins), as pip cannot resolve to the lowest.
$(LOWEST)/.test: pyproject.toml constraints-lowest.txt
	@test -n "$(LOWEST_PYTHON)" || { echo "make lowest needs Python 3.11 or 3.12: name it with LOWEST_PYTHON=" >&2; exit 1; }
	rm -rf $(LOWEST)
	$(LOWEST_PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade pip
	PIP_CONSTRAINT= $(LOWEST)/bin/python -m pip install --quiet --only-binary :all: --requirement constraints-lowest.txt
	$(LOWEST)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

demo: .venv/.core  ## score real MNIST encodings: a table and a picture (no torch)
	@mkdir -p demo-output
	@$(BIN)/dindic score examples/data/mnist_vae.npz --plot demo-output/mnist_vae.png
	@echo && echo "Picture: $(CURDIR)/demo-output/mnist_vae.png"

test: .venv/.test  ## the whole test suite, but for the slow tests
	HYPOTHESIS_PROFILE=ci OMP_NUM_THREADS=1 $(RUN) pytest -n $(WORKERS) $(ARGS)

slow: .venv/.test  ## the slow tests
	HYPOTHESIS_PROFILE=ci OMP_NUM_THREADS=1 $(RUN) pytest -n $(WORKERS) -m slow $(ARGS) || [ $$? -eq 5 ]

calibration: .venv/.test  ## simulations with known truth, into docs/calibration.md (an hour; goes on where it stopped)
	PYTHONPATH=tests $(RUN) calibration --processes $(WORKERS) $(ARGS)

reliability: .venv/.test  ## what was tried to break it, into docs/reliability.md (an hour; goes on where it stopped)
	PYTHONPATH=tests $(RUN) reliability $(ARGS)

mutants: .venv/.test  ## how many broken lines of the core the tests notice (an hour and more)
	$(BIN)/python tests/mutants.py $(ARGS)

minimal:  ## the core without any extra, with the newest releases: make minimal PYTHON=python3.13
	rm -rf $(MINIMAL)
	$(call environment,$(MINIMAL))
	PIP_CONSTRAINT= $(MINIMAL)/bin/python -m pip install --quiet --editable . \
	  array-api-strict hypothesis jsonschema mpmath packaging pytest pytest-xdist threadpoolctl
	DINDIC_LOWEST=1 HYPOTHESIS_PROFILE=few OMP_NUM_THREADS=1 $(MINIMAL)/bin/python -m pytest \
	  -n $(WORKERS) --doctest-ignore-import-errors $(or $(ARGS),tests/encodings tests/cli/test_score.py \
	  tests/cli/test_main.py tests/test_definitions.py tests/test_imports.py tests/test_moments.py tests/test_scorecard.py)

lowest: $(LOWEST)/.test  ## the test suite with the oldest declared releases, without torch; 5 examples a law
	DINDIC_LOWEST=1 HYPOTHESIS_PROFILE=few OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest \
	  -n $(WORKERS) --doctest-ignore-import-errors --ignore docs/reference_models.md --ignore docs/any_model.md \
	  $(or $(ARGS),tests disentangle_indicators docs README.md)

lowest-pins: .venv/.pip  ## renew constraints-lowest.txt after a lower bound has changed
	$(RUN) pip install --quiet uv
	$(BIN)/python tests/lowest.py build
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --resolution lowest-direct --only-binary :all: \
	  --python-version 3.11 --default-index "$${PIP_INDEX_URL:-https://pypi.org/simple}" \
	  --constraints build/indirect.txt --output-file constraints-lowest.txt build/direct.txt build/tools.txt

audit: .venv/.pip  ## known weaknesses of the pinned releases; needs the advisories of the public index
	$(RUN) pip install --quiet pip-audit
	@mkdir -p build
	$(RUN) pip_audit --requirement constraints.txt --no-deps --disable-pip --format json --output build/audit.json; \
	  $(BIN)/python tests/audited.py build/audit.json

lint: .venv/.dev  ## style, types, import direction, generated docs
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(BIN)/lint-imports --no-logo
	$(RUN) cogapp --check docs/cli.md docs/formats.md

format: .venv/.dev  ## fix what can be fixed by a program
	$(RUN) ruff check --fix
	$(RUN) ruff format
	$(RUN) cogapp -r docs/cli.md docs/formats.md

docs: .venv/.dev  ## the pages, in docs/_build/html
	@rm -rf docs/generated docs/_build/html
	$(RUN) sphinx -W --keep-going --fresh-env --quiet docs docs/_build/html

wheel-check: .venv/.dev  ## build, then try the wheel in an environment without torch
	rm -rf dist build
	$(RUN) build --outdir dist .
	$(RUN) zipfile -l dist/*.whl | awk 'NR > 1 { sub("/.*", "", $$1); print $$1 }' | sort -u > dist/top-level.txt
	sed 's/-[0-9].*[.]dist-info$$/.dist-info/' dist/top-level.txt | tr '\n' ' ' | \
	  grep -x 'dindic dindic_models disentangle_indicators disentangle_indicators.dist-info '
	$(RUN) venv build/venv
	build/venv/bin/python -m pip install --quiet dist/*.whl
	cd build && ! venv/bin/python -c 'import torch' 2>/dev/null
	cd build && venv/bin/dindic --version
	cd build && venv/bin/dindic --help > help.txt
	cd build && venv/bin/dindic score ../examples/data/mnist_vae.npz --quiet --json - > score.json
	cd build && venv/bin/python -m json.tool score.json > /dev/null
	cd build && venv/bin/python -c 'from disentangle_indicators import estimate_q_star, score'

bench: .venv/.test  ## the benchmarks, on one thread
	@for script in benchmarks/[!_]*.py; do echo "== $$script"; OMP_NUM_THREADS=1 $(BIN)/python $$script || exit 1; done

# The interpreter is python3 unless PYTHON names another: the one that has torch, not the newest.
study-gpu: export PYTHON := $(if $(filter file,$(origin PYTHON)),python3,$(PYTHON))
study-gpu:  ## the study of MNIST, sprites and bundle candidates in OUT, on a bare machine
	@test -n "$(OUT)" || { echo "Name the output folder: make study-gpu OUT=folder" >&2; exit 2; }
	@sh benchmarks/study_gpu.sh

clean:  ## remove everything the targets made, .venv included
	rm -rf .venv $(LOWEST) $(MINIMAL) build dist demo-output docs/_build docs/generated .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
