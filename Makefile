# `make help` lists the commands. Only Python 3.11+ (with its venv module) and make are needed: the first command
# makes .venv and installs the package there; later ones reuse it until pyproject.toml or constraints.txt changes.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
BENCH := .venv-bench/bin
DEMO ?= demo
# One thread for NumPy's matrix products: two gain nothing here, and wait for each other when the machine is busy.
FLAMBEAU = OPENBLAS_NUM_THREADS=1 $(BIN)/flambeau apparel

.PHONY: help demo test slow variants oracle lint bench fuzz clean
.DEFAULT_GOAL := help

# The stamp is the last thing made, so an interrupted installation is begun anew.
define make_venv
@test -n "$(PYTHON)" || { echo "Flambeau needs Python 3.11 or later; name it with: make PYTHON=/path/to/python3"; exit 1; }
rm -f $@
$(PYTHON) -m venv --clear $(dir $@) || { echo "No venv module: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
$(dir $@)bin/python -m pip --disable-pip-version-check install --quiet -c constraints.txt $(PACKAGES)
touch $@
endef

.venv/installed: PACKAGES = -e '.[apparel,dev]'
.venv/installed: pyproject.toml constraints.txt
	$(make_venv)

.venv-bench/installed: PACKAGES = -e '.[apparel,dev]' torch==2.13.0 jax safetensors
.venv-bench/installed: pyproject.toml constraints.txt
	$(make_venv)

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/installed ## prepare the apparel pictures, train, predict and report, all in demo/
	$(FLAMBEAU) prepare --data $(DEMO)/data
	$(FLAMBEAU) train --data $(DEMO)/data --out $(DEMO)
	$(FLAMBEAU) predict --data $(DEMO)/data --out $(DEMO)
	$(FLAMBEAU) report --data $(DEMO)/data --out $(DEMO)
	@echo "Done: $(DEMO)/submission.csv, $(DEMO)/curves.png, $(DEMO)/report.html"

test: .venv/installed ## run the quick tests
	$(BIN)/python -m pytest -q

slow: .venv/installed ## run the tests that take longer: training on the real data, long fuzzing
	$(BIN)/python -m pytest -q -m slow

variants: .venv/installed ## run the quick tests compiled at first sight, never compiled, without a window, on one thread
	set -e; for setting in FLAMBEAU_COMPILE=always FLAMBEAU_COMPILE=never FLAMBEAU_WINDOW=1 FLAMBEAU_THREADS=1 \
	    "FLAMBEAU_COMPILE=always FLAMBEAU_WINDOW=1" "FLAMBEAU_COMPILE=always FLAMBEAU_CPU=v3"; do \
	    echo "$$setting"; env $$setting $(BIN)/python -m pytest -q; done

oracle: .venv-bench/installed ## compare with PyTorch itself, in an environment of its own
	$(BENCH)/python -m pytest -q -m oracle

lint: .venv/installed ## check style, types and the order of imports
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_contract.py

bench: .venv-bench/installed ## measure beside PyTorch, torch.compile and JAX; ARGS="--quick" for a few workloads
	$(BENCH)/python benchmarks/run.py $(ARGS)

.venv-fuzz/installed: PACKAGES = -e '.[apparel,dev]' atheris
.venv-fuzz/installed: pyproject.toml constraints.txt
	$(make_venv)

fuzz: .venv-fuzz/installed ## fuzz the readers of files; RUNS=1000000 inputs each
	set -e; for target in checkpoint legacy safetensors numpy idx png; do \
	    .venv-fuzz/bin/python tools/fuzz_readers.py $$target --runs $(or $(RUNS),1000000); done

clean: ## remove what the other commands made
	rm -rf .venv .venv-bench .venv-fuzz demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
