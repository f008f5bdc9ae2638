# make all: train and judge the default configuration. make test: all tests. make lint: all checks.
# make docs: the documentation, build/site/index.html. Each makes the environment first.
# CORES, ARGS and TARGET pass through to Snakemake, as in
#   make all CORES=8 ARGS="--configfile config/smoke.yaml" TARGET=phase_diagram

PYTHON ?= python3
VENV ?= .venv
CORES ?= all
TARGET ?= all
ARGS ?=

BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Jobs run the first python on the path.
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: all test test-fast test-slurm test-tools test-faults docs docs-links bench bench-gpu environment lint clean

# The target comes before the options: some of them swallow the words that follow.
all: $(READY)
	$(BIN)/snakemake $(TARGET) --cores $(CORES) $(ARGS)

# Several tests at once: each may run the workflow on two cores, and waits for a third of its time.
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist worksteal

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

# Starts its own SLURM on this machine; needs root and Debian's packages (docs/cluster.md).
test-slurm: $(READY)
	$(BIN)/python -m pytest tests/slurm

# The documentation, for any static host or to be opened from the disk; a warning is an error.
SPHINX := $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d build/doctrees

docs: $(READY)
	$(SPHINX) -b html docs build/site

# Asks every other site that a page links to; needs a network.
docs-links: $(READY)
	$(SPHINX) -b linkcheck docs build/links

# Logs of training tools, each written by the tool itself: in an environment of its own, which has
# the newest of each beside what is pinned (half a gigabyte).
TOOLS := tensorboard lightning transformers accelerate mlflow-skinny alembic trackio wandb

test-tools: $(READY)
	$(BIN)/python -m venv --clear $(VENV)-tools
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$($(VENV)-tools/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pinned.pth"
	$(VENV)-tools/bin/python -m pip install --quiet --disable-pip-version-check $(TOOLS)
	$(VENV)-tools/bin/python -m pytest -W default tests/tools

# On an idle machine; writes benchmarks/RESULTS.md. ARGS="--quick" for a first look.
bench: $(READY)
	$(BIN)/python -m benchmarks.run $(ARGS)
	$(BIN)/python -m benchmarks.gpu --device cpu $(ARGS)

bench-gpu: $(READY)
	$(BIN)/python -m benchmarks.run --device cuda $(ARGS)
	$(BIN)/python -m benchmarks.gpu $(ARGS)

# Every fault as often as docs/reliability.md states: about an hour. FAULTS_KILLS=10 and similar
# variables set the number of a single kind.
test-faults: $(READY)
	FAULTS=full $(BIN)/python -m pytest tests/faults

environment: $(READY)

# Written last, so that an interrupted installation is repeated. Everything but torch (and what its
# build needs) is installed by hash, then torch by version; then compiled on all processors, where
# pip would take one (some packages hold files of other Pythons).
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(READY): requirements.txt requirements.lock pyproject.toml $(BIN)/python
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("grokscope needs Python 3.11 or later, not " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) --no-compile --require-hashes --no-deps --requirement requirements.lock
	$(PIP) --no-compile --requirement requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	touch $@

# A link to an interpreter: where an upgrade removed or replaced that, the environment is made again.
$(BIN)/python: ;

clean:
	rm -rf $(VENV) build dist
