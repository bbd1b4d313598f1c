"""Parallel: one request a key, several at a time, in threads that are made when they are first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

from nnlite.errors import PartlyUnavailable, StoreUnavailable

T = TypeVar("T")

NUM_THREADS = 16


class Parallel:
    """At most `NUM_THREADS` requests at a time, from all threads together."""

    def __init__(self) -> None:
        self._making = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the threads; the next request makes others."""
        with self._making:
            pool, self._pool = self._pool, None
        if pool:
            pool.shutdown()

    def ask(self, request: Callable[[str], T], keys: list[str]) -> dict[str, T]:
        """The answer for each key. Raises PartlyUnavailable, with those that came, when one does not: what was not yet
        asked then is not asked any more."""
        if len(keys) < 2:
            return {key: request(key) for key in keys}
        with self._making:
            pool = self._pool = self._pool or ThreadPoolExecutor(NUM_THREADS, "s3")
        asked = {key: pool.submit(request, key) for key in dict.fromkeys(keys)}
        answers: dict[str, T] = {}
        failure: StoreUnavailable | None = None
        try:
            for key, future in asked.items():
                try:
                    answers[key] = future.result()
                except StoreUnavailable as error:
                    failure = failure or error
                    _cancel(asked.values())
                except CancelledError:
                    pass  # it has no answer
        finally:
            _cancel(asked.values())
        if failure is not None:
            raise PartlyUnavailable(str(failure), answers) from failure
        return answers


def _cancel(asked: Iterable[Future[Any]]) -> None:
    for future in asked:
        future.cancel()
