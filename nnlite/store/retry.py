"""Retrying: asks again when a store gave no answer, without doing anything twice.

A request that raised `StoreUnavailable` may have been done all the same: its reply was lost. Repeating it is
harmless for `get`, `delete` and an unconditional `put` (by our rules, only to fresh names). A conditional put is
repeated under the same condition, so it takes effect once at most; what a repeated one's `Conflict` means is
read from the store: if our very bytes stand there, the first request was done and this is no conflict.

That needs values that nobody else writes: immutable ones are the same from every writer, swapped ones hold a
counter and who counted. One thing cannot be told: our value was written, its reply lost, and somebody replaced
it before we looked. That is a Conflict here, so the caller that gets one decides by what it then reads (a lease by its
holder, a head by what it says was applied) and never by having failed.

Of many keys in one request only those are asked for again that got no answer, and as long as some do, it goes on.

Waits are drawn evenly from 0 to a cap that doubles ("full jitter", Brooker, AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from nnlite.errors import Conflict, NotFound, PartlyUnavailable, StoreUnavailable, UsageError
from nnlite.store.base import Condition, Data, Store, Versioned, buffers
from nnlite.store.wrapper import Random, Wrapper

T = TypeVar("T")

MOST_DOUBLINGS = 30  # of the first wait; more are no float any more, and far above any cap


class Retrying(Wrapper):
    """`inner`, asked up to `attempts` times; for many keys, so often in a row without any answer.

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
        values = self._batch(keys, lambda left: dict(zip(left, self.inner.get_many(left), strict=True)))
        return [values[key] for key in keys]

    def missing(self, keys: Iterable[str]) -> list[str]:
        def ask(left: list[str]) -> dict[str, bool]:
            gone = set(self.inner.missing(left))
            return {key: key in gone for key in left}

        return [key for key, is_gone in self._batch(keys, ask).items() if is_gone]

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
        def ask(left: list[str]) -> dict[str, None]:
            self.inner.delete_many(left)
            return dict.fromkeys(left)

        self._batch(keys, ask)

    def _holds(self, key: str, parts: list[memoryview]) -> bool:
        """Whether `key` has the value that we wrote, or tried to."""
        try:
            return self.inner.get(key).data == b"".join(parts)
        except NotFound:
            return False

    def _batch(self, keys: Iterable[str], ask: Callable[[list[str]], dict[str, T]]) -> dict[str, T]:
        """What is answered for each key; asked again are those that got no answer."""
        answers: dict[str, T] = {}
        keys = list(dict.fromkeys(keys))

        def attempt() -> None:
            left = [key for key in keys if key not in answers]
            try:
                answers.update(ask(left))
            except PartlyUnavailable as error:
                answers.update((key, error.answers[key]) for key in left if key in error.answers)
                raise

        self._repeated(attempt, lambda: len(answers))
        return {key: answers[key] for key in keys}

    def _repeated(self, request: Callable[[], T], progress: Callable[[], int] = int) -> T:
        """The answer to a request, made up to `attempts` times in a row without progress."""
        attempts, before = 0, progress()
        while True:
            try:
                return request()
            except StoreUnavailable as error:
                attempts = attempts + 1 if progress() == before else 1
                before = progress()
                if attempts >= self._attempts:
                    raise StoreUnavailable(f"{error} (gave up after {attempts} attempts)") from error
            self._sleep(self._rng.random() * min(self._cap_s, self._base_s * 2 ** min(attempts - 1, MOST_DOUBLINGS)))
