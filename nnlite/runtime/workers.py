"""Workers of a run in this process: what every platform calls, in the end, to do an invocation's work."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from nnlite.errors import NotFound, RunError
from nnlite.protocol.effects import Bill
from nnlite.protocol.keys import Keys
from nnlite.protocol.protocols import worker_of
from nnlite.protocol.spec import RunSpec, check_run
from nnlite.runtime.meter import Meter, MeteredPerformer, metered
from nnlite.runtime.performer import Scheduler, no_deadline, tell_nobody
from nnlite.runtime.trainer import Trainer
from nnlite.store import Store, open_store


def read_spec(store: Store, run: str) -> RunSpec:
    """The specification of a run. Raises RunError when the store has no such run."""
    check_run(run)
    key = Keys(run).spec
    try:
        return RunSpec.from_json(store.get(key).data, key)
    except NotFound:
        raise RunError(f"no run {run!r} in {store.url}: check the run's id and --store") from None


class Workers:
    """Some workers of a run, taking turns in this process. `invoke` starts others, elsewhere or here."""

    def __init__(
        self,
        store: Store,
        run: str,
        invoke: Callable[[int, int], object] | None = None,
        tell: Callable[..., None] = tell_nobody,
        scheduler: Scheduler | None = None,
        remaining_s: Callable[[], float] = no_deadline,
        spent: Callable[[], Bill] = Bill,
        meter: Meter | None = None,
    ):
        self.meter = meter or Meter()
        self.store = self.meter.counted(store)
        self.spec = read_spec(self.store, run)
        apart = self.spec.data.store
        self.data_store = self.meter.counted(open_store(apart)) if apart else self.store
        self.scheduler = scheduler or Scheduler()
        self._invoke, self._tell = invoke, tell
        self._remaining_s, self._spent = remaining_s, spent

    def add(self, worker: int, attempt: int) -> int:
        """Take in one more invocation. -> the key of its result in the scheduler's `results`."""

        def tell(event: str, values: dict[str, object]) -> None:
            self._tell(event, {"worker": worker, "attempt": attempt, **values})

        trainer = Trainer(self.spec, worker, self.data_store)
        performer = MeteredPerformer(
            self.store,
            trainer,
            invoke=self._invoke or self.add,
            remaining_s=self._remaining_s,
            spent=self._spent,
            tell=tell,
            meter=self.meter,
        )
        program = worker_of(self.spec, worker, attempt, holder=uuid.uuid4().hex).program()
        return self.scheduler.add(metered(program, self.meter), performer)
