"""A worker: the life of one invocation, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlite.protocol import head, lease
from nnlite.protocol.effects import Note, Now, Program, Progress, Score, Train
from nnlite.protocol.head import FAILED, Head
from nnlite.protocol.lease import Lease
from nnlite.protocol.spec import RunSpec
from nnlite.protocol.waiter import Leave, Waiter


@dataclass(frozen=True)
class Left:
    """Why a program ended."""

    reason: str


class Worker(Waiter):
    """One invocation of one worker: it takes its lease, works, beats, and leaves when it has to."""

    def __init__(self, spec: RunSpec, worker: int, attempt: int, holder: str):
        super().__init__(spec)
        self.worker, self.attempt, self.holder = worker, attempt, holder
        self.lease: Lease | None = None
        self.beaten_s = 0.0

    def program(self) -> Program[Left]:
        """From the lease to the end of the run."""
        try:
            yield from self._begin()
            yield from self.work()
        except Leave as why:
            yield Note("left", {"reason": str(why)})
            return Left(str(why))
        return Left("the work is done")

    def work(self) -> Program[None]:
        """What the protocol makes of it; goes on until something raises Leave."""
        raise TypeError(f"{type(self).__name__} must define work()")

    def _begin(self) -> Program[None]:
        self.lease = yield from lease.acquire(self.keys.lease(self.worker), self.attempt, self.holder)
        if self.lease is None:
            raise Leave("another invocation is this worker")
        self.beaten_s = yield Now()
        yield Note("began", {"attempt": self.attempt})

    def until_finished(self, effect: Train | Score, round: int) -> Program[Progress]:
        """Repeat an effect of limited time, with beats in between; a loss that is no number ends the run."""
        while True:
            progress: Progress = yield effect
            if not np.isfinite(progress.loss_sum):
                yield from self.diverged(round)
            if progress.finished:
                return progress
            yield from self.beat()
            yield from self.read_head()  # leaves when the run was stopped

    def diverged(self, round: int) -> Program[None]:
        """End the run, as failed: a loss or a weight of this worker is no longer a number."""
        reason = (
            f"the loss is no longer a number (round {round}, worker {self.worker}): "
            "try a smaller --learning-rate, or another --optimizer"
        )
        yield from self.fail(reason)

    def checkpoint_is_lost(self, round: int) -> Program[None]:
        """End the run, as failed: its newest checkpoint is not in the store."""
        yield from self.fail(f"checkpoint {self.keys.checkpoint(round)} is missing in the store")

    def fail(self, reason: str) -> Program[None]:
        """End the run, as failed, and leave."""
        yield from head.end(self.keys.head, FAILED, reason)
        raise Leave(reason)

    def beat(self) -> Program[None]:
        """Keep the lease alive; leave when it is somebody else's now."""
        now_s = yield Now()
        if self.lease is not None and now_s - self.beaten_s >= self.spec.beat_s:
            self.lease = yield from lease.renew(self.keys.lease(self.worker), self.lease)
            self.beaten_s = now_s
        if self.lease is None:
            raise Leave("another invocation has taken over")

    def between_polls(self, now_head: Head) -> Program[None]:
        yield from self.beat()
