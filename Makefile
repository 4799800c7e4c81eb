# `make book` and `make test` are all the set-up there is: both create .venv where it is missing.

VENV := .venv
ifeq ($(OS),Windows_NT) # in Git Bash
PYTHON ?= python
BIN := $(VENV)/Scripts
JOBS ?= $(NUMBER_OF_PROCESSORS)
export PYTHONUTF8 := 1
else
PYTHON ?= python3
BIN := $(VENV)/bin
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
endif
READY := $(VENV)/.ready
export PYTHONDONTWRITEBYTECODE := # where it is set, each process would compile the project anew
# An index of PyTorch's wheels to take it from when .venv is made, in place of PyPI; set it to that
# of the CPU wheels on Linux, where PyPI's bring gigabytes of CUDA libraries.
TORCH_INDEX ?=
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check
SIDE_BY_SIDE := --numprocesses $(JOBS) --maxprocesses 4 --no-loadscope-reorder -p tests.order

.PHONY: help setup book test results campaign grid gpu check lint format types benchmark clean
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## set up .venv and no more (TORCH_INDEX=address of CPU wheels)

book: $(READY) ## execute every notebook, build the pages into _build/html
	$(BIN)/python book/build.py

test: $(READY) ## unit tests, then every notebook against its committed outputs (JOBS=2 at a time)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --dist loadscope
	rm -rf _build/models
	OMP_NUM_THREADS=1 TQDM_DISABLE=1 UGRADSL_MODELS="$(CURDIR)/_build/models" \
		JUPYTER_DEFAULT_PROVISIONER_NAME=preloaded $(BIN)/python -m pytest $(SIDE_BY_SIDE) --dist loadfile \
		--nbval notebooks --nbval-sanitize-with tests/sanitize.cfg

results: $(READY) ## the records of regime, landscape, Figure 6 and Theorem 3 (hours; resumes; UGRADSL_DATA)
	$(BIN)/ugradsl regime all --scale bench --publish book/results/regime-bench.jsonl
	$(BIN)/ugradsl landscape cifar10-random10 --scale bench \
		--publish book/results/cifar10-random10-bench-landscape.jsonl
	$(BIN)/ugradsl figure6 linear,mlp,mlp-fresh,resnet18 --scale bench \
		--publish book/results/theory/figure6-bench.jsonl
	$(BIN)/ugradsl label-ldp --scale bench --publish book/results/theory/label-ldp-bench.jsonl

PLAN ?= book/companion/experiments/grid/campaign.yaml
WORKERS ?= 2
campaign: $(READY) ## the most valuable missing results, for MINUTES=… (default: until all are there)
	$(BIN)/ugradsl campaign $(PLAN) --workers $(WORKERS) $(if $(MINUTES),--minutes $(MINUTES))

gpu: $(READY) ## on a GPU: tests, speed, records of scale full, in MINUTES=12 (REHEARSE=1: on the CPU)
	$(BIN)/ugradsl gpu $(if $(MINUTES),--minutes $(MINUTES)) $(if $(REHEARSE),--rehearse)

GRID ?= book/companion/experiments/grid/digits.yaml
PROFILE ?= local
grid: $(READY) ## settings × methods × seeds by Snakemake (GRID=file.yaml PROFILE=local)
	$(BIN)/ugradsl grid $(GRID) --profile $(PROFILE)

check: lint format types ## linter, formatter and type checker

lint: $(READY)
	$(BIN)/ruff check .

format: $(READY)
	$(BIN)/ruff format --check ugradsl_core tests book/build.py book/companion

types: $(READY)
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
ifneq ($(TORCH_INDEX),)
	grep -E '^torch(vision)?==' requirements.lock > $(VENV)/torch.txt
	grep -vE '^(cuda|nvidia|triton)' requirements.lock > $(VENV)/others.txt
	$(INSTALL) --no-deps --index-url $(TORCH_INDEX) --requirement $(VENV)/torch.txt
	$(INSTALL) --requirement $(VENV)/others.txt
else
	$(INSTALL) --requirement requirements.lock
endif
	$(INSTALL) --no-deps --editable .
	@touch $@
