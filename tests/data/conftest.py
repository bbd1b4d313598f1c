"""What the tests of data share: tiny files in the official formats, and where the real ones are."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from nnlite.data import idx, mnist

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("NNLITE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-of-the-user"))


@pytest.fixture
def real_data() -> Path:
    """The folder with real data files, or a skip."""
    folder = Path(os.environ.get("NNLITE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "mnist").is_dir():
        pytest.skip(f"no real data in {folder}: set NNLITE_TEST_DATA")
    return folder


@pytest.fixture
def write_idx():
    """write_idx({stem: array}, folder): gzip IDX files."""

    def write(arrays, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for stem, array in arrays.items():
            (folder / f"{stem}.gz").write_bytes(gzip.compress(idx.encode(array), mtime=0))
        return folder

    return write


@pytest.fixture
def mnist_arrays():
    """Four small arrays as in MNIST's files: 20 train and 10 test images of 28 x 28."""
    rng = np.random.default_rng(0)
    return {
        stem: (rng.integers(0, 256, (n, 28, 28), np.uint8) if "images" in stem else np.arange(n, dtype=np.uint8) % 10)
        for stem, n in zip(mnist.STEMS, (20, 20, 10, 10), strict=True)
    }
