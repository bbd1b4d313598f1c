"""Splits: labels as numbers of classes, and rows that are set aside for the test, by a seed, of each class alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.data.shuffle import permutation
from nnlite.errors import DataError

MOST_CLASSES = 10_000
FEW = 20  # numbers that are classes; more of them have as many rows each
EXACT = 2.0**53  # whole numbers beyond are not all there
SEED = 0  # of the split, whatever the seed of a run: the same file is always split in the same way


def classes(labels: NDArray[Any], where: str) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Labels (N,), integers or texts -> the names of the classes in order, and each label's number (N,).

    Raises DataError for one class alone, and for as many as there are rows.
    """
    found, numbers = np.unique(labels, return_inverse=True)
    check_classes(len(found), len(labels), found[:1].tolist(), where)
    return tuple(str(one) for one in found.tolist()), as_numbers(numbers.reshape(-1), len(found))


def are_classes(y: NDArray[Any]) -> bool:
    """Whether numbers (N,) are those of classes, and no amounts: whole, and few, or with many rows each."""
    if not np.array_equal(y, np.round(y)) or np.abs(y).max(initial=0) > EXACT:
        return False
    num = len(np.unique(y))
    return num <= FEW or num * FEW <= len(y)


def check_classes(num_classes: int, num_rows: int, first: Sequence[Any], where: str) -> None:
    """Raise DataError for one class alone, and for so many that they are none."""
    if num_classes < 2:
        raise DataError(f"{where}: all rows have the same class {first[0] if first else ''}: there is nothing to learn")
    if num_classes > MOST_CLASSES or 2 * num_classes > max(num_rows, 8):
        raise DataError(
            f"{where}: {num_classes:,} different labels in {num_rows:,} rows: these are no classes; is it the right "
            "target?"
        )


def as_numbers(numbers: NDArray[Any], num_classes: int) -> NDArray[Any]:
    """Numbers of classes in the smallest dtype that a shard has."""
    return numbers.astype(np.uint8 if num_classes <= 256 else np.int32)


def set_aside(labels: NDArray[Any], rate: float, where: str, seed: int = SEED) -> NDArray[np.int64]:
    """The rows of a test split, in order: of each class its share, and one at least where it has two.

    labels: (N,) numbers of classes. rate: the share, in (0, 1). Raises DataError when no row can be set aside.
    """
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = min(len(rows) - 1, max(1, round(rate * len(rows))))
        chosen.append(rows[permutation(len(rows), seed)[:count]])
    found = np.sort(np.concatenate(chosen))
    if not len(found):
        raise DataError(f"{where}: each class has one row alone, so none can be set aside for the test: add rows")
    return found


def name_of(path_name: str) -> str:
    """The name of a file or folder as the name of a dataset: keys of a store are made of it."""
    return re.sub(r"[^a-z0-9._-]+", "-", path_name.lower()).strip("-._")[:60] or "data"
