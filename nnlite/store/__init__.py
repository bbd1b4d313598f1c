"""Stores: `open_store(url)` opens the one that a URL names."""

import importlib
from typing import cast

from nnlite.errors import UsageError
from nnlite.store.base import ABSENT, Condition, Data, Store, Version, Versioned

__all__ = ["ABSENT", "Condition", "Data", "Store", "Version", "Versioned", "open_store"]

# Imported only when opened: a run on files neither needs nor loads the clients of other stores.
_CLASSES = {
    "file": "nnlite.store.file:FileStore",
    "memory": "nnlite.store.memory:MemoryStore",
}


def open_store(url: str) -> Store:
    """Open `memory://[name]`, `file:///path`, or a plain path, which is a folder of files.

    Raises UsageError when the URL cannot be meant, StoreError when there is something, but not a store.
    """
    scheme, separator, _ = url.partition("://")
    where = _CLASSES.get(scheme if separator else "file")
    if where is None or not url:
        known = ", ".join(f"{name}://" for name in sorted(_CLASSES))
        raise UsageError(f"{url!r} is not a store: expected a path, or a URL with one of {known}")
    module, _, name = where.partition(":")
    return cast(type[Store], getattr(importlib.import_module(module), name)).from_url(url)
