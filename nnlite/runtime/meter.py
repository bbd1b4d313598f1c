"""The meter: what an invocation has used and cost so far, at the list prices in its run's specification."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from nnlite.protocol.effects import Bill
from nnlite.protocol.spec import Rates
from nnlite.store.trace import Traced

READS, WRITES = ("get", "get_many"), ("put",)  # deleting is free where requests are paid for


class Meter:
    """Counts seconds from when it is made, `before_s` of start-up included, and requests by key as S3 bills them.

    apart: the data and the checkpoint store, where they are others than the run's.
    """

    def __init__(
        self,
        rates: Rates,
        store: Traced,
        before_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        apart: Sequence[Traced] = (),
    ) -> None:
        self._rates, self._store, self._clock = rates, store, clock
        self._apart = [one for one in apart if one.url.startswith("s3://")]
        self._began_s = clock() - before_s

    def __call__(self) -> Bill:
        seconds, rates = self._clock() - self._began_s, self._rates
        usd = rates.invocation_usd + seconds * rates.worker_second_usd
        usd += _requests_usd(self._store, rates.read_usd, rates.write_usd)
        usd += sum(_requests_usd(one, rates.apart_read_usd, rates.apart_write_usd) for one in self._apart)
        return Bill(seconds, usd)


def _requests_usd(store: Traced, read_usd: float, write_usd: float) -> float:
    reads, writes = (sum(store.totals[verb].num_keys for verb in verbs) for verbs in (READS, WRITES))
    return reads * read_usd + writes * write_usd
