"""Stores: `open_store(url)` opens the one that a URL names."""

import importlib
from typing import cast

from nnlite.errors import StoreUnavailable, UsageError
from nnlite.errors import shown as named
from nnlite.store.base import ABSENT, Condition, Data, Store, Version, Versioned
from nnlite.store.urls import refuse_secrets, shown

__all__ = ["ABSENT", "Condition", "Data", "Store", "StoreUnavailable", "Version", "Versioned", "open_store"]

# Imported only when opened: a run on files neither needs nor loads the clients of other stores.
_CLASSES = {
    "file": "nnlite.store.file:FileStore",
    "memcached": "nnlite.store.memcached:MemcachedStore",
    "memory": "nnlite.store.memory:MemoryStore",
    "s3": "nnlite.store.s3:S3Store",
}
_FAR = {"memcached", "s3"}  # behind a network, so behind `Retrying` as well


def open_store(url: str) -> Store:
    """Open `memory://[name]`, `file:///path`, a plain path, `s3://bucket/prefix` or `memcached://host:port/prefix`.

    Options stand in the URL, `?name=value&...`: those of the store's `from_url`, and for s3 and memcached also
    those of `store.opening`. Connects to nothing yet.
    Raises UsageError when the URL cannot be meant, StoreError when there is something, but not a store.
    """
    if not isinstance(url, str):
        raise UsageError(f"store {named(url)}: wanted a path or a URL, as a text", parameter="store")
    refuse_secrets(url)
    scheme, separator, _ = url.partition("://")
    where = _CLASSES.get(scheme if separator else "file")
    if where is None or not url:
        known = ", ".join(f"{name}://" for name in sorted(_CLASSES))
        raise UsageError(f"{shown(url)} is not a store: expected a path, or a URL with one of {known}")
    module, _, name = where.partition(":")
    kind = cast(type[Store], getattr(importlib.import_module(module), name))
    if separator and scheme in _FAR:
        from nnlite.store.opening import open_far

        return open_far(kind, url, open_store)
    return kind.from_url(url)
