# make all: train and judge the default configuration. make test: all tests and checks.
# Both make the environment first. CORES, ARGS and TARGET pass through to Snakemake, as in
#   make all CORES=8 ARGS="--configfile config/smoke.yaml" TARGET=phase_diagram

PYTHON ?= python3
VENV ?= .venv
CORES ?= all
TARGET ?= all
ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Scripts start the python that is first on the path.
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: all test test-fast test-slurm bench bench-gpu environment lint clean test-faults

# The target stands before the options: some of them swallow words that follow.
all: $(READY)
	$(BIN)/snakemake $(TARGET) --cores $(CORES) $(ARGS)

# Several tests at once, each of which may run the workflow on two cores.
PYTEST := $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4

test: $(READY)
	$(PYTEST)

# Every check that runs no test; `pre-commit run --all-files` does the same.
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/snakemake --lint

test-fast: $(READY)
	$(PYTEST) -m "not slow"

# On a SLURM of its own on this machine: as root, with Debian's packages; docs/cluster.md.
test-slurm: $(READY)
	$(BIN)/python -m pytest tests/slurm

# On a quiet machine; writes benchmarks/RESULTS.md. ARGS="--quick" for a look.
bench: $(READY)
	$(BIN)/python -m benchmarks.run $(ARGS)
	$(BIN)/python -m benchmarks.gpu --device cpu $(ARGS)

bench-gpu: $(READY)
	$(BIN)/python -m benchmarks.run --device cuda $(ARGS)
	$(BIN)/python -m benchmarks.gpu $(ARGS)

# Every fault of docs/reliability.md as often as it says there: about an hour. FAULTS_KILLS=10
# and the like ask for another number of one.
test-faults: $(READY)
	FAULTS=full $(BIN)/python -m pytest tests/faults

environment: $(READY)

# Written last: an interrupted installation is done again. All but torch (and what its build
# needs) by hash, then torch by version.
$(READY): requirements.txt requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("grokscope needs Python 3.11 or later, not " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) build dist
