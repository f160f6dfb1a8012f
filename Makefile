# `make demo` and `make test` set everything up first; both use .venv, and `make venv` makes only that.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: venv demo test test-webgpu test-company lint types imports check bench bench-inference fuzz soak sanitize clean

venv: $(STAMP)

# The kernel is built with the package: a change of it means to install again.
$(STAMP): pyproject.toml setup.py $(wildcard src/tickwork/pool/kernel/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tickwork needs Python 3.11 or newer; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "this Python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing tickwork and its development tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: venv
	@$(BIN)/tickwork demo --force

test: check
	$(BIN)/pytest

# The WebGPU build of onnxruntime takes the place of the CPU build, so it has an environment of its own.
test-webgpu:
	$(PYTHON) -m venv build/webgpu
	build/webgpu/bin/python -m pip install --quiet --disable-pip-version-check -r tests/webgpu/requirements.txt
	PYTHONPATH=src build/webgpu/bin/python -m pytest tests/webgpu/fallback.py

# Each of the test models in 48 companies on each of 1, 2 and 8 threads; about ten minutes. TICKWORK_MODELS=DIR:DIR adds
# models of your own.
test-company: venv
	$(BIN)/pytest tests/inference/every_company.py

check: lint types imports

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: venv
	$(BIN)/mypy

imports: venv
	$(BIN)/lint-imports

bench: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements.txt
	$(BIN)/python bench/run.py

# The peers bring their own onnxruntime, so they have an environment of their own; torch makes it a large one.
bench-inference: venv
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip install --quiet --disable-pip-version-check -r bench/peers/language.txt
	$(BIN)/python bench/inference.py build/bench-models --peers build/peers/bin/python

# The same laws and attacks as in `make test`, with many more examples.
fuzz: venv
	HYPOTHESIS_PROFILE=soak $(BIN)/pytest tests/laws tests/attacks tests/guest tests/pool tests/journal tests/manifest
	tests/fuzz/fuzz.sh $${TICKWORK_FUZZ_S:-600} build/fuzz/corpus

# Runs that are killed, over and over, and random worlds, each for as long as it says; then kills of the journal,
# explored systems, and the fuzzers.
soak: venv
	TICKWORK_SOAK_S=$${TICKWORK_SOAK_S:-900} $(BIN)/pytest tests/sim
	TICKWORK_KILLS=$${TICKWORK_KILLS:-200} $(BIN)/pytest tests/journal/test_kills.py
	TICKWORK_EXPLORE_SEEDS=$${TICKWORK_EXPLORE_SEEDS:-2000} $(BIN)/pytest tests/exploration/test_planted_bugs.py
	$(MAKE) fuzz

# The kernel under gcc's address, undefined-behaviour and thread sanitizers, alone and under attack.
sanitize: venv
	tests/kernel/sanitize.sh $(BIN)/python

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
