# make lenet   from nothing to a trained net          make test   the whole suite
# make bench RACES="--only lenet"   a part of the benchmarks
# make gpu-check    everything that only a GPU can show, in 10 minutes
# All but the last happens in $(VENV), which is made on first use and kept; `make clean` forgets it.
# gpu-check and gpu-bench take $(PYTHON) as it is: a machine with a GPU may have no network.

PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/gpu

BIN := $(VENV)/bin
# Without --no-compile half of the installation time goes into compiling what is never imported.
# -qq: errors only.
INSTALL := -m pip install -qq --disable-pip-version-check --no-compile

.DEFAULT_GOAL := help
.PHONY: help lenet serve test check docs bench page-bench gpu-check gpu-bench clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  make PYTHON=python3.12 ... chooses the interpreter, VENV=folder another environment"

# One thread: a second one takes a step from 11 to 8 ms, but where other programs keep the cores busy,
# two threads that wait for each other take ten times as long.
lenet: $(VENV)/.installed ## train LeNet on real handwritten digits (under a minute)
	@$(BIN)/minidl dataset digits
	@$(BIN)/minidl train zoo/lenet/digits_solver.prototxt --threads 1
	@$(BIN)/python examples/accuracy.py runs/lenet_digits --at-least 0.98

serve: $(VENV)/.installed-web ## a page to see, start and compare runs, with LeNet in training on it
	@$(BIN)/minidl serve --demo

test: $(VENV)/.installed-test ## run every test
	@$(BIN)/python -m pytest -n 2 $(TESTS)

check: $(VENV)/.installed-test ## lint, formatting, types, and the tests that are fast
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -n 2 -m "not slow"

docs: $(VENV)/.installed-test ## write the tables in the documentation that follow from the code
	@$(BIN)/python docs/build.py

bench: $(VENV)-bench/.installed ## ours beside PyTorch's and OpenCV's times, all in turns (half an hour or more)
	@$(VENV)-bench/bin/python benchmarks/run.py $(RACES)

page-bench: $(VENV)/.installed-test ## how fast the page of minidl serve is (4 minutes)
	@$(BIN)/python benchmarks/page.py $(PARTS)

gpu-check: ## on a GPU: layers, plans and nets against the CPU, memory, then gpu-bench; report in $(OUT)
	@PYTHONPATH="$(CURDIR):$$PYTHONPATH" $(PYTHON) benchmarks/gpu/check.py --out $(OUT) $(PARTS)

gpu-bench: ## on a GPU: training beside PyTorch's, layers beside their floors, GPU beside CPU
	@PYTHONPATH="$(CURDIR):$$PYTHONPATH" $(PYTHON) benchmarks/gpu/bench.py --out $(OUT) $(PARTS)

clean: ## remove environments, caches and builds (data/ and runs/ stay)
	rm -rf $(VENV) $(VENV)-bench build dist minidl.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find minidl tests proto benchmarks examples -name __pycache__ -prune -exec rm -rf {} +

# --clear, because a venv that failed halfway (Debian without python3-venv) has no pip.
%/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "minidl needs Python 3.10 or newer, this is %s: try make PYTHON=python3.12" % sys.version.split()[0])'
	@echo "making $*"
	@$(PYTHON) -m venv --clear $*

$(VENV)/.installed: setup.py pyproject.toml | $(BIN)/pip
	@echo "installing minidl into $(VENV)"
	@$(BIN)/python $(INSTALL) -e '.[digits]'
	@touch $@

$(VENV)/.installed-web: setup.py pyproject.toml | $(BIN)/pip
	@echo "installing minidl and its page into $(VENV)"
	@$(BIN)/python $(INSTALL) -e '.[web,digits,images]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-test: setup.py pyproject.toml | $(BIN)/pip
	@echo "installing minidl and what its tests need into $(VENV)"
	@$(BIN)/python $(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.installed $(VENV)/.installed-web

$(VENV)-bench/.installed: setup.py pyproject.toml | $(VENV)-bench/bin/pip
	@echo "installing minidl, PyTorch and OpenCV into $(VENV)-bench"
	@$(VENV)-bench/bin/python $(INSTALL) -e '.[bench]'
	@touch $@
