"""The head of a run: which round it is, whether the run goes on, and why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

from nnlite.errors import StoreError
from nnlite.protocol.effects import Found, Get, Program, Swap
from nnlite.protocol.updates import Ledger

RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped", "failed"


@dataclass(frozen=True)
class Head:
    """The only object that is ever replaced. `counter` makes every value differ from all before it."""

    round: int = 0
    status: str = RUNNING
    reason: str = ""
    result: int | None = None  #: the checkpoint that is the run's outcome, once it is done
    accuracy: float | None = None  #: its test accuracy
    counter: int = 0
    applied: tuple[int, ...] = ()  #: see `updates.Ledger`; empty in a protocol without updates
    steps: tuple[int, ...] = ()
    finished: tuple[int, ...] = ()
    bases: tuple[int, ...] = ()
    life: int = 0  #: how often the run was restored, see `durable`
    closing: str = ""  #: why workers are to finish what they are at, and end the run in good order

    def ledger(self, num_workers: int) -> Ledger:
        """What checkpoint `round` contains of every worker."""
        if not self.applied:
            return Ledger.empty(num_workers)
        return Ledger(self.applied, self.steps, self.finished, self.bases)

    def with_ledger(self, ledger: Ledger) -> Head:
        """The same head over another ledger."""
        return replace(self, **vars(ledger))

    def reopened(self) -> Head:
        """The same head of a run that goes on."""
        return replace(self, status=RUNNING, reason="", result=None, accuracy=None)

    def to_json(self) -> bytes:
        """Deterministic JSON, UTF-8."""
        return json.dumps(vars(self), sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Head:
        """Read what `to_json` wrote. Raises StoreError for anything else."""
        return _decoded(bytes(data), where)


@lru_cache(maxsize=64)
def _decoded(data: bytes, where: str) -> Head:
    """Heads are read far more often than they change."""
    try:
        values = json.loads(data)
        values.update({name: tuple(values[name]) for name in ("applied", "steps", "finished", "bases")})
        head = Head(**values)
        if not isinstance(head.round, int) or head.status not in (RUNNING, DONE, STOPPED, FAILED):
            raise ValueError(f"round {head.round!r}, status {head.status!r}")
        return head
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreError(f"{where} is not the head of a run (damaged, or not ours): {error}") from None


def read(key: str) -> Program[tuple[Head, Found] | None]:
    """The head and the version of it, or None when there is none."""
    found = yield Get(key)
    return (Head.from_json(found.data, key), found) if found else None


def change(key: str, how: Callable[[Head], Head]) -> Program[Head | None]:
    """Replace the head by `how` of it, again and again until nobody was faster. `how` leaves it alone by
    returning it unchanged. -> the head that stands, or None when there is none."""
    while True:
        found = yield from read(key)
        if found is None:
            return None
        head, version = found
        wanted = how(head)
        if wanted == head:
            return head
        wanted = replace(wanted, counter=head.counter + 1)
        if (yield Swap(key, wanted.to_json(), version)):
            return wanted


def end(key: str, status: str, reason: str, has_result: bool = False) -> Program[Head | None]:
    """End a run that is still running, as stopped or failed; `has_result`: with its newest checkpoint as result."""

    def ended(head: Head) -> Head:
        if head.status != RUNNING:
            return head
        return replace(head, status=status, reason=reason, result=head.round if has_result else None)

    return (yield from change(key, ended))
