"""Workers of a run in this process: what every platform calls, in the end, to do an invocation's work."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from nnlite.errors import NotFound, RunError
from nnlite.protocol.effects import Bill
from nnlite.protocol.keys import Keys
from nnlite.protocol.protocols import worker_of
from nnlite.protocol.spec import RunSpec, check_run
from nnlite.runtime.meter import Meter
from nnlite.runtime.performer import Performer, Scheduler, no_deadline, tell_nobody
from nnlite.runtime.trainer import Trainer
from nnlite.store import Store, open_store
from nnlite.store.trace import Traced


def read_spec(store: Store, run: str) -> RunSpec:
    """The specification of a run. Raises RunError when the store has no such run."""
    check_run(run)
    key = Keys(run).spec
    try:
        return RunSpec.from_json(store.get(key).data, key)
    except NotFound:
        raise RunError(f"no run {run!r} in {store.url}: check the run's id and --store") from None


def open_durable(spec: RunSpec) -> Store | None:
    """The store for checkpoints that must last, if the run has one."""
    return open_store(spec.checkpoint_store) if spec.checkpoint_store is not None else None


class Workers:
    """Some workers of a run, taking turns in this process. `invoke` starts others, elsewhere or here.

    remaining_s: until the platform ends this process. before_s: of start-up, billed as well.
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
    ):
        self.store, self.spec = Traced(store), read_spec(store, run)
        self.data_store = open_store(self.spec.data.store) if self.spec.data.store else store
        self.durable = open_durable(self.spec)
        self.scheduler = scheduler or Scheduler()
        self._invoke, self._tell = invoke, tell
        self._remaining_s, self._spent = remaining_s, Meter(self.spec.rates, self.store, before_s)

    def bill(self) -> Bill:
        """What this process has cost so far."""
        return self._spent()

    def add(self, worker: int, attempt: int) -> int:
        """Take in one more invocation. -> the key of its result in the scheduler's `results`."""

        def tell(event: str, values: dict[str, object]) -> None:
            self._tell(event, {"worker": worker, "attempt": attempt, **values})

        trainer = Trainer(self.spec, worker, self.data_store)
        performer = Performer(
            self.store,
            trainer,
            self.durable,
            invoke=self._invoke or self.add,
            remaining_s=self._remaining_s,
            spent=self._spent,
            tell=tell,
        )
        program = worker_of(self.spec, worker, attempt, holder=uuid.uuid4().hex).program()
        return self.scheduler.add(program, performer)
