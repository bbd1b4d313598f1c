"""Traced: counts what a store is asked for: requests, keys, bytes, seconds and errors, by verb."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from nnlite.errors import Conflict, NotFound
from nnlite.store.base import Condition, Data, Store, Versioned, buffers
from nnlite.store.wrapper import Wrapper

Teller = Callable[[str, dict[str, Any]], None]


@dataclass
class Total:
    """Of one verb. S3 bills keys, not requests: a `get_many` of five keys is five GETs there.

    num_bytes: of values. seconds: added up over threads. num_missing: keys that were not there.
    num_conflicts: conditions that did not hold. num_errors: all other exceptions.
    """

    num_requests: int = 0
    num_keys: int = 0
    num_bytes: int = 0
    seconds: float = 0.0
    num_missing: int = 0
    num_conflicts: int = 0
    num_errors: int = 0


class Traced(Wrapper):
    """`inner`, counted in `totals`, a `Total` for each verb.

    tell: is told ("store", {verb, key, num_keys, num_bytes, seconds, error}) after each request.
    clock: seconds that never go back.
    """

    def __init__(
        self, inner: Store, tell: Teller | None = None, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        super().__init__(inner)
        self.totals = {verb: Total() for verb in ("get", "get_many", "put", "delete", "delete_many")}
        self._tell, self._clock, self._adding = tell, clock, threading.Lock()

    def get(self, key: str) -> Versioned:
        with self._counted("get", key) as one:
            value = self.inner.get(key)
            one.num_bytes = len(value.data)
        return value

    def get_many(self, keys: Iterable[str]) -> list[Versioned | None]:
        keys = list(keys)
        with self._counted("get_many", keys[0] if keys else "", len(keys)) as one:
            values = self.inner.get_many(keys)
            one.num_bytes = sum(len(value.data) for value in values if value)
            one.num_missing = values.count(None)
        return values

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Counted as reads: a server bills one for each key."""
        keys = list(keys)
        with self._counted("get_many", keys[0] if keys else "", len(keys)) as one:
            found = self.inner.missing(keys)
            one.num_missing = len(found)
        return found

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        parts = buffers(data)
        with self._counted("put", key) as one:
            self.inner.put(key, parts, if_version=if_version)
            one.num_bytes = sum(map(len, parts))

    def delete(self, key: str) -> None:
        with self._counted("delete", key):
            self.inner.delete(key)

    def delete_many(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        with self._counted("delete_many", keys[0] if keys else "", len(keys)):
            self.inner.delete_many(keys)

    @contextlib.contextmanager
    def _counted(self, verb: str, key: str, num_keys: int = 1) -> Iterator[Total]:
        one, error, began_s = Total(1, num_keys), "", self._clock()
        try:
            yield one
        except BaseException as failure:
            error = type(failure).__name__
            one.num_missing = int(isinstance(failure, NotFound))
            one.num_conflicts = int(isinstance(failure, Conflict))
            one.num_errors = int(not isinstance(failure, (NotFound, Conflict)))
            raise
        finally:
            one.seconds = self._clock() - began_s
            with self._adding:
                total = self.totals[verb]
                for name, value in asdict(one).items():
                    setattr(total, name, getattr(total, name) + value)
            if self._tell:
                told = {"key": key, "num_keys": num_keys, "num_bytes": one.num_bytes, "seconds": one.seconds}
                self._tell("store", {"verb": verb, **told, "error": error})
