# make train   a network, from nothing, in under two minutes
# make test    every check there is
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: test-random test-far test-near train test lint lock bench clean memcached chromium

train: $(VENV)/.installed
	$(BIN)/python -m tools.train --case b --dataset fashion-sample --workers 2 --rounds 8 --out fashion.safetensors

test: $(VENV)/.installed-test memcached chromium
	$(MAKE) --jobs 2 --output-sync=target test-far test-near

# Tests of platforms and stores mostly wait, so the others run beside them.
FAR := tests/platform tests/store

test-far:
	$(BIN)/python -m pytest -q $(ORDER) -o cache_dir=.pytest_cache/far $(FAR)

test-near:
	$(BIN)/python -m pytest -q $(ORDER) -o cache_dir=.pytest_cache/near $(FAR:%=--ignore %)

# In an order of chance; make prints its seed, and `SEED=N make test-random` repeats it.
test-random:
	$(MAKE) test ORDER="-p randomly --randomly-seed=$${SEED:-$$(date +%s)}"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The newest wheels, by version and hash, for the bundle and for the images of OpenFaaS.
lock: $(VENV)/.installed
	$(BIN)/python -m tools.lock

bench: $(VENV)/.installed-test
	$(BIN)/python -m tools.bench scale

# A real memcached for the tests; without one they are skipped.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
memcached:
	@command -v memcached >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y memcached; } \
	|| echo "memcached is not installed, so its tests are skipped: install it by hand (apt-get install memcached)" >&2

# A browser that opens the reports.
chromium:
	@command -v chromium >/dev/null || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y chromium; } \
	|| echo "chromium is not installed, so its tests are skipped: install it by hand (apt-get install chromium)" >&2

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
