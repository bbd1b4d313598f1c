"""Workers of a run in this process: what every platform calls, in the end, to do an invocation's work."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from nnlite.errors import NotFound, RunNotFound
from nnlite.protocol.effects import Bill
from nnlite.protocol.keys import Keys
from nnlite.protocol.protocols import worker_of
from nnlite.protocol.spec import RunSpec, check_run
from nnlite.protocol.traces import INIT
from nnlite.runtime.gauge import Gauge
from nnlite.runtime.performer import Performer, Scheduler, no_deadline, tell_nobody
from nnlite.runtime.spans import ReadingShards, Spans
from nnlite.runtime.trace_writer import TraceWriter
from nnlite.runtime.trainer import Trainer
from nnlite.store import Store, open_store


def read_spec(store: Store, run: str) -> RunSpec:
    """The specification of a run. Raises RunNotFound when the store has no such run."""
    check_run(run)
    key = Keys(run).spec
    try:
        return RunSpec.of_run(run, store.get(key).data, key)
    except NotFound:
        raise RunNotFound(f"no run {run!r} in {store.url}: check the run's id and --store") from None


def open_durable(spec: RunSpec) -> Store | None:
    """The store for checkpoints that must last, if the run has one."""
    return open_store(spec.checkpoint_store) if spec.checkpoint_store is not None else None


class Workers:
    """Some workers of a run, taking turns in this process. `invoke` starts others, elsewhere or here.

    remaining_s: until the platform ends this process. gauge: counts what this process uses, and tells of it.
    `is_cold`: the first invocation of this process, for which it was started.
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
    ):
        self._is_cold = is_cold
        self.store, self.spec = store, read_spec(store, run)
        self.gauge = gauge or Gauge()
        apart = self.spec.data.store
        self.data_store = open_store(apart) if apart else self.store
        self.durable = open_durable(self.spec)
        self.scheduler = scheduler or Scheduler()
        self._invoke, self._tell, self._remaining_s = invoke, tell, remaining_s
        self._all_spans: list[Spans] = []

    def bill(self) -> Bill:
        """What this process has cost so far."""
        return self.gauge.bill(self.spec.rates)

    def add(self, worker: int, attempt: int) -> int:
        """Take in one more invocation. -> the key of its result in the scheduler's `results`."""

        def tell(event: str, values: dict[str, object]) -> None:
            self._tell(event, {"worker": worker, "attempt": attempt, **values})

        began_s = self.gauge.began_s if self._is_cold else time.monotonic()
        spans = self._spans(worker, attempt, began_s)
        performer = Performer(
            self.store,
            Trainer(self.spec, worker, ReadingShards(self.data_store, spans)),
            self.durable,
            invoke=self._invoke or self.add,
            remaining_s=self._remaining_s,
            spent=self.bill,
            tell=tell,
            spans=spans,
            settle=self.gauge.settle,
        )
        program = worker_of(self.spec, worker, attempt, holder=uuid.uuid4().hex).program()
        spans.add(INIT, began_s, time.monotonic())
        return self.scheduler.add(program, performer)

    def close(self, reason: str | None) -> None:
        """Nobody goes on here: write down the rest of what was traced. No reason: it failed."""
        for spans in self._all_spans:
            spans.close(reason)

    def _spans(self, worker: int, attempt: int, began_s: float) -> Spans:
        began_unix_s = time.time() - (time.monotonic() - began_s)
        of = (self.store, self.spec.run, worker, attempt, began_unix_s, self._is_cold, self.gauge.wrote)
        spans = Spans(self.spec, worker, TraceWriter(*of) if self.spec.trace else None, began_s, self.gauge)
        self._all_spans.append(spans)
        return spans
