"""Faulty: a store that fails as networks do, by a seeded plan. For tests, and for trying out a run's nerves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from nnlite.errors import StoreUnavailable, UsageError
from nnlite.store.base import Condition, Data, Store, Versioned
from nnlite.store.wrapper import Random, Wrapper

T = TypeVar("T")


class Faulty(Wrapper):
    """`inner`, with faults drawn from `rng` for each request.

    lost_request_rate: raises StoreUnavailable, and nothing was done.
    lost_reply_rate: raises StoreUnavailable, after it was done.
    delay_s: each request first waits for 0 to this many seconds.
    evict_rate: a value that is read, and that `evictable` allows to, is gone before.
    """

    def __init__(
        self,
        inner: Store,
        rng: Random,
        *,
        lost_request_rate: float = 0.0,
        lost_reply_rate: float = 0.0,
        delay_s: float = 0.0,
        evict_rate: float = 0.0,
        evictable: Callable[[str], bool] = lambda key: True,
        sleep: Callable[[float], None] = time.sleep,
        url: str = "",
    ) -> None:
        super().__init__(inner, url=url)
        rates = {"lost_request_rate": lost_request_rate, "lost_reply_rate": lost_reply_rate, "evict_rate": evict_rate}
        for name, rate in rates.items():
            if not 0 <= rate <= 1:
                raise UsageError(f"{name}={rate}: expected a fraction from 0 to 1")
        self._rng, self._drawing = rng, threading.Lock()
        self._lost_request_rate, self._lost_reply_rate = lost_request_rate, lost_reply_rate
        self._delay_s, self._sleep = delay_s, sleep
        self._evict_rate, self._evictable = evict_rate, evictable

    def get(self, key: str) -> Versioned:
        self._evict([key])
        return self._faulty(f"get {key!r}", lambda: self.inner.get(key))

    def get_many(self, keys: Iterable[str]) -> list[Versioned | None]:
        keys = list(keys)
        self._evict(keys)
        return self._faulty(f"get {len(keys)} keys", lambda: self.inner.get_many(keys))

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        self._faulty(f"put {key!r}", lambda: self.inner.put(key, data, if_version=if_version))

    def delete(self, key: str) -> None:
        self._faulty(f"delete {key!r}", lambda: self.inner.delete(key))

    def delete_many(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self._faulty(f"delete {len(keys)} keys", lambda: self.inner.delete_many(keys))

    def missing(self, keys: Iterable[str]) -> list[str]:
        keys = list(keys)
        self._evict(keys)
        return self._faulty(f"look for {len(keys)} keys", lambda: self.inner.missing(keys))

    def _evict(self, keys: list[str]) -> None:
        for key in keys:
            if self._chance() < self._evict_rate and self._evictable(key):
                self.inner.delete(key)

    def _faulty(self, what: str, request: Callable[[], T]) -> T:
        wait, before, after = self._chance(), self._chance(), self._chance()
        if self._delay_s:
            self._sleep(wait * self._delay_s)
        if before < self._lost_request_rate:
            raise StoreUnavailable(f"{what} in {self.url}: injected fault, the request was lost")
        answer = request()
        if after < self._lost_reply_rate:
            raise StoreUnavailable(f"{what} in {self.url}: injected fault, the reply was lost")
        return answer

    def _chance(self) -> float:
        with self._drawing:
            return self._rng.random()
