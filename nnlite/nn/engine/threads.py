"""A few Python threads for one network: NumPy and BLAS let go of the interpreter while they compute."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait


class Threads:
    """Runs the same work on `count` threads; on one, without any thread at all."""

    def __init__(self, count: int):
        self.count = count
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, work: Callable[[int], None]) -> None:
        """Run work(0) ... work(count - 1) and wait for all. Raises what one of them raised."""
        if self.count == 1:
            work(0)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.count - 1, "nnlite")
        others = [self._pool.submit(work, thread) for thread in range(1, self.count)]
        try:
            work(0)
        finally:
            wait(others)  # whatever happens: they use the network's memory
        for other in others:
            other.result()


def in_turns(count: int, work: Callable[[int], None]) -> None:
    """Run work(0) ... work(count - 1) one after the other."""
    for thread in range(count):
        work(thread)
