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

# The training runs behind maagiqa-lite, start to end: need AGIQA-3k where the option files say
SMOOTHED = experiments/agiqa_3k_smoothed.csv
ON_SMOOTHED = --force_yml datasets:train:meta_info_file=$(SMOOTHED)
lite: $(READY)
	$(BIN)/python -m benchmarks.lite.smoothed --data datasets/AGIQA-3K --out $(SMOOTHED)
	$(BIN)/maagiqa train -opt maagiqa_lite_native_3k $(ON_SMOOTHED)
	$(BIN)/maagiqa train -opt maagiqa_lite_glance_3k $(ON_SMOOTHED)
	$(BIN)/python -m benchmarks.lite.build trunks --out experiments/maagiqa_lite_3k_trunks.safetensors \
		--close experiments/maagiqa_lite_native_3k/models/net_best.pth \
		--glance experiments/maagiqa_lite_glance_3k/models/net_best.pth
	$(BIN)/maagiqa train -opt maagiqa_lite_robust_3k $(ON_SMOOTHED)
	$(BIN)/python -m benchmarks.lite.build weights experiments/maagiqa_lite_robust_3k/models/net_best.pth \
		--trunks experiments/maagiqa_lite_3k_trunks.safetensors --out maagiqa_pyiqa/weights/lite.safetensors

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
