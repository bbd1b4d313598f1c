"""The meter: what an invocation has cost so far, at the list prices in its run's specification."""

from __future__ import annotations

from collections.abc import Mapping

from nnlite.protocol.effects import Bill
from nnlite.protocol.spec import Rates
from nnlite.store.trace import Total

READS, WRITES = ("get", "get_many"), ("put",)  # deleting is free everywhere


def bill(rates: Rates, seconds: float, totals: Mapping[str, Total]) -> Bill:
    """seconds: billed by the platform so far. totals: requests to the store (`store.trace.Traced`)."""
    reads, writes = (sum(totals[verb].num_keys for verb in verbs) for verbs in (READS, WRITES))
    usd = rates.invocation_usd + rates.worker_second_usd * seconds + rates.read_usd * reads + rates.write_usd * writes
    return Bill(seconds, usd)
