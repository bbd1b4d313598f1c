"""Real images for tests: the bundled ones in every official format, everywhere; and the full sets, where they are."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from nnlite import data
from nnlite.data import Dataset, cifar, emnist, idx, mnist

REPOSITORY = Path(__file__).parents[1]
VARIABLE = "NNLITE_TEST_DATA"
WANTS = f"wants the full datasets: {VARIABLE}=DIR"  # how a reason to skip begins; they are counted at the end


def full(dataset: str) -> Path:
    """The folder that has a folder of that name with the official files; the test is skipped where there is none."""
    folder = Path(os.environ.get(VARIABLE) or REPOSITORY.parent / "shared" / "data")
    if not (folder / dataset).is_dir():
        skip(f"no {dataset} in {folder}")
    return folder


def skip(why: str) -> NoReturn:
    """Skip a test of the full datasets."""
    pytest.skip(f"{WANTS}, {why}")


def sample() -> Dataset:
    """The bundled images: 6,000 and 1,000 of Fashion-MNIST."""
    return data.load("fashion-sample", download=False)


def write_sample(root: Path) -> Path:
    """The bundled images as files of Fashion-MNIST, EMNIST (ByMerge) and CIFAR-10, each in the folder that `--data`
    looks for. EMNIST stores images transposed; CIFAR-10's have a black frame here, and three equal channels."""
    rows = sample()
    parts = (rows.train.x[:, 0], rows.train.y, rows.test.x[:, 0], rows.test.y)
    _write_idx(root / "fashion-mnist", mnist.STEMS, parts)
    lying = tuple(part.swapaxes(1, 2) if part.ndim == 3 else part for part in parts)
    _write_idx(root / "emnist", emnist.stems("bymerge"), lying)
    _write_cifar(root / "cifar10", rows)
    return root


def _write_idx(folder: Path, stems: tuple[str, ...], parts: tuple[np.ndarray, ...]) -> None:
    folder.mkdir(parents=True)
    for stem, part in zip(stems, parts, strict=True):
        (folder / f"{stem}.gz").write_bytes(gzip.compress(idx.encode(part), compresslevel=1, mtime=0))


def _write_cifar(folder: Path, rows: Dataset) -> None:
    folder.mkdir(parents=True)
    parts = [rows.train.take(which) for which in np.array_split(np.arange(len(rows.train)), 5)]
    with tarfile.open(folder / cifar.ARCHIVE, "w:gz", compresslevel=1) as archive:
        for name, part in zip(cifar._FILES, [*parts, rows.test], strict=True):
            pixels = framed(part.x).reshape(len(part), -1)
            content = np.concatenate([part.y.astype(np.uint8)[:, None], pixels], axis=1).tobytes()
            info = tarfile.TarInfo(f"{cifar.FOLDER}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def framed(images: np.ndarray) -> np.ndarray:
    """(N, 1, 28, 28) -> (N, 3, 32, 32)"""
    return np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))).repeat(3, axis=1)
