# make train   a network, from nothing, in under two minutes
# make test    every check there is
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: train test lint bench clean

train: $(VENV)/.installed
	$(BIN)/python -m tools.train --case b --dataset fashion-sample --workers 2 --rounds 8 --out fashion.safetensors

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-test
	$(BIN)/python -m tools.bench scale

clean:
	rm -rf $(VENV) .nnlite build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis fashion.safetensors
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[progress]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[progress,test,lint]'
	touch $@
