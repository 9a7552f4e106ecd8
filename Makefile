# demo · test · bench · peers · lint · lock: each makes .venv first when it is missing or the requirements have changed.
#
#   make demo                      train and measure on the data in examples/online_retail
#   make test                      every check that a change must pass
#   make bench                     measure everything anew and write BENCHMARKS.md: an hour or two
#   make peers                     the recommenders that others use beside ours: an hour or so
#   make demo PYTHON=python3.12    with another Python; 3.11 or newer

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv/bin/python
STAMP := .venv/.installed

.PHONY: help
help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

$(STAMP): requirements.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo "$(PYTHON) is not found; name a Python 3.11 or newer: make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is $$("$(PYTHON)" --version 2>&1); recsys needs 3.11 or newer: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make virtual environments; install its venv module (Debian: apt install python3-venv)" >&2; exit 1; }
	@test -x $(VENV) || "$(PYTHON)" -m venv .venv
	@echo "installing requirements.txt into .venv: some minutes the first time"
	$(VENV) -m pip install --quiet -r requirements.txt
	$(VENV) -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $(STAMP)

.PHONY: demo
demo: $(STAMP)
	.venv/bin/recsys demo

.PHONY: test
test: lint
	$(VENV) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: lint
lint: $(STAMP)
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy
	.venv/bin/lint-imports

# What needs a GPU is measured where there is one; elsewhere its latest result stays.
BENCHMARKS = aggregate encode events finetune offline_features online_features quality ranker retraining retrieval serving \
	$(shell command -v nvidia-smi >/dev/null && echo gpu_text)
.PHONY: bench
bench: $(STAMP)
	for name in $(BENCHMARKS); do $(VENV) -m benchmarks.$$name --json benchmarks/results/$$name.json; done
	$(VENV) -m benchmarks.quality --dataset complete_journey --json benchmarks/results/quality_complete_journey.json
	$(VENV) -m benchmarks.page

# The peers have an environment of their own: they pin what ours does not go with.
.venv-peers/.installed: requirements/peers.txt $(STAMP)
	@test -x .venv-peers/bin/python || "$(PYTHON)" -m venv .venv-peers
	@echo "installing requirements/peers.txt into .venv-peers: some minutes the first time"
	.venv-peers/bin/python -m pip install --quiet -r requirements/peers.txt
	@touch .venv-peers/.installed

.PHONY: peers
peers: .venv-peers/.installed
	$(VENV) -m benchmarks.peers --json benchmarks/results/peers.json
	$(VENV) -m benchmarks.page

# The newest versions that fit together, for Linux, macOS and Windows and every Python from 3.11 on. The CUDA wheels
# that PyTorch needs on Linux are left out of the lists: it pins them itself, and its CPU build needs none.
COMPILE := $(VENV) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --no-annotate --no-header
.PHONY: lock
lock: $(STAMP)
	$(VENV) -m pip install --quiet uv
	mkdir -p build requirements
	$(COMPILE) --all-extras --upgrade -o build/all.txt
	compile() { echo "# Pinned by 'make lock'. $$1"; shift; $(COMPILE) -c build/all.txt "$$@"; } ; \
	without_cuda() { grep -Ev '^(nvidia-|cuda-|triton=)'; } ; \
	compile 'Everything: to serve, train and develop.' --extra train --extra bench --extra dev | without_cuda > requirements.txt ; \
	compile 'To serve.' > requirements/serve.txt ; \
	compile 'To serve on an NVIDIA GPU.' --extra gpu > requirements/gpu.txt ; \
	compile 'To serve and train.' --extra train | without_cuda > requirements/train.txt
