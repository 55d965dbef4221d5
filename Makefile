# `make demo` and `make test` do all their own set-up in .venv; with VENV=DIR they use another environment.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
READY = $(VENV)/.ready-dev

.PHONY: demo test lint lite clean

demo: $(VENV)/.ready
	$(BIN)/python benchmarks/demo.py --out demo

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The training run behind maagiqa-lite, start to end: needs AGIQA-3k where the option file says
lite: $(READY)
	$(BIN)/python -m benchmarks.build_weights encoder
	$(BIN)/maagiqa train -opt maagiqa_lite_3k
	$(BIN)/python -m benchmarks.build_weights lite experiments/maagiqa_lite_3k/models/net_best.pth

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e .
	touch $@

$(READY): $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e '.[dev]'
	touch $@ $(VENV)/.ready

clean:
	rm -rf $(VENV) demo
