"""Combining: folding all pending updates into the next checkpoint, by whoever holds a short lease.

The lease only saves work. What makes every update count exactly once is that a checkpoint is created once, and that
its ledger says what it contains: of two who fold at the same time, the second finds the name taken and goes by the
ledger of what stands there.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

from nnlite.protocol import contribution, head, updates
from nnlite.protocol.contribution import Tally
from nnlite.protocol.effects import Create, Delete, Found, Get, GetMany, Now, Program, Swap
from nnlite.protocol.head import RUNNING, Head
from nnlite.protocol.keys import Keys
from nnlite.protocol.lease import OPEN, Lease, Watch
from nnlite.protocol.spec import RunSpec
from nnlite.protocol.updates import Ledger, Update


class Combiner:
    """Folds updates, for workers and for whoever repairs."""

    def __init__(self, spec: RunSpec, watch: Watch):
        self.spec, self.keys, self.watch = spec, Keys(spec.run), watch

    def combine(self, holder: str) -> Program[None]:
        """Fold whatever is pending, unless somebody else is at it. `holder` is whoever asks."""
        key = self.keys.combine
        found = yield Get(key)
        if found is not None:
            current = Lease.from_json(found.data, key)
            if current.holder != OPEN and not self.watch.is_dead(key, found, (yield Now())):
                return
        mine = Lease(current.attempt + 1 if found else 1, holder)
        if not (yield Swap(key, mine.to_json(), found)):
            return
        yield from self._fold()
        found = yield Get(key)
        if found is not None and Lease.from_json(found.data, key) == mine:
            yield Swap(key, replace(mine, holder=OPEN).to_json(), found)

    def _fold(self) -> Program[None]:
        standing = yield from head.read(self.keys.head)
        if standing is None or standing[0].status != RUNNING:
            return
        now_head, version = standing
        where = self.keys.checkpoint(now_head.round)
        found = yield Get(where)
        if found is None:
            return
        pending = yield from self._pending(now_head.ledger(self.spec.num_workers))
        if not pending:
            return
        data = updates.fold(found.data, pending, where, self.spec.num_workers)
        yield from self._move(now_head, version, data, pending)

    def _pending(self, ledger: Ledger) -> Program[list[Update]]:
        """Every update that is there and not in the ledger, by worker and seq."""
        found_all: dict[int, list[Update]] = {}
        asking = {w: ledger.applied[w] + 1 for w in range(self.spec.num_workers) if w not in ledger.finished}
        while asking:
            keys = tuple(self.keys.update(w, seq) for w, seq in asking.items())
            found = yield GetMany(keys)
            for (w, _), key, one in zip(list(asking.items()), keys, found, strict=True):
                if one is None:
                    del asking[w]
                else:
                    found_all.setdefault(w, []).append(updates.decode(one.data, key))
                    asking[w] += 1
        return [update for w in sorted(found_all) for update in found_all[w]]

    def _move(self, now_head: Head, version: Found, data: bytes, pending: list[Update]) -> Program[None]:
        """Create the next checkpoint, or find that somebody has; move the head to what stands there."""
        made = now_head.round + 1
        where = self.keys.checkpoint(made)
        if not (yield Create(where, data)):
            found = yield Get(where)
            if found is None:
                return
            data = found.data
        made_of, tally = contribution.decode(data, where)
        yield from self._tell(now_head.round, tally, pending)  # watchers look for it once the head has moved
        ledger = updates.ledger_of(made_of, where, self.spec.num_workers)
        moved = replace(now_head.with_ledger(ledger), round=made, counter=now_head.counter + 1)
        if not (yield Swap(self.keys.head, moved.to_json(), version)):
            return
        before = now_head.ledger(self.spec.num_workers)
        for worker, (old, new) in enumerate(zip(before.applied, ledger.applied, strict=True)):
            for seq in range(old + 1, new + 1):
                yield Delete(self.keys.update(worker, seq))
        if made >= 2 and not self.spec.keeps(made - 2):
            yield Delete(self.keys.checkpoint(made - 2))

    def _tell(self, round: int, tally: Tally, pending: list[Update]) -> Program[None]:
        staleness = [round - update.label.base for update in pending]
        more = {"num_updates": len(pending), "mean_staleness": mean(staleness), "max_staleness": max(staleness)}
        yield Create(self.keys.summary(round), contribution.summary(round, tally, None, **more))
