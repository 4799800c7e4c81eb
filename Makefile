# `make book` and `make test` are all the set-up there is: both create .venv where it is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
SIDE_BY_SIDE := --numprocesses $(JOBS) --maxprocesses 4

.PHONY: help book test results grid check benchmark clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(READY) ## execute every notebook, build the pages into _build/html
	$(BIN)/python book/build.py

test: $(READY) ## unit tests, then every notebook against its committed outputs (JOBS=2 at a time)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --dist loadscope
	OMP_NUM_THREADS=1 TQDM_DISABLE=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) --dist loadfile \
		--nbval notebooks --nbval-sanitize-with tests/sanitize.cfg

results: $(READY) ## the published records, at the bench scale (hours; resumes; UGRADSL_DATA)
	$(BIN)/ugradsl experiment cifar10-random10 --scale bench --seeds 0,1,2 \
		--publish book/results/cifar10-random10-bench.jsonl
	$(BIN)/ugradsl experiment cifar10-class --scale bench --seeds 0,1,2 \
		--publish book/results/cifar10-class-bench.jsonl
	$(BIN)/ugradsl regime all --scale bench --publish book/results/regime-bench.jsonl
	$(BIN)/ugradsl landscape cifar10-random10 --scale bench \
		--publish book/results/cifar10-random10-bench-landscape.jsonl
	$(BIN)/ugradsl figure6 linear,mlp,mlp-fresh,resnet18 --scale bench \
		--publish book/results/theory/figure6-bench.jsonl

GRID ?= ugradsl_core/workflow/digits.yaml
PROFILE ?= local
grid: $(READY) ## settings × methods × seeds by Snakemake (GRID=file.yaml PROFILE=local)
	$(BIN)/ugradsl grid $(GRID) --profile $(PROFILE)

check: $(READY) ## linter, formatter and type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check ugradsl_core tests book/build.py book/_ext
	$(BIN)/mypy

benchmark: $(READY) ## speed, as ratios to bare PyTorch loops; wants a quiet machine
	$(BIN)/python -m pytest tests/benchmarks -s

clean: ## remove what was built, keep .venv
	rm -rf _build book/_generated .mypy_cache .pytest_cache .ruff_cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This project needs Python 3.11 or later; found: `$(PYTHON) --version 2>&1`." \
		"Set PYTHON=/path/to/python3."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --editable .
	@touch $@
