"""A survey of a run from outside: how far it is, which of its workers live, what they have cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nnlite.cost.account import Account
from nnlite.errors import RunError
from nnlite.protocol.records.head import RUNNING, Head
from nnlite.protocol.records.lease import OPEN, Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs.lifecycle import standing
from nnlite.store import Store
from nnlite.telemetry import reading

WAITING, ALIVE, LATE, LOST, LEFT = "waiting", "alive", "late", "lost", "left"
STATES = (ALIVE, WAITING, LATE, LOST, LEFT)


@dataclass(frozen=True)
class RunSurvey:
    """What one look showed."""

    head: Head
    workers: tuple[str, ...]  #: the state of each
    account: Account  #: what they have used, up to their last beats
    is_copy: bool = False  #: whether this is not the run's own store, but that with its durable copies

    def count(self, state: str) -> int:
        """How many workers are in it."""
        return self.workers.count(state)


@dataclass
class Surveyor:
    """Looks at one run again and again, as only change tells who lives.

    A worker is "alive" when its lease has moved since the first look, "late" when it should have and has not, "lost"
    when it has not for its time to live, "waiting" when its invocation has not come yet or before a second look.
    """

    store: Store
    spec: RunSpec
    clock: Callable[[], float] = time.monotonic
    _seen: dict[int, tuple[Lease | None, float]] = field(default_factory=dict)
    _moved: set[int] = field(default_factory=set)

    def look(self) -> RunSurvey:
        """One look. Raises RunError when the run has no head."""
        head = standing(self.store, self.spec)
        if head is None:
            raise RunError(f"run {self.spec.run} has no head in {self.store.url}: was its beginning interrupted?")
        account, now_s = reading.read_account(self.store, self.spec), self.clock()
        states = []
        for worker in range(self.spec.num_workers):
            lease = account.leases.get(worker)
            before = self._seen.get(worker)
            if before is None or before[0] != lease:
                self._seen[worker] = (lease, now_s)
                if before is not None:
                    self._moved.add(worker)
            states.append(self._state(head, lease, worker, now_s - self._seen[worker][1]))
        return RunSurvey(head, tuple(states), account, reading.is_copy(self.store, account))

    def settled(self, survey: RunSurvey) -> bool:
        """Whether another look would tell nothing new soon: everybody is known to live, or the run is over."""
        return survey.count(WAITING) == 0 or survey.is_copy

    @property
    def patience_s(self) -> float:
        """A living worker's lease moves within this."""
        return self.spec.beat_s + 2 * self.spec.slice_s

    def _state(self, head: Head, lease: Lease | None, worker: int, unmoved_s: float) -> str:
        if head.status != RUNNING or (lease is not None and lease.is_final):
            return LEFT
        if unmoved_s > self.spec.lease_ttl_s:
            return LOST
        if unmoved_s > self.patience_s:
            return LATE
        is_held = lease is not None and lease.holder != OPEN
        return ALIVE if is_held and worker in self._moved else WAITING
