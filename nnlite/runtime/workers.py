"""Workers of a run in this process: what every platform calls, in the end, to do an invocation's work."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from nnlite.errors import NnliteError, NotFound, NotOfThisRun, RunNotFound
from nnlite.protocol.records import lease
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec, check_run
from nnlite.protocol.records.usage import Usage, total
from nnlite.runtime.performer import Performer, Scheduler, no_deadline, perform, tell_nobody
from nnlite.runtime.trainer import Trainer
from nnlite.store import Store, open_store
from nnlite.telemetry.format import INIT
from nnlite.telemetry.recorder import ReadingShards, Spans
from nnlite.telemetry.usage_meter import Gauge, UsageMeter
from nnlite.telemetry.writer import TraceWriter


def read_spec(store: Store, run: str, sha256: str | None = None) -> RunSpec:
    """The specification of a run. sha256: of the one that is meant; None: whichever stands there.

    Raises RunNotFound when the store has no such run, NotOfThisRun when it has another specification.
    """
    check_run(run)
    key = Keys(run).spec
    try:
        data = store.get(key).data
    except NotFound:
        raise RunNotFound(f"no run {run!r} in {store.url}: check the run's id and store=") from None
    found = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, found):
        raise NotOfThisRun(
            f"{key} in {store.url} is not the specification that this worker was started for "
            f"(SHA-256 {found[:12]}, expected {sha256:.12}): somebody has replaced it"
        )
    return RunSpec.of_run(run, data, key)


def open_durable(spec: RunSpec) -> Store | None:
    """The store for checkpoints that must last, if the run has one."""
    return open_store(spec.checkpoint_store) if spec.checkpoint_store is not None else None


@dataclass(frozen=True)
class Invocation:
    """One attempt of a worker in this process."""

    worker: int
    attempt: int
    holder: str
    spans: Spans
    meter: UsageMeter


class Workers:
    """Some workers of a run, taking turns in this process. `invoke` starts others, elsewhere or here.

    remaining_s: until the platform ends this process. gauge: counts what this process uses. sha256: of the
    specification that this process was started for. `is_cold`: the first invocation of this process, for
    which it was started.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        invoke: Callable[[int, int], object] | None = None,
        tell: Callable[..., None] = tell_nobody,
        scheduler: Scheduler | None = None,
        remaining_s: Callable[[], float] = no_deadline,
        gauge: Gauge | None = None,
        is_cold: bool = False,
        sha256: str | None = None,
    ):
        self._is_cold = is_cold
        self.store, self.spec = store, read_spec(store, run, sha256)
        self.gauge = gauge or Gauge()
        apart = self.spec.data.store
        self.data_store = open_store(apart) if apart else self.store
        self.durable = open_durable(self.spec)
        self.scheduler = scheduler or Scheduler()
        self._invoke, self._tell, self._remaining_s = invoke, tell, remaining_s
        self._invocations: list[Invocation] = []

    def used(self) -> Usage:
        """What this process has used so far."""
        return total(one.meter.usage() for one in self._invocations)

    def add(self, worker: int, attempt: int) -> int:
        """Take in one more invocation. -> the key of its result in the scheduler's `results`."""

        def tell(event: str, values: dict[str, object]) -> None:
            spans.is_held = spans.is_held or event == "began"  # before anybody hears of it, and may end this process
            self._tell(event, {"worker": worker, "attempt": attempt, **values})

        began_s, meter = self.gauge.began_s if self._is_cold else time.monotonic(), self.gauge.open()
        spans = self._spans(worker, attempt, began_s, meter)
        one = Invocation(worker, attempt, uuid.uuid4().hex, spans, meter)
        self._invocations.append(one)
        performer = Performer(
            self.store,
            Trainer(self.spec, worker, ReadingShards(self.data_store, spans)),
            self.durable,
            invoke=self._invoke or self.add,
            remaining_s=self._remaining_s,
            used=meter.usage,
            tell=tell,
            spans=spans,
            settle=self.gauge.settle,
            over=lambda reason: self._end(one, reason),
        )
        program = self.spec.rules.worker(self.spec, worker, attempt, one.holder).program()
        spans.add(INIT, began_s, time.monotonic())
        return self.scheduler.add(program, performer)

    def close(self, reason: str | None, store_answers: bool = True) -> None:
        """Nobody goes on here: write down the rest of the traces, and the last accounts. No reason: it failed."""
        for one in self._invocations:
            self._end(one, reason, store_answers)

    def _end(self, one: Invocation, reason: str | None, store_answers: bool = True) -> None:
        """Write the last words of an invocation; last of all its account, which has all the others in it. Ending it
        twice is no error: a process may be told to end while it does."""
        one.spans.close(reason)
        if one.spans.is_held and store_answers and not one.meter.is_closed:
            with suppress(NnliteError, OSError):  # then the account of its last beat stands
                self._settle(one)
        one.meter.close()

    def _settle(self, one: Invocation) -> None:
        key = Keys(self.spec.run).lease(one.worker)
        size = len(Lease(1, one.holder, own=one.meter.usage()).to_json(key))
        one.meter.read(1, size)
        one.meter.wrote(1, size)
        perform(
            lease.settle(key, one.attempt, one.holder, one.meter.usage()),
            Performer(self.store, settle=self.gauge.settle),
        )

    def _spans(self, worker: int, attempt: int, began_s: float, meter: UsageMeter) -> Spans:
        began_unix_s = time.time() - (time.monotonic() - began_s)
        of = (self.store, self.spec.run, worker, attempt, began_unix_s, self._is_cold, meter.traced)
        return Spans(self.spec, worker, TraceWriter(*of) if self.spec.trace else None, began_s, meter)
