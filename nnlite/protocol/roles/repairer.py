"""The repairer: a short visit to a run that nobody watches, to replace workers that were lost.

A worker that waits repairs the others, unless its own time is too short to see a lease unchanged for long enough. A
visit ends as soon as every lease has moved that has to, or, where that takes all of them, the head; else it lasts until
the others have been seen unchanged for their time to live.
"""

from __future__ import annotations

from typing import Any

from nnlite.protocol.effects import GetMany, Now, Program, Sleep
from nnlite.protocol.records import head
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles.waiter import Leave, Waiter


class Repairer(Waiter):
    """One visit."""

    def __init__(self, spec: RunSpec):
        super().__init__(spec)
        self.leases = tuple(self.keys.lease(worker) for worker in range(spec.num_workers))

    def program(self, patience_s: float) -> Program[bool]:
        """Visit for at most `patience_s`. -> whether the run goes on"""
        try:
            yield from self._visit(patience_s)
        except Leave:
            found = yield from head.read(self.spec)
            if found is not None:
                yield from self.tidy(found[0])
            return False
        return True

    def _visit(self, patience_s: float) -> Program[None]:
        began_s, first = (yield Now()), (yield from self._look())
        while (yield Now()) - began_s <= self.spec.lease_ttl_s:
            if (yield Now()) - began_s > patience_s:
                return
            yield Sleep(min(self.spec.beat_s, self.spec.lease_ttl_s) / 2)
            now_head, versions = yield from self._look()
            if self._all_live(first, (now_head, versions)):
                return
        for worker in (yield from self.rules.missing(self, (yield from self.read_head()))):
            (found,) = yield GetMany((self.leases[worker],))
            if _version(found) == first[1][worker]:  # nobody has come back in the last moment
                yield from self.replace(worker, found)

    def _all_live(self, before: tuple[Head, list[Any]], after: tuple[Head, list[Any]]) -> bool:
        """Whether nobody is missing. Where the head moves on without the dead, that it does says nothing."""
        if self.rules.head_needs_all and after[0] != before[0]:
            return True
        finished = after[0].finished if len(after[0].finished) < self.spec.num_workers else ()
        going = [worker for worker in range(self.spec.num_workers) if worker not in finished]
        return all(after[1][worker] != before[1][worker] for worker in going)

    def _look(self) -> Program[tuple[Head, list[Any]]]:
        """What moves while anybody lives: the head, and the versions of all leases."""
        now_head = yield from self.read_head()
        found = yield GetMany(self.leases)
        return now_head, [_version(lease) for lease in found]


def _version(found: Any) -> Any:
    return found.version if found is not None else None
