"""What the tests of data share: tiny files in the official formats, and where the real ones are."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from nnlite.data import idx, mnist
from tests import real_data


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("NNLITE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-of-the-user"))


@pytest.fixture(scope="session")
def sample_dir(tmp_path_factory) -> Path:
    """A data folder with the bundled images in all official formats."""
    return real_data.write_sample(tmp_path_factory.mktemp("sample"))


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
