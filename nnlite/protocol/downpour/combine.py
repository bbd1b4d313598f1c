"""Combining: folding all pending updates into the next checkpoint, by the holder of a short lease.

The lease only saves work. What makes every update count exactly once is that a checkpoint is created once, and that
its ledger says what it contains: of two who fold at the same time, the second finds the name taken and goes by the
ledger of what stands there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from nnlite import weights
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.downpour import updates
from nnlite.protocol.downpour.updates import Ledger, Update
from nnlite.protocol.effects import Create, DeleteMany, FoundObject, Get, GetMany, Now, Program, Swap
from nnlite.protocol.records import head, lease
from nnlite.protocol.records.head import RUNNING, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import OPEN, Lease, Watch
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles import durable

SOON_S = 0.3  # no combiner is given up before


@dataclass(frozen=True)
class Moved:
    """A head that we have just moved, and the checkpoint it shows."""

    head: Head
    checkpoint: weights.Weights


class Combiner:
    """Folds updates, for workers and for waiters that repair."""

    def __init__(self, spec: RunSpec):
        self.spec, self.keys = spec, Keys(spec.run)
        self.watch = Watch(spec.lease_ttl_s / 12)
        self.missing: int | None = None  #: the version that we looked for in vain the last time
        self.created: int | None = None  #: the last version that is certainly ours
        self.mover: Lease | None = None  #: our lease, if it is to stand in a head that we move
        self.known: tuple[str, weights.Weights] | None = None  #: the newest checkpoint we have seen, and its name

    def combine(self, holder: str, mine: Sequence[Update] = ()) -> Program[Moved | None]:
        """Fold whatever is pending, unless somebody else is at it; `mine` are updates that need not be read.

        The lease names the round that its holder is to close. So it need not be given back: once the head has moved
        on, it is nobody's. -> where the head stands now, if it was us who moved it
        """
        standing = yield from head.read(self.spec)
        if standing is None or standing[0].status != RUNNING:
            return None
        return (yield from self._fold_alone(*standing, holder, mine))

    def _fold_alone(
        self, now_head: Head, version: FoundObject, holder: str, mine: Sequence[Update]
    ) -> Program[Moved | None]:
        """Fold, while the lease keeps others away."""
        found = yield Get(self.keys.combine)
        if found is not None and (yield from self._is_held(found, now_head, holder)):
            return None
        held = Lease(now_head.round, holder)
        if not (yield Swap(self.keys.combine, held.to_json(self.keys.combine), found)):
            return None
        began_s = yield Now()
        moved = yield from self._fold(now_head, version, mine)
        if moved is not None:
            self._took((yield Now()) - began_s)
        else:
            yield from lease.give_back(self.keys.combine, held)  # the head did not move: others may try
        return moved

    def _took(self, seconds: float) -> None:
        """Folding takes milliseconds and folding twice is harmless. So a worker that has held the lease for several
        times as long as that took us is given up: while nobody folds, everybody's updates grow stale."""
        self.watch.ttl_s = min(self.watch.ttl_s, max(SOON_S, 10 * seconds))

    def _is_held(self, found: FoundObject, now_head: Head, holder: str) -> Program[bool]:
        current = Lease.from_json(found.data, self.keys.combine)
        if current.holder in (OPEN, holder) or current.attempt < now_head.round:
            return False
        return not self.watch.is_dead(self.keys.combine, found, (yield Now()))

    # ---- folding

    def _fold(self, now_head: Head, version: FoundObject, mine: Sequence[Update]) -> Program[Moved | None]:
        base = yield from self.checkpoint(now_head.round)
        if base is None:
            return None
        ledger = now_head.ledger(self.spec.num_workers)
        pending = yield from self._pending(ledger, mine, len(base.vector))
        if not pending:
            return None
        made = self.keys.checkpoint(now_head.round + 1)
        folded = updates.fold(base, pending, made, self.spec.num_workers)
        if self._too_early(folded.ledger, now_head.round + 1):
            return None
        return (yield from self._move(now_head, version, folded, pending))

    def checkpoint(self, round: int) -> Program[weights.Weights | None]:
        """A checkpoint, decoded; the newest we have seen is kept, as it never changes."""
        where, self.missing = self.keys.checkpoint(round), None
        if self.known is None or self.known[0] != where:
            found = yield Get(where)
            if found is None:
                self.missing = round
                return None
            self.known = where, contribution.decode(found.data, where)[0]
        return self.known[1]

    def _too_early(self, after: Ledger, version: int) -> bool:
        """Whether some worker's next update could then be staler than the run allows: others have to wait for it."""
        oldest = after.oldest_base()
        return self.spec.max_staleness is not None and oldest is not None and version - oldest > self.spec.max_staleness

    def _pending(self, ledger: Ledger, mine: Sequence[Update], size: int) -> Program[list[Update]]:
        """Every update that goes on from the ledger, by worker and seq; of `size` entries."""
        last = {w: (seq, step) for w, (seq, step) in enumerate(zip(ledger.applied, ledger.steps, strict=True))}
        pending: dict[int, list[Update]] = {}

        def takes(worker: int, update: Update) -> bool:
            if not update.label.follows(*last[worker]):
                return False
            last[worker] = update.label.seq, update.label.step
            pending.setdefault(worker, []).append(update)
            return True

        for update in mine:
            takes(update.label.worker, update)
        asking = [w for w in range(self.spec.num_workers) if w not in ledger.finished and w not in pending]
        while asking:
            keys = tuple(self.keys.update(w, last[w][0] + 1) for w in asking)
            found = zip(asking, keys, (yield GetMany(keys)), strict=True)
            there = [(w, updates.decode(one.data, key, size)) for w, key, one in found if one is not None]
            asking = [w for w, update in there if takes(w, update)]
        return [update for w in sorted(pending) for update in pending[w]]

    # ---- moving the head

    def _move(
        self, now_head: Head, version: FoundObject, folded: updates.Folded, pending: list[Update]
    ) -> Program[Moved | None]:
        """Create the next checkpoint, or find that somebody has; move the head to what stands there."""
        made = now_head.round + 1
        where = self.keys.checkpoint(made)
        is_ours = yield Create(where, folded.data)
        if not is_ours:
            found = yield Get(where)
            if found is None:
                return None
            is_ours = found.data == folded.data  # it was, but the reply was lost
            folded = updates.read(found.data, where, self.spec.num_workers)
        if is_ours:
            self.created = made
        yield from self._tell(now_head.round, folded.tally, pending)  # watchers look for it once the head has moved
        moved = replace(now_head.with_ledger(folded.ledger), round=made, counter=now_head.counter + 1)
        moved = moved.moved_by(self.mover)
        if not (yield Swap(self.keys.head, moved.to_json(self.keys.head), version)):
            return None
        self.known = where, folded.weights
        yield from self._collect(now_head, moved)
        yield from durable.keep(self.spec, moved, folded.data)
        return Moved(moved, folded.weights)

    def _collect(self, before: Head, moved: Head) -> Program[None]:
        """Delete the updates that the new checkpoint contains, and the one that lies two versions behind it."""
        applied = self._updates_between(before, moved)
        is_kept = moved.round < 2 or self.spec.keeps(moved.round - 2)
        yield DeleteMany(applied if is_kept else (*applied, self.keys.checkpoint(moved.round - 2)))

    def _updates_between(self, before: Head, moved: Head) -> tuple[str, ...]:
        old, new = (h.ledger(self.spec.num_workers).applied for h in (before, moved))
        return tuple(
            self.keys.update(worker, seq)
            for worker, (first, last) in enumerate(zip(old, new, strict=True))
            for seq in range(first + 1, last + 1)
        )

    def _tell(self, round: int, tally: Tally, pending: list[Update]) -> Program[None]:
        staleness = [round - update.label.base for update in pending]
        more = {"num_updates": len(pending), "mean_staleness": mean(staleness), "max_staleness": max(staleness)}
        key = self.keys.summary(round)
        yield Create(key, contribution.summary(round, tally, tally.accuracy_of(self.spec), None, **more).to_json(key))


class LoneCombiner(Combiner):
    """That of a lone worker: it needs no lease to keep others away, and there are no updates to delete."""

    def _fold_alone(
        self, now_head: Head, version: FoundObject, holder: str, mine: Sequence[Update]
    ) -> Program[Moved | None]:
        return (yield from self._fold(now_head, version, mine))

    def _updates_between(self, before: Head, moved: Head) -> tuple[str, ...]:
        return ()


def combiner_of(spec: RunSpec) -> Combiner:
    """The combiner of a run, by whether anybody else could fold."""
    return (LoneCombiner if spec.is_lone else Combiner)(spec)


def free(keys: Keys) -> Program[None]:
    """Take the lease from a worker that was stopped in the middle of folding, and would hold it until it expires."""
    found = yield Get(keys.combine)
    if found is not None:
        held = Lease.from_json(found.data, keys.combine)
        yield Swap(keys.combine, replace(held, holder=OPEN, beat=held.beat + 1).to_json(keys.combine), found)
