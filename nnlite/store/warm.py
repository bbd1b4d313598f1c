"""Warm: shards that a process keeps from one invocation to the next.

A shard's key is made of the hash of what it was cut from, so what was kept is what would be read again, whatever run
or worker the process works for next.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from nnlite.store.base import Store, Versioned
from nnlite.store.wrapper import Wrapper

SHARDS = "datasets/"


class Shelf:
    """Values by key, the ones used longest ago out first when there are more than `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._values: OrderedDict[str, Versioned] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> Versioned | None:
        """The value that was kept, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def keep(self, key: str, value: Versioned) -> None:
        """Keep a value, and drop others as far as there are too many bytes; one that is too large is not kept."""
        with self._lock:
            if len(value.data) <= self.max_bytes:
                self._values[key] = value
            while sum(len(v.data) for v in self._values.values()) > self.max_bytes:
                self._values.popitem(last=False)

    def drop(self, key: str) -> None:
        """Keep a value no longer."""
        with self._lock:
            self._values.pop(key, None)


class Warm(Wrapper):
    """`inner`, with its shards kept on a shelf that outlives it."""

    def __init__(self, inner: Store, shelf: Shelf) -> None:
        super().__init__(inner)
        self._shelf = shelf

    def get(self, key: str) -> Versioned:
        if not key.startswith(SHARDS):
            return self.inner.get(key)
        value = self._shelf.get(key)
        if value is None:
            value = self.inner.get(key)
            self._shelf.keep(key, value)
        return value

    def forget(self, key: str) -> None:
        self._shelf.drop(key)
        super().forget(key)
