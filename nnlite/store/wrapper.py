"""A store around a store: what retry, faults, trace and cache have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from nnlite.errors import UsageError
from nnlite.store.base import Condition, Data, Store, Versioned


class Random(Protocol):
    """Where chance comes from: `random.Random` and `np.random.Generator` both will do."""

    def random(self) -> float:
        """A number from 0 to 1."""


class Wrapper(Store):
    """Hands every verb on to `inner`.

    Its `url` is the one it was opened by, else that of `inner`: another process then sees the same values, but
    goes without the wrapper.
    """

    def __init__(self, inner: Store, *, url: str = "") -> None:
        self.inner = inner
        self._url = url

    @classmethod
    def from_url(cls, url: str) -> Wrapper:
        raise UsageError(f"{cls.__name__} has no URL of its own: open a store, and wrap it")

    @property
    def url(self) -> str:
        return self._url or self.inner.url

    @property
    def place(self) -> str:
        return f"{self.url} {self.inner.place}"

    def get(self, key: str) -> Versioned:
        return self.inner.get(key)

    def get_many(self, keys: Iterable[str]) -> list[Versioned | None]:
        return self.inner.get_many(keys)

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        self.inner.put(key, data, if_version=if_version)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def delete_many(self, keys: Iterable[str]) -> None:
        self.inner.delete_many(keys)

    def missing(self, keys: Iterable[str]) -> list[str]:
        return self.inner.missing(keys)

    def forget(self, key: str) -> None:
        self.inner.forget(key)

    def close(self) -> None:
        self.inner.close()
