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
# What was chosen on the validation part is trained on it too, so that figures of it say nothing: the last weights are taken
ON_ALL = --force_yml datasets:train:meta_info_file=$(SMOOTHED) datasets:train:with_val=true
lite: $(READY)
	$(BIN)/python -m benchmarks.lite.smoothed --data datasets/AGIQA-3K --with-val --out $(SMOOTHED)
	$(BIN)/maagiqa train -opt maagiqa_lite_native_3k $(ON_ALL)
	$(BIN)/maagiqa train -opt maagiqa_lite_glance_3k $(ON_ALL)
	$(BIN)/python -m benchmarks.lite.build trunks --out experiments/maagiqa_lite_3k_trunks.safetensors \
		--close experiments/maagiqa_lite_native_3k/models/net_latest.pth \
		--glance experiments/maagiqa_lite_glance_3k/models/net_latest.pth
	$(BIN)/maagiqa train -opt maagiqa_lite_robust_3k $(ON_ALL)
	$(BIN)/python -m benchmarks.lite.build weights experiments/maagiqa_lite_robust_3k/models/net_latest.pth \
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
