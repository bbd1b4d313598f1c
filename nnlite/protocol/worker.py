"""A worker: what every invocation does, wherever it runs; and the watcher, who only waits and repairs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlite.protocol import head, lease
from nnlite.protocol.averaging import Averaging
from nnlite.protocol.contribution import Tally
from nnlite.protocol.effects import (
    Adopt,
    Casualties,
    Collect,
    Get,
    Invoke,
    Model,
    Note,
    Now,
    Program,
    Progress,
    Score,
    Sleep,
    Train,
)
from nnlite.protocol.head import DONE, FAILED, RUNNING, STOPPED, Head
from nnlite.protocol.lease import Lease, Watch
from nnlite.protocol.spec import RunSpec

NOTHING = Model(np.empty(0, np.float32), {})


@dataclass(frozen=True)
class Left:
    """Why a program ended."""

    reason: str


class Leave(Exception):  # noqa: N818 - not an error: how deep code says that this invocation is over
    """Raised inside a program to end it."""


class Waiter:
    """What workers and watchers have in common: they wait for a round to close, and repair what keeps it."""

    def __init__(self, spec: RunSpec):
        self.spec = spec
        self.rounds = Averaging(spec)
        self.keys = self.rounds.keys
        self.watch = Watch(spec.lease_ttl_s)

    def read_head(self) -> Program[Head]:
        """The head of a run that goes on; leaves when it does not."""
        found = yield from head.read(self.keys.head)
        if found is None:
            raise Leave("the run is gone")
        if found[0].status != RUNNING:
            raise Leave(f"the run is {found[0].status}: {found[0].reason}")
        return found[0]

    def wait(self, round: int) -> Program[Head]:
        """The next head after `round`, repairing when it takes too long."""
        pause, since = self.spec.poll_s, (yield Now())
        while True:
            yield Sleep(pause)
            pause = min(pause * 1.5, self.spec.max_poll_s)
            now_head = yield from self.read_head()
            if now_head.round > round:
                return now_head
            yield from self.between_polls(now_head)
            if (yield Now()) - since > self.spec.straggler_timeout_s:
                yield from self.repair(now_head.round)
                since = yield Now()

    def between_polls(self, now_head: Head) -> Program[None]:
        """What else to do while waiting."""
        yield from ()

    def repair(self, round: int) -> Program[None]:
        """Merge what dead mergers left, and replace the workers that are missing and dead."""
        for worker in (yield from self.rounds.missing(round)):
            found = yield Get(self.keys.lease(worker))
            if self.watch.is_dead(self.keys.lease(worker), found, (yield Now())):
                yield from self.replace(worker, found)

    def replace(self, worker: int, found: Any) -> Program[None]:
        """Invoke the next attempt of a dead worker, unless somebody else does or there were too many."""
        attempt = yield from lease.take_over(self.keys.lease(worker), found)
        if attempt is None:
            return
        if attempt > self.spec.max_attempts:
            reason = f"worker {worker} died {attempt - 1} times; the run allows {self.spec.max_attempts} attempts"
            yield from head.end(self.keys.head, FAILED, reason)
            return
        yield Note("replaced", {"worker": worker, "attempt": attempt})
        yield Invoke(worker, attempt)


class Worker(Waiter):
    """One invocation of one worker."""

    def __init__(self, spec: RunSpec, worker: int, attempt: int, holder: str):
        super().__init__(spec)
        self.worker, self.attempt, self.holder = worker, attempt, holder
        self.lease: Lease | None = None
        self.beaten_s = 0.0
        self.joined = False  #: whether this invocation has looked at what earlier attempts left

    def program(self) -> Program[Left]:
        """From the lease to the end of the run."""
        try:
            yield from self._begin()
            now_head = yield from self.read_head()
            while True:
                now_head = yield from self._round(now_head.round)
        except Leave as why:
            yield Note("left", {"reason": str(why)})
            return Left(str(why))

    def _begin(self) -> Program[None]:
        self.lease = yield from lease.acquire(self.keys.lease(self.worker), self.attempt, self.holder)
        if self.lease is None:
            raise Leave("another invocation is this worker")
        self.beaten_s = yield Now()
        yield Note("began", {"attempt": self.attempt})

    def _round(self, round: int) -> Program[Head]:
        """Score, train, contribute, wait. -> the next head."""
        if (yield from self._contributed_before(round)):
            return (yield from self.wait(round))
        where = self.keys.checkpoint(round)
        found = yield Get(where)
        if found is None:
            return (yield from self._after_lost_checkpoint(round))
        yield Adopt(round, found.data, where)
        tally, model = Tally(), NOTHING
        if self.spec.scores(round):
            scored = yield from self._until_finished(Score(self.spec.slice_s), round)
            tally += Tally(0, 0.0, scored.num_samples, scored.num_correct, scored.loss_sum)
        if round < self.spec.num_rounds:
            trained = yield from self._until_finished(Train(self.spec.slice_s), round)
            tally += Tally(trained.num_samples, trained.loss_sum)
            model = yield Collect()
            if not np.isfinite(model.vector).all():
                yield from self._diverged(round)
        yield from self.rounds.contribute(round, self.worker, model, tally)
        yield from self.rounds.collect(round, self.worker)
        return (yield from self.wait(round))

    def _contributed_before(self, round: int) -> Program[bool]:
        """Whether an earlier attempt died after contributing to this round; if so, climb from there."""
        if self.attempt == 1 or self.joined:
            return False
        self.joined = True
        leaf = self.rounds.tree.leaf_level
        found = yield Get(self.keys.node(round, leaf, self.worker))
        if found is None:
            return False
        yield from self.rounds.climb(round, leaf, self.worker, found.data)
        return True

    def _until_finished(self, effect: Train | Score, round: int) -> Program[Progress]:
        """Repeat an effect of limited time, with beats in between; a loss that is no number ends the run."""
        while True:
            progress: Progress = yield effect
            if not np.isfinite(progress.loss_sum):
                yield from self._diverged(round)
            if progress.finished:
                return progress
            yield from self.beat()
            yield from self.read_head()  # leaves when the run was stopped

    def _diverged(self, round: int) -> Program[None]:
        reason = (
            f"the loss is no longer a number (round {round}, worker {self.worker}): "
            "try a smaller --learning-rate, or another --optimizer"
        )
        yield from head.end(self.keys.head, FAILED, reason)
        raise Leave(reason)

    def _after_lost_checkpoint(self, round: int) -> Program[Head]:
        """A checkpoint that is not there: either the run has moved on and collected it, or it is lost."""
        now_head = yield from self.read_head()
        if now_head.round == round:
            reason = f"checkpoint {self.keys.checkpoint(round)} is missing in the store"
            yield from head.end(self.keys.head, FAILED, reason)
            raise Leave(reason)
        return now_head

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


class Watcher(Waiter):
    """The command that started a run: invokes its workers, tells of every round, replaces the dead."""

    def __init__(self, spec: RunSpec):
        super().__init__(spec)
        self.told = 0  #: rounds whose summary was told

    def program(self, attempts: dict[int, int]) -> Program[Head]:
        """Invoke `attempts` (worker -> attempt), then watch to the end. -> the last head."""
        for worker, attempt in attempts.items():
            yield Invoke(worker, attempt)
        round = -1
        try:
            while True:
                round = (yield from self.wait(round)).round
                yield from self._tell(round)
        except Leave:
            found = yield from head.read(self.keys.head)
            if found is None:
                return Head(status=FAILED, reason=f"the run {self.spec.run} is no longer in the store")
            yield from self._tell(found[0].round + 1)
            if found[0].status == DONE:
                yield from self._sweep(found[0].round)
            return found[0]

    def _sweep(self, last: int) -> Program[None]:
        """Delete what a finished run no longer needs: the contributions of its last two rounds."""
        for round in (last - 1, last):
            for worker in range(self.spec.num_workers):
                yield from self.rounds.collect_nodes(round, worker)

    def _tell(self, before: int) -> Program[None]:
        """Tell the summaries of all rounds before `before` that were not told yet."""
        while self.told < before:
            found = yield Get(self.keys.summary(self.told))
            if found is not None:
                yield Note("round", json.loads(bytes(found.data)))
            self.told += 1

    def between_polls(self, now_head: Head) -> Program[None]:
        """Replace at once those whom the platform knows to be dead."""
        for worker, attempt in (yield Casualties()):
            found = yield Get(self.keys.lease(worker))
            current = Lease.from_json(found.data, self.keys.lease(worker)).attempt if found else attempt
            if current == attempt:
                yield from self.replace(worker, found)


def stop(spec: RunSpec, reason: str) -> Program[Head | None]:
    """Stop a run: every worker leaves at its next beat, poll or slice; the checkpoints stay."""
    return (yield from head.end(Averaging(spec).keys.head, STOPPED, reason))


def reopen(spec: RunSpec) -> Program[dict[int, int]]:
    """Let a stopped or failed run go on from its newest checkpoint. -> the attempt to invoke each worker with."""
    rounds = Averaging(spec)
    yield from head.change(rounds.keys.head, lambda h: Head(h.round, counter=h.counter))
    attempts = {}
    for worker in range(spec.num_workers):
        attempt = None
        while attempt is None:
            attempt = yield from lease.take_over(rounds.keys.lease(worker), (yield Get(rounds.keys.lease(worker))))
        attempts[worker] = attempt
    return attempts
