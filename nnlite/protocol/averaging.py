"""Synchronous model averaging: what a worker does in every round."""

from __future__ import annotations

import numpy as np

from nnlite.protocol import cursor
from nnlite.protocol.contribution import Tally
from nnlite.protocol.effects import Adopt, Collect, Get, Model, Now, Program, Resume, Score, Suspend, Train
from nnlite.protocol.head import Head
from nnlite.protocol.spec import RunSpec
from nnlite.protocol.worker import Worker

NOTHING = Model(np.empty(0, np.float32), {})  #: the contribution of who only scored


class AveragingWorker(Worker):
    """Scores, trains, contributes, waits: round after round."""

    def __init__(self, spec: RunSpec, worker: int, attempt: int, holder: str):
        super().__init__(spec, worker, attempt, holder)
        self.at = 0  #: the round we are in
        self.joined = attempt == 1  #: whether this invocation has looked at what earlier attempts left

    def work(self) -> Program[None]:
        """Round after round, until the head says that the run is over."""
        now_head, num_rounds = (yield from self.read_head()), 0
        while True:
            now_head = yield from self._round(now_head.round)
            num_rounds += 1
            if num_rounds == self.spec.rounds_per_invocation:
                yield from self.hand_over(None)

    def _round(self, round: int) -> Program[Head]:
        """Score, train, contribute, wait. -> the next head."""
        self.rounds.began_s = yield Now()
        if (yield from self._contributed_before(round)):
            return (yield from self.wait(round))
        if not (yield from self._stand_at(round)):
            return (yield from self._after_lost_checkpoint(round))
        tally, model = Tally(), NOTHING
        if self.spec.scores(round):
            scored = yield from self.until_finished(Score(self.spec.slice_s), round)
            tally += Tally(0, 0.0, scored.num_samples, scored.num_correct, scored.loss_sum)
        if round < self.spec.num_rounds:
            trained = yield from self.until_finished(Train(self.spec.slice_s), round)
            tally += Tally(trained.num_samples, trained.loss_sum)
            model = yield Collect()
            if not np.isfinite(model.vector).all():
                yield from self.diverged(round)
        yield from self.rounds.contribute(round, self.worker, model, tally)
        yield from self.forget_cursor()
        yield from self.rounds.collect(round, self.worker)
        return (yield from self.wait(round))

    def _stand_at(self, round: int) -> Program[bool]:
        """At the cursor that the last attempt left in this round, or at the round's beginning. -> False when its
        checkpoint is not there."""
        self.at = round
        if (yield from self._resumed(round)):
            return True
        where = self.keys.checkpoint(round)
        found = yield Get(where)
        if found is not None:
            yield Adopt(round, found.data, where)
        return found is not None

    def _resumed(self, round: int) -> Program[bool]:
        if self.lease is None or not self.lease.cursor:
            return False
        where = self.keys.cursor(self.worker, self.lease.cursor)
        found = yield Get(where)
        if found is None:
            return False
        standing, base = cursor.decode(found.data, where)
        if base != round:
            yield from self.forget_cursor()
            return False
        yield Resume(standing, where, round)
        return True

    def cursor(self) -> Program[bytes | None]:
        return cursor.encode((yield Suspend()), self.at)

    def _contributed_before(self, round: int) -> Program[bool]:
        """Whether an earlier attempt died after contributing to this round; if so, climb from there."""
        if self.joined:
            return False
        self.joined = True
        leaf = self.rounds.tree.leaf_level
        found = yield Get(self.keys.node(round, leaf, self.worker))
        if found is None:
            return False
        yield from self.rounds.climb(round, leaf, self.worker, found.data)
        return True

    def _after_lost_checkpoint(self, round: int) -> Program[Head]:
        """A checkpoint that is not there: either the run has moved on and collected it, or it is lost."""
        now_head = yield from self.read_head()
        if now_head.round == round:
            yield from self.checkpoint_is_lost(round)
        return now_head
