"""Waiting: what workers and watchers do while a round is open, and how they repair what keeps it open."""

from __future__ import annotations

from typing import Any

from nnlite.protocol import head, lease
from nnlite.protocol.combine import Combiner
from nnlite.protocol.effects import Bill, Get, Invoke, Note, Now, Program, Sleep
from nnlite.protocol.head import FAILED, RUNNING, Head
from nnlite.protocol.lease import Watch
from nnlite.protocol.rounds import Rounds
from nnlite.protocol.spec import RunSpec


class Leave(Exception):  # not an error: how deep code says that this invocation is over
    """Raised inside a program to end it."""


class Waiter:
    """What workers and watchers have in common: they wait for a round to close, and repair what keeps it."""

    def __init__(self, spec: RunSpec):
        self.spec = spec
        self.rounds = Rounds(spec)
        self.keys = self.rounds.keys
        self.watch = Watch(spec.lease_ttl_s)
        self.combiner = Combiner(spec, self.watch)

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
                yield from self.repair(now_head)
                since = yield Now()

    def between_polls(self, now_head: Head) -> Program[None]:
        """What else to do while waiting."""
        yield from ()

    def repair(self, now_head: Head) -> Program[None]:
        """Merge what dead mergers left, and replace the workers that are missing and dead."""
        for worker in (yield from self._missing(now_head)):
            found = yield Get(self.keys.lease(worker))
            if self.watch.is_dead(self.keys.lease(worker), found, (yield Now())):
                yield from self.replace(worker, found)

    def _missing(self, now_head: Head) -> Program[list[int]]:
        if self.spec.protocol == "downpour" and len(now_head.finished) < self.spec.num_workers:
            yield from self.combiner.combine(holder="a waiter")
            return [w for w in range(self.spec.num_workers) if w not in now_head.finished]
        return (yield from self.rounds.missing(now_head.round))

    def replace(self, worker: int, found: Any) -> Program[None]:
        """Invoke the next attempt of a dead worker, unless somebody else does or there were too many."""
        last_s = min(self.spec.lease_ttl_s, self.spec.beat_s + self.spec.slice_s)
        unseen = Bill(last_s, last_s * self.spec.rates.worker_second_usd)
        opened = yield from lease.take_over(self.keys.lease(worker), found, unseen=unseen)
        if opened is None:
            return
        if opened.deaths >= self.spec.max_attempts:
            reason = f"worker {worker} died {opened.deaths} times; the run allows {self.spec.max_attempts} attempts"
            yield from head.end(self.keys.head, FAILED, reason)
            return
        yield Note("replaced", {"worker": worker, "attempt": opened.attempt})
        yield Invoke(worker, opened.attempt)
