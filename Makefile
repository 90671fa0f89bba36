# Everything runs in .venv, which the first call makes and later calls reuse.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: test lint bench
test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Speed of the rasteriser, the loss and Adam, each against a rival timed in turn with it.
bench: .venv/ready
	$(BIN)/python benchmarks/rasterizer.py

# torch first and alone: the pinned version is the CPU build, an unpinned one brings CUDA.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q torch -c constraints.txt
	$(BIN)/pip install -q -e ".[dev]" -c constraints.txt
	touch $@
