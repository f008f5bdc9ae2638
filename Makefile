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

.PHONY: all test test-fast environment lint clean

# The target stands before the options: some of them swallow words that follow.
all: $(READY)
	$(BIN)/snakemake $(TARGET) --cores $(CORES) $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not slow"

environment: $(READY)

# Written last: an interrupted installation is done again.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("grokscope needs Python 3.11 or later, not " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf $(VENV) build dist
