"""Data: file formats, the catalog of datasets, data of one's own, shards and minibatches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nnlite.data import shards
from nnlite.data.augment import Augment
from nnlite.data.catalog import load, names
from nnlite.data.dataset import Dataset, Split, to_float
from nnlite.data.minibatches import Batcher, Minibatches
from nnlite.data.values import Values

if TYPE_CHECKING:
    from nnlite.data.own import Reading, from_arrays
    from nnlite.data.own import open_path as open

__all__ = [
    "Augment", "Batcher", "Dataset", "Minibatches", "Reading", "Split", "Values", "from_arrays", "load", "names",
    "open", "shards", "to_float",
]  # fmt: skip
_OWN = {"Reading": "Reading", "from_arrays": "from_arrays", "open": "open_path"}


def __getattr__(name: str) -> Any:
    """Import the readers of one's own data only when they are asked for: a worker gets shards, and starts sooner."""
    if name not in _OWN:
        raise AttributeError(f"module 'nnlite.data' has no attribute {name!r}")
    from nnlite.data import own

    return getattr(own, _OWN[name])
