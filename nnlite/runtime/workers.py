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
from nnlite.runtime.gauge import Gauge, GaugedPerformer, gauged
from nnlite.runtime.meter import Meter
from nnlite.runtime.own_process import process_age_s
from nnlite.runtime.performer import Scheduler, no_deadline, tell_nobody
from nnlite.runtime.spans import ReadingShards, Spans
from nnlite.runtime.trace_writer import TraceWriter
from nnlite.runtime.trainer import Trainer
from nnlite.store import Store, open_store
from nnlite.store.trace import Traced


def read_spec(store: Store, run: str) -> RunSpec:
    """The specification of a run. Raises RunNotFound when the store has no such run."""
    check_run(run)
    key = Keys(run).spec
    try:
        return RunSpec.from_json(store.get(key).data, key)
    except NotFound:
        raise RunNotFound(f"no run {run!r} in {store.url}: check the run's id and --store") from None


def open_durable(spec: RunSpec) -> Store | None:
    """The store for checkpoints that must last, if the run has one."""
    return open_store(spec.checkpoint_store) if spec.checkpoint_store is not None else None


class Workers:
    """Some workers of a run, taking turns in this process. `invoke` starts others, elsewhere or here.

    remaining_s: until the platform ends this process. before_s: of start-up, billed as well. gauge: counts what this
    process uses, and tells of it. `is_cold`: the first invocation of this process, for which it was started.
    """

    def __init__(
        self,
        store: Store,
        run: str,
        invoke: Callable[[int, int], object] | None = None,
        tell: Callable[..., None] = tell_nobody,
        scheduler: Scheduler | None = None,
        remaining_s: Callable[[], float] = no_deadline,
        before_s: float = 0.0,
        gauge: Gauge | None = None,
        is_cold: bool = False,
    ):
        self._began_s = time.monotonic() - (process_age_s() if is_cold else 0.0)
        self._is_cold = is_cold
        self.store, self.spec = Traced(store), read_spec(store, run)
        self.gauge = gauge or Gauge(time.monotonic() - before_s)
        self.gauge.watch(self.store)
        apart = self.spec.data.store
        self.data_store = self._counted(open_store(apart)) if apart else self.store
        durable = open_durable(self.spec)
        self.durable = self._counted(durable) if durable is not None else None
        self.scheduler = scheduler or Scheduler()
        self._invoke, self._tell = invoke, tell
        self._remaining_s, self._spent = remaining_s, Meter(self.spec.rates, self.store, before_s)
        self._all_spans: list[Spans] = []

    def bill(self) -> Bill:
        """What this process has cost so far."""
        return self._spent()

    def _counted(self, store: Store) -> Traced:
        """The same store, with its requests in the account."""
        traced = Traced(store)
        self.gauge.watch(traced)
        return traced

    def add(self, worker: int, attempt: int) -> int:
        """Take in one more invocation. -> the key of its result in the scheduler's `results`."""

        def tell(event: str, values: dict[str, object]) -> None:
            self._tell(event, {"worker": worker, "attempt": attempt, **values})

        began_s = self._began_s if self._is_cold else time.monotonic()
        spans = self._spans(worker, attempt, began_s) if self.spec.trace else None
        data_store = ReadingShards(self.data_store, spans) if spans else self.data_store
        performer = GaugedPerformer(
            self.store,
            Trainer(self.spec, worker, data_store),
            self.durable,
            invoke=self._invoke or self.add,
            remaining_s=self._remaining_s,
            spent=self._spent,
            tell=tell,
            spans=spans,
            gauge=self.gauge,
        )
        program = worker_of(self.spec, worker, attempt, holder=uuid.uuid4().hex).program()
        if spans:
            spans.add(INIT, began_s, time.monotonic())
        return self.scheduler.add(gauged(program, self.gauge), performer)

    def close(self, reason: str | None) -> None:
        """Nobody goes on here: write down the rest of what was traced. No reason: it failed."""
        for spans in self._all_spans:
            spans.close(reason)

    def _spans(self, worker: int, attempt: int, began_s: float) -> Spans:
        began_unix_s = time.time() - (time.monotonic() - began_s)
        writer = TraceWriter(self.store, self.spec.run, worker, attempt, began_unix_s, self._is_cold)
        spans = Spans(self.spec, worker, writer, began_s)
        self._all_spans.append(spans)
        return spans
