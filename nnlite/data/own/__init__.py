"""Data of one's own: a file, a folder or arrays become a dataset.

>>> nnlite.data.open("iris.csv")                      # a table, its last column the classes
>>> nnlite.data.open("flowers/", size=64)             # a folder of pictures for each class
>>> nnlite.data.open("digits.npz")                    # arrays x and y
>>> nnlite.data.from_arrays(x, y)
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nnlite import places
from nnlite.data.dataset import Dataset
from nnlite.data.own import arrays, pictures, table
from nnlite.data.own.arrays import from_arrays
from nnlite.data.own.lines import SUFFIXES
from nnlite.data.own.reading import Reading
from nnlite.errors import DataError, DataNotFound

__all__ = ["Reading", "from_arrays", "is_path", "open_path", "read"]

KINDS = "a table (.csv, .tsv), arrays (.npz, or a folder of .npy), or a folder with a folder of pictures for each class"


def open_path(path: str | os.PathLike[str], **choices: Any) -> Dataset:
    """The dataset at a path. choices: fields of a `Reading`, such as target="species" or size=64.

    Raises DataNotFound when there is nothing, DataError with file and line for what is wrong, UsageError for a choice
    that cannot be meant.
    """
    for name in ("features", "ignore"):
        if isinstance(choices.get(name), list):
            choices[name] = tuple(choices[name])
    return read(path, Reading(**choices))


def read(path: str | os.PathLike[str], reading: Reading) -> Dataset:
    """The same, by choices that were put together."""
    found = places.expanded(path)
    try:
        if not found.exists():
            raise DataNotFound(f"no file or folder {path}")
        return _read(found, reading)
    except OSError as error:
        if isinstance(error, (DataNotFound,)):
            raise
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def is_path(name: str) -> bool:
    """Whether the name of a dataset means a file or folder."""
    return "/" in name or os.sep in name or name.lower().endswith((*SUFFIXES, ".npz", ".npy")) or Path(name).exists()


def _read(path: Path, reading: Reading) -> Dataset:
    if path.suffix.lower() in SUFFIXES:
        return table.read(path, reading)
    if path.suffix.lower() in (".npz", ".npy"):
        return arrays.read_npz(path, reading)
    if path.is_dir() and any(path.glob("*.npy")):
        return arrays.read_folder(path, reading)
    if path.is_dir():
        return pictures.read(path, reading)
    raise DataError(f"{path} is none of what is known here: {KINDS}")
