"""Synchronous model averaging: what a worker does in every round."""

from __future__ import annotations

import numpy as np

from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.averaging.upkeep import Again
from nnlite.protocol.effects import (
    Adopt,
    Collect,
    FoundObject,
    Get,
    Missing,
    Model,
    Now,
    Program,
    Resume,
    Score,
    Suspend,
    Train,
)
from nnlite.protocol.records import cursor
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles.worker import Worker

NOTHING = Model(np.empty(0, np.float32), {})  #: the contribution of who only scored
FURTHER = 4  # rounds that the head can be behind without anybody's fault but chance's


class AveragingWorker(Worker):
    """Scores, trains, contributes, waits: round after round."""

    def __init__(self, spec: RunSpec, worker: int, attempt: int, holder: str):
        super().__init__(spec, worker, attempt, holder)
        self.at = 0  #: the round we are in
        self.arrived: FoundObject | None = None  #: its checkpoint, if we have that from waiting for it
        self.joined = attempt == 1  #: whether this invocation has looked at what earlier attempts left

    def work(self) -> Program[None]:
        """Round after round, until the head says that the run is over."""
        round, num_rounds = (yield from self.read_head()).round, 0
        while True:
            try:
                round = yield from self._round(round)
            except Again as again:
                round = again.round
            yield from self._look((yield Now()))  # rounds may be too short to look up in them
            yield from self.beat()
            if (yield from self._has_to_leave(2 * self.longest_s)):
                yield from self.hand_over(None)
            num_rounds += 1
            if num_rounds == self.spec.rounds_per_invocation:
                yield from self.hand_over(None)

    def _round(self, round: int) -> Program[int]:
        """Score, train, contribute, wait. -> the next round."""
        self.at = round
        self.upkeep.moved_on()
        self.rounds.began_s = yield Now()
        if (yield from self._contributed_before(round)):
            return (yield from self._wait(round))
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
        is_closed = yield from self.contribute(round, model, tally)
        yield from self.forget_cursor()
        return (yield from self._wait(round, is_closed))

    def _wait(self, round: int, is_closed: bool = False) -> Program[int]:
        """Until the next round begins. -> it"""
        if round >= self.spec.num_rounds or self.spec.target_accuracy is not None:
            # this round may be the last, and then no checkpoint comes
            return (yield from self.wait(round, is_closed)).round
        round, self.arrived = yield from self.wait_for(lambda: self._next_checkpoint(round + 1), is_closed)
        return round

    def _next_checkpoint(self, round: int) -> Program[tuple[int, FoundObject | None] | None]:
        """The checkpoint we wait for: it is there a moment before the head says so, and that is one request less.
        Now and then we look whether the run goes on at all, and whether it has long left us behind."""
        found = yield Get(self.keys.checkpoint(round))
        if found is not None:
            return round, found
        if (yield Now()) - self.looked_s < self.spec.look_s:
            return None
        now_head = yield from self.read_head()
        self.looked_s = yield Now()
        return (now_head.round, None) if now_head.round >= round else None

    def _stand_at(self, round: int) -> Program[bool]:
        """At the cursor that the last attempt left in this round, or at the round's beginning. -> False when its
        checkpoint is not there."""
        if (yield from self._resumed(round)):
            return True
        where = self.keys.checkpoint(round)
        found, self.arrived = self.arrived or (yield Get(where)), None
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

    def open_round(self, now_head: Head) -> int:
        return max(self.at, now_head.round)  # the head is behind when who closed a round died before moving it

    def cursor(self) -> Program[bytes | None]:
        return cursor.encode((yield Suspend()), self.at, self.keys.cursor(self.worker, self.attempt))

    def _contributed_before(self, round: int) -> Program[bool]:
        """Whether an earlier attempt died after contributing to this round; if so, climb from there."""
        if self.joined:
            return False
        self.joined = True
        found = yield Get(self.rounds.leaf(round, self.worker))
        if found is not None:
            yield from self.put(round, lambda: found.data)
            return True
        if self.lease is None or self.lease.round != round or (yield from self.upkeep.is_forgotten(round)):
            return False
        self.upkeep.contributed(round, None)  # it is gone, but was merged before
        return True

    def repair(self) -> Program[None]:
        yield from self._see_to_checkpoint()
        yield from super().repair()

    def _see_to_checkpoint(self) -> Program[None]:
        """While the head does not show our round (who closed the one before has died), others wait for its checkpoint:
        if that is lost, make it again; or else do the round before again, as nobody can begin this one."""
        now_head = yield from self.read_head()
        if now_head.round >= self.at or not (yield Missing((self.keys.checkpoint(self.at),))):
            return
        if not (yield from self.rounds.remake(self.at)):
            raise Again(now_head.round)

    def _after_lost_checkpoint(self, round: int) -> Program[int]:
        """A checkpoint that is not there: either the run has moved on and collected it, or it is lost.

        The head may be a round or two behind, when who closed those died before moving it.
        """
        now_head = yield from self.read_head()
        if now_head.round > round:
            return now_head.round
        for later in range(round + 1, round + 1 + FURTHER):
            if (yield Get(self.keys.checkpoint(later))) is not None:
                return later
        if (yield from self.rounds.remake(round)):
            return round
        yield from self.checkpoint_is_lost(round)
        return round
