"""The head of a run: which round it is, whether the run goes on, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any

from nnlite.errors import StoreError
from nnlite.protocol.downpour.updates import Ledger
from nnlite.protocol.effects import FoundObject, Get, Program, Swap
from nnlite.protocol.records.keys import Keys, Version
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.records import Count, Kept, OneOf, Range, Share, load_kept

RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"
Status = Annotated[str, OneOf((RUNNING, DONE, STOPPED, FAILED))]
MOST_LIVES = 1_000
MOST_BYTES = 8_000_000  #: four numbers of every worker


@dataclass(frozen=True)
class Head(Kept, what="the head of a run", most_bytes=MOST_BYTES):
    """The only object that is ever replaced. `counter` makes every value differ from all before it."""

    round: Version = 0
    status: Status = RUNNING
    reason: str = ""
    result: Version | None = None  #: the checkpoint that is the run's outcome, once it is done
    accuracy: Share | None = None  #: its test accuracy
    counter: Count = 0
    applied: tuple[Count, ...] = ()  #: see `updates.Ledger`; empty in a protocol without updates
    steps: tuple[Count, ...] = ()
    finished: tuple[Count, ...] = ()
    bases: tuple[Count, ...] = ()
    life: Annotated[int, Range(0, MOST_LIVES)] = 0  #: how often the run was restored, see `durable`
    closing: str = ""  #: why workers are to finish what they are at, and end the run in good order
    lease: Lease | None = None  #: of the worker that moved it last, where caps or a lone worker need it: see `moved_by`

    def ledger(self, num_workers: int) -> Ledger:
        """What checkpoint `round` contains of every worker."""
        if not self.applied:
            return Ledger.empty(num_workers)
        ledger = Ledger(self.applied, self.steps, self.finished, self.bases)
        if not ledger.fits(num_workers):
            raise StoreError(f"the head of this run of {num_workers} workers tells of others (damaged, or not ours)")
        return ledger

    def with_ledger(self, ledger: Ledger) -> Head:
        """The same head over another ledger."""
        return replace(self, **vars(ledger))

    def moved_by(self, lease: Lease | None) -> Head:
        """The same head with the lease of its mover: what that has used and survived stands here as well, in case the
        store loses the lease. For a watcher, which has none, nothing changes."""
        return replace(self, lease=lease) if lease is not None else self

    def reopened(self) -> Head:
        """The same head of a run that goes on."""
        return replace(self, status=RUNNING, reason="", result=None, accuracy=None)

    @classmethod
    def from_json(cls, data: Any, key: str) -> Head:
        """As of every record; heads are read far more often than they change, so some are remembered."""
        return _known(bytes(data), key)

    @classmethod
    def of_run(cls, spec: RunSpec, data: Any) -> Head:
        """The head of that run. Raises StoreError for one that is damaged, or further than the run can go: whoever
        reads it would ask for every round before."""
        key = Keys(spec.run).head
        found = cls.from_json(data, key)
        if found.round > (last := spec.last_round(found.life)):
            raise StoreError(f"{key} is damaged: it shows round {found.round:,}, and the run can have {last:,} at most")
        return found


@lru_cache(maxsize=64)
def _known(data: bytes, key: str) -> Head:
    return load_kept(Head, data, key)


def read(spec: RunSpec) -> Program[tuple[Head, FoundObject] | None]:
    """The head of a run and the version of it, or None when there is none."""
    found = yield Get(Keys(spec.run).head)
    return (Head.of_run(spec, found.data), found) if found else None


def change(key: str, how: Callable[[Head], Head]) -> Program[Head | None]:
    """Replace the head by `how` of it, again and again until nobody was faster. `how` leaves it alone by
    returning it unchanged. -> the head that stands, or None when there is none."""
    while True:
        found = yield Get(key)
        if found is None:
            return None
        head = Head.from_json(found.data, key)
        wanted = how(head)
        if wanted == head:
            return head
        wanted = replace(wanted, counter=head.counter + 1)
        if (yield Swap(key, wanted.to_json(key), found)):
            return wanted


def end(key: str, status: str, reason: str, has_result: bool = False) -> Program[Head | None]:
    """End a run that is still running, as stopped or failed; `has_result`: with its newest checkpoint as result."""

    def ended(head: Head) -> Head:
        if head.status != RUNNING:
            return head
        return replace(head, status=status, reason=reason, result=head.round if has_result else None)

    return (yield from change(key, ended))
