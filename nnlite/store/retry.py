"""Retrying: asks again when a store gave no answer, without doing anything twice.

A request that raised `StoreUnavailable` may have been done all the same: its reply was lost. Repeating it is
harmless for `get`, `delete` and an unconditional `put` (by our rules, only to fresh names). A conditional put is
repeated under the same condition, so it takes effect once at most; what a repeated one's `Conflict` means is
read from the store: if our very bytes stand there, the first request was done and this is no conflict.

That needs values that nobody else writes: immutable ones are the same whoever writes them, swapped ones hold a
counter and who counted. One thing cannot be told: our value was written, its reply lost, and somebody replaced
it before we looked. That is a Conflict here, so whoever gets one decides by what it then reads (a lease by its
holder, a head by what it says was applied) and never by having failed.

Waits are drawn evenly from 0 to a cap that doubles ("full jitter", Brooker, AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from nnlite.errors import Conflict, NotFound, StoreUnavailable, UsageError
from nnlite.store.base import Condition, Data, Store, Versioned, buffers
from nnlite.store.wrapper import Random, Wrapper

T = TypeVar("T")


class Retrying(Wrapper):
    """`inner`, asked up to `attempts` times.

    base_s, cap_s: the longest first wait, and the longest of all, in seconds. sleep: takes seconds.
    Raises what `inner` raised last.
    """

    def __init__(
        self,
        inner: Store,
        *,
        attempts: int = 8,
        base_s: float = 0.1,
        cap_s: float = 3.0,
        rng: Random | None = None,
        sleep: Callable[[float], None] = time.sleep,
        url: str = "",
    ) -> None:
        super().__init__(inner, url=url)
        if attempts < 1:
            raise UsageError(f"attempts={attempts}: expected 1 or more")
        self._attempts, self._base_s, self._cap_s = attempts, base_s, cap_s
        self._rng, self._sleep = rng or random.Random(), sleep

    def get(self, key: str) -> Versioned:
        return self._repeated(lambda: self.inner.get(key))

    def get_many(self, keys: Iterable[str]) -> list[Versioned | None]:
        keys = list(keys)
        return self._repeated(lambda: self.inner.get_many(keys))

    def put(self, key: str, data: Data, *, if_version: Condition = None) -> None:
        parts = buffers(data)
        is_repeated = False

        def attempt() -> None:
            nonlocal is_repeated
            again, is_repeated = is_repeated, True
            try:
                self.inner.put(key, parts, if_version=if_version)
            except Conflict:
                if not (again and self._holds(key, parts)):
                    raise

        self._repeated(attempt)

    def delete(self, key: str) -> None:
        self._repeated(lambda: self.inner.delete(key))

    def delete_many(self, keys: Iterable[str]) -> None:
        keys = list(keys)
        self._repeated(lambda: self.inner.delete_many(keys))

    def _holds(self, key: str, parts: list[memoryview]) -> bool:
        """Whether `key` has the value that we wrote, or tried to."""
        try:
            return self.inner.get(key).data == b"".join(parts)
        except NotFound:
            return False

    def _repeated(self, request: Callable[[], T]) -> T:
        for attempt in range(self._attempts - 1):
            try:
                return request()
            except StoreUnavailable:
                self._sleep(self._rng.random() * min(self._cap_s, self._base_s * 2**attempt))
        try:
            return request()
        except StoreUnavailable as error:
            raise StoreUnavailable(f"{error} (gave up after {self._attempts} attempts)") from error
