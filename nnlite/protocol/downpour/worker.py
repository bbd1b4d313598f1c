"""Downpour SGD: workers train on by themselves, push what they changed, and pull what others did.

Dean et al. 2012, "Large Scale Distributed Deep Networks", section 4.1, without a parameter server. Pushing is one
immutable write under the worker's next seq, so no update is ever lost or overwritten; see `combine` for how they
get into checkpoints.

Final weights = initial weights + the sum of all pushed updates. With `combine: mean` a worker pushes its change divided
by the number of workers, so that sum moves the weights by the mean of what they would have done.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np

from nnlite import weights
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.averaging.worker import NOTHING
from nnlite.protocol.downpour import updates
from nnlite.protocol.downpour.combine import Moved
from nnlite.protocol.downpour.evaluation import Evaluations
from nnlite.protocol.downpour.updates import Label, Update
from nnlite.protocol.downpour.wire import Wire
from nnlite.protocol.effects import (
    Adopt,
    Create,
    Delete,
    Get,
    Join,
    Model,
    Note,
    Now,
    Program,
    Rebase,
    Resume,
    Score,
    Standing,
    Suspend,
    TakeUpdate,
    Train,
    TrainingSums,
)
from nnlite.protocol.records import cursor
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles.worker import Restored, Worker

NOT_TRAINED = TrainingSums(False, 0, 0.0)


class DownpourWorker(Worker):
    """Trains, pushes, pulls, combines; and in the end scores the final checkpoint with the others."""

    def __init__(self, spec: RunSpec, worker: int, attempt: int, holder: str):
        super().__init__(spec, worker, attempt, holder)
        self.evaluations = Evaluations(spec)
        self.pull_every = spec.pull_every
        self.base = 0  #: version of the checkpoint we stand on
        self.seq = 1  #: of the next update
        self.begin = 0  #: the step at which that begins
        self.step = self.total = 0
        self.trained = NOT_TRAINED  #: since the last update
        self.pending: list[Update] = []  #: pushed, but not in `base`
        self.is_through = False  #: whether our last update is among them
        self.share = spec.update_share  #: of a change that is pushed

    def has_worked(self, now_head: Head) -> bool:
        return now_head.ledger(self.spec.num_workers).steps[self.worker] > 0

    def work(self) -> Program[None]:
        """All steps, then the end."""
        yield from self._join()
        while not self.is_through:
            yield from self._train_to(self._next_stop())
            yield from self.beat()
            yield from self._look((yield Now()))
            if (yield from self._has_to_leave(2 * self.longest_s)):
                yield from self.hand_over((yield from self.cursor()))
            moved = None
            if self.step % self.spec.push_every == 0 or self.step >= self.total:
                yield from self._push()
                moved = yield from self._combine()
                yield from self.forget_cursor()  # it was of an earlier step
            if self.step % self.pull_every == 0 and not self.is_through:
                yield from self._pull(moved)
                yield from self._leave_after_round()
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
        vectors = tuple(update.vector for update in self.pending)
        self.total = yield Join(data, self.keys.checkpoint(self.base), self.step, vectors)
        per_round = self.total // self.spec.num_rounds
        self.leaves_at = self.step + (self.spec.rounds_per_invocation * per_round or self.total)
        yield from self._resume()

    def _resume(self) -> Program[None]:
        """Take what it alone had from the cursor that the last attempt left at this very step."""
        if self.lease is None or not self.lease.cursor:
            return
        where = self.keys.cursor(self.worker, self.lease.cursor)
        found = yield Get(where)
        if found is not None:
            standing, _ = cursor.decode(found.data, where)
            if standing.step == self.step:
                yield Resume(standing, where)

    def _find_ours(self) -> Program[Any]:
        """What earlier attempts of this worker got done. -> the newest checkpoint"""
        now_head, data = yield from self._newest()
        ledger = now_head.ledger(self.spec.num_workers)
        self.base, self.step = now_head.round, ledger.steps[self.worker]
        self.seq, self.pending = ledger.applied[self.worker] + 1, []
        self.is_through = self.worker in ledger.finished
        size = len(weights.decode(data, self.keys.checkpoint(self.base), verify=False).vector)
        while True:
            self.begin, key = self.step, self.keys.update(self.worker, self.seq)
            found = yield Get(key)
            if found is None:
                return data
            update = updates.decode(found.data, key, size)
            if not update.label.follows(self.seq - 1, self.step):
                yield Delete(key)
                return data
            self.pending.append(update)
            self.step, self.is_through = update.label.step, update.label.last
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
        ahead = (self.step - self.step % n + n for n in (self.spec.push_every, self.pull_every))
        return min(self.total, *ahead)

    def _train_to(self, step: int) -> Program[None]:
        if self.step < step:
            self.trained = yield from self.until_finished(Train(self.spec.slice_s, until_step=step), self.base)
            self.step = step

    def _push(self) -> Program[None]:
        """The change since the last update is the next one."""
        self.is_through = self.step >= self.total
        model = yield TakeUpdate(self.share, whole=self.is_through)
        if not np.isfinite(model.vector).all():
            yield from self.diverged(self.base)
        samples, loss = self.trained.num_samples, self.trained.loss_sum
        label = Label(self.worker, self.seq, self.base, self.step, self.is_through, samples, loss, self.begin)
        yield from self._publish(model, label)
        self.pending.append(Update(label, model.vector))
        self.seq, self.begin = self.seq + 1, self.step
        self.trained = NOT_TRAINED

    def _publish(self, model: Model, label: Label) -> Program[None]:
        """Create an update. If its name is taken, what stands there counts, and not what we have."""
        key = self.keys.update(self.worker, self.seq)
        kind = "float32" if self.is_through else Wire.of(self.spec.wire).kind
        if not (yield Create(key, updates.encode(model, label, key, kind))):
            yield from self._taken(key)

    def _taken(self, key: str) -> Program[None]:
        """Another invocation has pushed under this name. It is this worker now; or it was, and we have not seen that
        when we began, as the store has forgotten the update before: then begin again, from what is there."""
        self.beaten_s = -inf
        yield from self.beat()
        yield Note("taken", {"update": key})
        raise Restored

    def _combine(self) -> Program[Moved | None]:
        """Fold what is pending, if nobody else does. -> where the head stands, if it was us who moved it"""
        moved = yield from self.combiner.combine(self.holder, self.pending)
        if self.combiner.missing is not None and (yield from self.read_head()).round == self.combiner.missing:
            yield from self.checkpoint_is_lost(self.combiner.missing)
        return moved

    def _pull(self, moved: Moved | None) -> Program[None]:
        """Stand on the newest checkpoint, which may be one that we have just made, keeping what it does not contain
        of ours. See whether it is time to evaluate it, or to end."""
        yield from self.beat()
        now_head, data = (moved.head, moved.checkpoint) if moved is not None else (yield from self._newer())
        if now_head.closing:
            self.total = self.step
        if now_head.round != self.base:
            yield from self._go_over(now_head, data)
        if data is not None:
            where = self.keys.checkpoint(self.base)
            yield from self.evaluations.evaluate(now_head, data, where, self._between_slices)

    def _between_slices(self, took_s: float) -> Program[None]:
        """In an evaluation, which may be long. Who has to leave leaves it undone."""
        self.longest_s = max(self.longest_s, took_s)
        yield from self.beat()
        yield from self._look((yield Now()))
        if (yield from self._has_to_leave(2 * self.longest_s)):
            yield from self.hand_over((yield from self.cursor()))

    def _go_over(self, now_head: Head, data: Any) -> Program[None]:
        applied = now_head.ledger(self.spec.num_workers).applied[self.worker]
        if applied >= self.seq:
            raise Restored
        if self.spec.staleness_aware:
            self.share = self.spec.update_share / max(1, now_head.round - self.base)
        self.base = now_head.round
        self.pending = [u for u in self.pending if u.label.seq > applied]
        vectors = tuple(update.vector for update in self.pending)
        yield Rebase(data, self.keys.checkpoint(self.base), vectors)

    def _newer(self) -> Program[tuple[Head, Any]]:
        """The head and its checkpoint; without that, if it is the one we stand on."""
        now_head = yield from self.read_head()
        return (now_head, None) if now_head.round == self.base else (yield from self._newest())

    # ---- leaving in time

    def _leave_after_round(self) -> Program[None]:
        """Hand over when this invocation has done its number of rounds."""
        if self.leaves_at <= self.step < self.total:
            yield from self.hand_over((yield from self.cursor()))

    def cursor(self) -> Program[bytes | None]:
        """What we have changed is pushed, whenever it is; what only we have is handed over: the optimizer's state, and
        of the changes what does not fit through the wire."""
        standing: Standing = yield Suspend()
        self.step, self.trained = standing.step, standing.trained
        if self.is_through:
            return None
        if self.trained.num_samples:
            yield from self._push_rest()
            standing = yield Suspend()
        return cursor.encode(standing, self.base, self.keys.cursor(self.worker, self.attempt))

    def _push_rest(self) -> Program[None]:
        """Push what was changed since the last update, before the next invocation goes on."""
        yield from self._push()

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
            yield from self._combine()
        return None

    def _score(self) -> Program[None]:
        """Score our slice of the test split with the final checkpoint, merged like a round that trained nothing."""
        now_head, data = yield from self._newest()
        final = now_head.round
        yield Adopt(0, data, self.keys.checkpoint(final))
        scored = yield from self.until_finished(Score(self.spec.slice_s), final)
        tally = Tally(0, 0.0, scored.num_samples, scored.num_correct, scored.loss_sum)
        is_closed = yield from self.contribute(final, NOTHING, tally)
        yield from self.wait(final, is_closed)
