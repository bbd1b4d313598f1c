"""Waiting: what workers and watchers do while a round is open, and how they repair what keeps it open."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from nnlite.protocol.downpour.combine import combiner_of
from nnlite.protocol.effects import Create, Get, Invoke, Missing, Note, Now, Program, Sleep, Swap
from nnlite.protocol.records import head, lease
from nnlite.protocol.records.head import DONE, FAILED, RUNNING, Head
from nnlite.protocol.records.lease import OPEN, Lease, Watch
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles import durable
from nnlite.protocol.roles.sweep import sweep

T = TypeVar("T")
MORE_MEMORY = "a memcached that forgets wants more memory (-m), or the run a checkpoint_store="


class Leave(Exception):  # not an error: how deep code says that this invocation is over
    """Raised inside a program to end it."""


class LookPace:
    """When to look again while waiting for a round to end: a little before it should, then in steps.

    Every look is a request. The shortest of the last few rounds is a good guess: all workers together vary less than
    any of them, and who sleeps too long is late in the next round as well. The first round says nothing, as functions
    start one by one.
    """

    def __init__(self, spec: RunSpec):
        self.poll_s, self.max_poll_s = spec.poll_s, spec.max_poll_s
        self.long_s = max(spec.max_poll_s, min(spec.look_s, spec.hand_over_s / 2))  #: while nothing is to be expected
        if spec.wait_s is not None:  # then others may need our place
            self.long_s = min(self.long_s, max(spec.max_poll_s, spec.wait_s))
        self.began_s = 0.0  #: when this round began for us
        self.is_first = True
        self.took_s: deque[float] = deque(maxlen=3)  #: the last rounds

    def ended(self, now_s: float) -> None:
        """A round is over, and the next begins."""
        if not self.is_first:
            self.took_s.append(now_s - self.began_s)
        self.began_s, self.is_first = now_s, False

    def pauses(self, now_s: float) -> Iterator[float]:
        """Seconds to sleep, again and again."""
        since_s = now_s - self.began_s
        guess_s = min(self.took_s, default=since_s)  # nothing to go by: we are in the middle of those that end it
        yield min(max(self.poll_s, 0.9 * (guess_s - since_s)), self.long_s)
        step_s, longest_s = 0.1 * guess_s, max(self.max_poll_s, min(guess_s / 4, self.long_s))
        while True:
            step_s = min(max(self.poll_s, step_s), longest_s)
            yield step_s
            step_s *= 1.5


class Waiter:
    """What workers and watchers have in common: they wait for a round to close, and repair what keeps it."""

    holder = "a watcher"

    def __init__(self, spec: RunSpec):
        self.spec = spec
        self.rules = spec.rules
        self.rounds = self.rules.rounds(spec)
        self.keys = self.rounds.keys
        self.watch = Watch(spec.lease_ttl_s)
        self.combiner = combiner_of(spec)
        self.pace = LookPace(spec)
        self.waits_since_s = 0.0  #: by our clock, when we last began to wait for others
        self.opened: dict[int, Lease] = {}  #: worker -> the lease that we have opened for it last
        self.repairing: Lease | None = None  #: the repair lease, while it is ours

    def read_head(self) -> Program[Head]:
        """The head of a run that goes on; leaves when it does not."""
        found = yield from head.read(self.spec)
        if found is None:
            return (yield from self.restore("the run is gone"))
        if found[0].status != RUNNING:
            raise Leave(f"the run is {found[0].status}: {found[0].reason}")
        return found[0]

    def restore(self, why: str) -> Program[Head]:
        """The store has forgotten the run, or its newest checkpoint: go on from the durable copy; leave without."""
        back = (yield from durable.restore(self.spec)) if self.spec.checkpoint_store is not None else None
        if back is None:
            raise Leave(why)
        yield Note("restored", {"round": back.round})
        return back

    def wait(self, round: int, at_once: bool = False) -> Program[Head]:
        """The next head after `round`, repairing when it takes too long."""

        def moved() -> Program[Head | None]:
            now_head = yield from self.read_head()
            return now_head if now_head.round > round else None

        return (yield from self.wait_for(moved, at_once))

    def wait_for(self, look: Callable[[], Program[T | None]], at_once: bool = False) -> Program[T]:
        """Whatever `look` finds, as soon as it finds something; repairing when that takes too long. `at_once`: there
        should be something already."""
        self.waits_since_s = began_s = since_s = yield Now()
        for pause_s in self.pace.pauses(began_s):
            if not at_once:
                yield Sleep(pause_s)
            at_once = False
            seen = yield from look()
            now_s = yield Now()
            if seen is not None:
                self.pace.ended(now_s)
                if self.repairing is not None:
                    yield from lease.give_back(self.keys.repair, self.repairing)
                    self.repairing = None
                return seen
            yield from self.between_polls()
            if now_s - since_s > self.spec.straggler_timeout_s:
                yield from self.repair()
                since_s = yield Now()
        raise AssertionError("pauses never end")

    def between_polls(self) -> Program[None]:
        """What else to do while waiting."""
        yield from ()

    def repair(self) -> Program[None]:
        """Merge what dead mergers left, and replace the workers that are missing and dead.

        One waiter does so for all, time and again until its wait is over: it has to see a lease twice to call it dead,
        and a thousand of them would read more than the run itself.
        """
        now_head = yield from self.read_head()
        if not (yield from self._is_repairer()):
            return
        for worker in (yield from self.rules.missing(self, now_head)):
            found = yield Get(self.keys.lease(worker))
            if self.watch.is_dead(self.keys.lease(worker), found, (yield Now())):
                yield from self.replace(worker, found)

    def _is_repairer(self) -> Program[bool]:
        """Take the repair lease, or keep it alive; False while somebody else has it."""
        found = yield Get(self.keys.repair)
        current = Lease.from_json(found.data, self.keys.repair) if found else Lease(0, OPEN)
        if current.holder not in (OPEN, self.holder) and not self.watch.is_dead(self.keys.repair, found, (yield Now())):
            return False
        mine = Lease(current.attempt + 1, self.holder)
        self.repairing = mine if (yield Swap(self.keys.repair, mine.to_json(self.keys.repair), found)) else None
        return self.repairing is not None

    def missing_in_round(self, now_head: Head) -> Program[list[int]]:
        """Merge what dead mergers left of the open round. -> the workers whose contributions are not there"""
        missing = yield from self.rounds.missing(self.open_round(now_head))
        yield from self._see_to_beginning()
        return missing

    def _see_to_beginning(self) -> Program[None]:
        """A round that is closed with the help of the checkpoint it began with cannot end without it."""
        lost, self.rounds.lost = self.rounds.lost, None
        if lost is not None and (yield from self.read_head()).round == lost:
            yield from self.checkpoint_is_lost(lost)

    def checkpoint_is_lost(self, round: int) -> Program[None]:
        """The newest checkpoint is not in the store: go on from the durable one, or end the run as failed."""
        problem = f"checkpoint {self.keys.checkpoint(round)} is missing in the store: {MORE_MEMORY}"
        if self.spec.checkpoint_store is not None:
            yield from self.restore(problem)
        else:
            yield from self.fail(problem)

    def fail(self, reason: str) -> Program[None]:
        """End the run, as failed, and leave."""
        yield from head.end(self.keys.head, FAILED, reason)
        raise Leave(reason)

    def _last_known(self, worker: int) -> Program[Lease | None]:
        """What is known of a lease that the store has lost."""
        ours = self.opened.get(worker)
        found = (yield from head.read(self.spec)) if self.spec.is_lone else None
        theirs = found[0].lease if found is not None else None
        return max(filter(None, (ours, theirs)), key=lambda one: one.attempt, default=None)

    def tidy(self, last: Head) -> Program[None]:
        """Do for a run that is over what who ended it may have died before doing."""
        is_merged = last.result is not None and self.rules.has_rounds
        if is_merged and (yield Missing((self.keys.checkpoint(last.round),))):
            yield from self.rounds.remake(last.round)
        yield from self.rounds.keep_result(last)
        if last.status == DONE:
            yield from sweep(self.spec, last)

    def open_round(self, now_head: Head) -> int:
        """The round that is to be closed."""
        return now_head.round

    def replace(self, worker: int, found: Any) -> Program[None]:
        """Invoke the next attempt of a dead worker, unless somebody else does or there were too many."""
        unseen_s = min(self.spec.lease_ttl_s, self.spec.beat_s + self.spec.slice_s)
        known = (yield from self._last_known(worker)) if found is None else None
        opened = yield from lease.take_over(self.keys.lease(worker), found, unseen_s=unseen_s, known=known)
        if opened is None:
            return
        self.opened[worker] = opened
        if found is None and self.spec.is_lone:  # it may be lost again, and then another watcher must know
            yield from head.change(self.keys.head, lambda now: now.moved_by(opened) if now.status == RUNNING else now)
        if opened.deaths >= self.spec.max_attempts:
            reason = f"worker {worker} died {opened.deaths} times; the run allows {self.spec.max_attempts} attempts"
            yield from head.end(self.keys.head, FAILED, reason)
            return
        yield Create(self.keys.spec, self.spec.to_json())  # if it was evicted: nobody can begin without it
        yield Note("replaced", {"worker": worker, "attempt": opened.attempt})
        yield Invoke(worker, opened.attempt)
