# `make demo` and `make test` do all their own set-up in .venv; with VENV=DIR they use another environment.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
READY = $(VENV)/.ready-dev

.PHONY: demo test lint lite clean

demo: $(VENV)/.ready
	$(BIN)/python -m benchmarks.demo --out demo

# Two processes of one thread each; a test file stays in one process, so that it sets up once
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

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
