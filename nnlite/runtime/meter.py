"""The meter: what an invocation has used and cost so far, at the list prices in its run's specification."""

from __future__ import annotations

import time
from collections.abc import Callable

from nnlite.protocol.effects import Bill
from nnlite.protocol.spec import Rates
from nnlite.store.trace import Traced

READS, WRITES = ("get", "get_many"), ("put",)  # deleting is free where requests are paid for


class Meter:
    """Counts seconds from when it is made, `before_s` of start-up included, and requests by key as S3 bills them."""

    def __init__(
        self, rates: Rates, store: Traced, before_s: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates, self._store, self._clock = rates, store, clock
        self._began_s = clock() - before_s

    def __call__(self) -> Bill:
        seconds, rates, totals = self._clock() - self._began_s, self._rates, self._store.totals
        reads, writes = (sum(totals[verb].num_keys for verb in verbs) for verbs in (READS, WRITES))
        requests_usd = reads * rates.read_usd + writes * rates.write_usd
        return Bill(seconds, rates.invocation_usd + seconds * rates.worker_second_usd + requests_usd)
