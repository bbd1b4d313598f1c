"""A folder, a cache and a notebook for every test."""

import numpy as np
import pytest

from tests.api.cells import IMPORTS, Notebook


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def notebook():
    found = Notebook()
    found.run(IMPORTS)
    return found


@pytest.fixture
def pairs():
    """Rows of numbers, and whether the first two have the same sign, in words."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 4))
    return x, np.where(x[:, 0] * x[:, 1] > 0, "same", "other")
