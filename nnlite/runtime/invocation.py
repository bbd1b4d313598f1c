"""One invocation of a worker, as a function in a cloud gets it: what every handler parses, and calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from nnlite.errors import NnliteError, RunError, RunNotFound, StoreUnavailable, Unasked
from nnlite.protocol.records import head
from nnlite.protocol.records.keys import Attempt, Keys, WorkerNumber
from nnlite.protocol.records.spec import check_run
from nnlite.records import Record, Sha256
from nnlite.runtime.performer import Performer, Teller, no_deadline, perform, tell_nobody
from nnlite.runtime.workers import Workers
from nnlite.store import open_store
from nnlite.store.warm import Shelf, Warm
from nnlite.telemetry.usage_meter import Gauge

_warm: list[bool] = []  # not empty once this process has carried out an invocation


@dataclass(frozen=True)
class Payload(Record, what="a worker's payload", error=RunError):
    """All that is sent to start a worker: the rest is in the run's specification."""

    run: str
    store: str  #: URL
    worker: WorkerNumber
    attempt: Attempt
    spec: Sha256  #: of the run's specification

    def __post_init__(self) -> None:
        check_run(self.run)


def carry_out(
    payload: Payload,
    invoke: Callable[[int, int], None],
    remaining_s: Callable[[], float] = no_deadline,
    before_s: float = 0.0,
    tell: Teller = tell_nobody,
    shelf: Shelf | None = None,
) -> str:
    """Do the work of one invocation. -> why it ended.

    invoke(worker, attempt) starts another one, and does not wait for it. remaining_s: until the platform ends us.
    before_s: seconds of start-up that are billed as well. shelf: where this process keeps shards between invocations.
    In the end `tell` hears of a "bill": what this invocation has cost.
    Raises Unasked for a worker that the run does not have, or when its specification is not the one that the payload
    is for; NnliteError when the worker could not go on: the lease then expires, and it is replaced.
    """
    is_cold = not _warm
    _warm.append(True)
    with open_store(payload.store) as store:
        near = Warm(store, shelf) if shelf is not None else store
        gauge = Gauge(time.monotonic() - before_s)
        try:
            workers = Workers(near, payload.run, invoke, tell, None, remaining_s, gauge, is_cold, payload.spec)
        except RunNotFound as error:  # the caller knows better: the run must be restored
            raise StoreUnavailable(str(error)) from error
        if payload.worker >= workers.spec.num_workers:
            highest = workers.spec.num_workers - 1
            raise Unasked(f"run {payload.run} has no worker {payload.worker}: wanted one from 0 to {highest}")
        answers = True
        try:
            key = workers.add(payload.worker, payload.attempt)
            gauge.begin()
            workers.scheduler.run(until=key)
        except StoreUnavailable:
            answers = False
            raise
        finally:
            workers.close(None, answers)
        used = workers.used()
        tell("bill", {"seconds": used.seconds, "usd": workers.spec.rates.usd(used)})
        reason: str = workers.scheduler.results[key].reason
        return reason


def end_as_failed(payload: Payload, error: Exception) -> None:
    """End the run for an error that the next attempt would only meet again. Raises StoreError when that fails."""
    kind = type(error).__name__
    reason = str(error) if isinstance(error, NnliteError) else f"a worker failed: {kind}: {error}"
    if isinstance(error, MemoryError):
        reason = "a worker's memory was not enough: give its function more (memory_mb=), or use more workers"
    with open_store(payload.store) as store:
        perform(head.end(Keys(payload.run).head, head.FAILED, reason), Performer(store))
