"""Downpour SGD: workers train on by themselves, push what they changed, and pull what others did.

Dean et al. 2012, "Large Scale Distributed Deep Networks", section 4.1, without a parameter server. Pushing is one
immutable write under the worker's next seq, so no update is ever lost or overwritten; see `combine` for how they
get into checkpoints.

Final weights = initial weights + the sum of all pushed updates.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.protocol import updates
from nnlite.protocol.averaging import NOTHING
from nnlite.protocol.contribution import Tally
from nnlite.protocol.effects import (
    Adopt,
    Create,
    Get,
    Join,
    Program,
    Progress,
    Rebase,
    Score,
    TakeUpdate,
    Train,
)
from nnlite.protocol.head import Head
from nnlite.protocol.spec import RunSpec
from nnlite.protocol.updates import Label, Update
from nnlite.protocol.waiter import Leave
from nnlite.protocol.worker import Worker


class DownpourWorker(Worker):
    """Trains, pushes, pulls, combines; and in the end scores the final checkpoint with the others."""

    def __init__(self, spec: RunSpec, worker: int, attempt: int, holder: str):
        super().__init__(spec, worker, attempt, holder)
        self.base = 0  #: version of the checkpoint we stand on
        self.seq = 1  #: of the next update
        self.step = self.total = 0
        self.pending: list[Update] = []  #: pushed, but not in `base`

    def work(self) -> Program[None]:
        """All steps, then the end."""
        yield from self._join()
        while self.step < self.total:
            yield from self._train_to(self._next_stop())
            if self.step % self.spec.push_every == 0 or self.step == self.total:
                yield from self._push()
                yield from self.combiner.combine(self.holder)
            if self.step % self.spec.pull_every == 0 and self.step < self.total:
                yield from self._pull()
        yield from self._wait_for_all()
        yield from self._score()

    # ---- beginning, and beginning again

    def _join(self) -> Program[None]:
        """Stand on the newest checkpoint, with what earlier attempts of this worker pushed."""
        while True:
            data = yield from self._find_ours()
            ledger = (yield from self.read_head()).ledger(self.spec.num_workers)
            if ledger.applied[self.worker] < self.seq:
                break  # else the update that we missed was folded, and deleted, between our two looks
        vectors = tuple(u.weights.vector for u in self.pending)
        self.total = yield Join(data, self.keys.checkpoint(self.base), self.step, vectors)

    def _find_ours(self) -> Program[Any]:
        """What earlier attempts of this worker got done. -> the newest checkpoint"""
        now_head, data = yield from self._newest()
        ledger = now_head.ledger(self.spec.num_workers)
        self.base, self.step = now_head.round, ledger.steps[self.worker]
        self.seq, self.pending = ledger.applied[self.worker] + 1, []
        while True:
            key = self.keys.update(self.worker, self.seq)
            found = yield Get(key)
            if found is None:
                return data
            self.pending.append(updates.decode(found.data, key))
            self.step = self.pending[-1].label.step
            self.seq += 1

    def _newest(self) -> Program[tuple[Head, Any]]:
        """The head and its checkpoint; it may be collected between our two looks, if others are fast."""
        while True:
            now_head = yield from self.read_head()
            found = yield Get(self.keys.checkpoint(now_head.round))
            if found is not None:
                return now_head, found.data
            if (yield from self.read_head()).round == now_head.round:
                yield from self.checkpoint_is_lost(now_head.round)

    # ---- training

    def _next_stop(self) -> int:
        """The next step at which something else than training is due."""
        ahead = (self.step - self.step % n + n for n in (self.spec.push_every, self.spec.pull_every))
        return min(self.total, *ahead)

    def _train_to(self, step: int) -> Program[None]:
        trained: Progress = yield from self.until_finished(Train(self.spec.slice_s, until_step=step), self.base)
        self.trained = trained
        self.step = step

    def _push(self) -> Program[None]:
        """Create the next update. If its name is taken, another invocation is this worker: leave."""
        model = yield TakeUpdate()
        if not np.isfinite(model.vector).all():
            yield from self.diverged(self.base)
        last = self.step == self.total
        samples, loss = self.trained.num_samples, self.trained.loss_sum
        label = Label(self.worker, self.seq, self.base, self.step, last, samples, loss)
        key = self.keys.update(self.worker, self.seq)
        data = updates.encode(model, label)
        if not (yield Create(key, data)):
            raise Leave(f"another invocation has pushed {key}")
        self.pending.append(Update.of(model, label))
        self.seq += 1

    def _pull(self) -> Program[None]:
        """Stand on the newest checkpoint, keeping what it does not contain of ours."""
        yield from self.beat()
        now_head, data = yield from self._newest()
        if now_head.round == self.base:
            return
        applied = now_head.ledger(self.spec.num_workers).applied[self.worker]
        self.base = now_head.round
        self.pending = [u for u in self.pending if u.label.seq > applied]
        yield Rebase(data, self.keys.checkpoint(self.base), tuple(u.weights.vector for u in self.pending))

    # ---- the end

    def _wait_for_all(self) -> Program[None]:
        """Until every worker's last update is in a checkpoint."""
        if (yield from self._all_applied()) is None:
            yield from self.wait_for(self._all_applied)

    def _all_applied(self) -> Program[Head | None]:
        """The head, once every update of everybody is in its checkpoint; ours is folded meanwhile."""
        now_head = yield from self.read_head()
        if len(now_head.finished) == self.spec.num_workers:
            return now_head
        if now_head.ledger(self.spec.num_workers).applied[self.worker] < self.seq - 1:
            yield from self.combiner.combine(self.holder)
        return None

    def _score(self) -> Program[None]:
        """Score our slice of the test split with the final checkpoint, merged like a round that trained nothing."""
        now_head, data = yield from self._newest()
        final = now_head.round
        yield Adopt(0, data, self.keys.checkpoint(final))
        scored = yield from self.until_finished(Score(self.spec.slice_s), final)
        tally = Tally(0, 0.0, scored.num_samples, scored.num_correct, scored.loss_sum)
        yield from self.rounds.contribute(final, self.worker, NOTHING, tally)
        yield from self.wait(final)
