"""The performer: does for real what programs ask for, several programs in turn."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nnlite.errors import Conflict, NotFound, StoreError
from nnlite.protocol import effects as fx
from nnlite.protocol.records.usage import Usage
from nnlite.runtime.trainer import Trainer
from nnlite.store import ABSENT, Store
from nnlite.telemetry.recorder import Spans

Teller = Callable[[str, dict[str, Any]], None]


def tell_nobody(event: str, values: dict[str, Any]) -> None:
    """A `Teller` for programs that nobody watches."""


def no_deadline() -> float:
    """Seconds left, where the platform ends nobody."""
    return math.inf


def at_full_speed() -> None:
    """Where nobody is held back."""


def tell_no_end(reason: str) -> None:
    """For programs whose end nobody has to write down."""


@dataclass
class Performer:
    """Performs the effects of one program, but for Sleep, which is its `Scheduler`'s."""

    store: Store
    trainer: Trainer | None = None
    durable: Store | None = None  #: where effects go that are `durable`
    invoke: Callable[[int, int], object] | None = None
    casualties: Callable[[], list[tuple[int, int]]] = list
    remaining_s: Callable[[], float] = no_deadline
    used: Callable[[], Usage] = Usage
    tell: Teller = tell_nobody
    spans: Spans | None = None  #: is told what takes how long
    settle: Callable[[], None] = at_full_speed  #: after each piece of work
    over: Callable[[str], None] = tell_no_end  #: when the program has come to its end; why
    _has_told: bool = field(default=False, init=False)  #: that the store does not delete

    def perform(self, effect: fx.Effect) -> Any:
        """The answer to an effect, as `protocol.effects` promises it."""
        handler: Callable[[Any], Any] | None = getattr(self, f"_{type(effect).__name__.lower()}", None)
        if handler is None:
            raise TypeError(f"no performer for {effect!r}")
        return handler(effect)

    def _store(self, effect: fx.Get | fx.Create | fx.Swap | fx.Delete) -> Store:
        if not effect.durable:
            return self.store
        if self.durable is None:
            raise TypeError(f"no durable store for {effect!r:.100}")
        return self.durable

    def _get(self, effect: fx.Get) -> Any:
        try:
            return self._store(effect).get(effect.key)
        except NotFound:
            return None

    def _getmany(self, effect: fx.GetMany) -> Any:
        return self.store.get_many(effect.keys)

    def _missing(self, effect: fx.Missing) -> list[str]:
        return self.store.missing(effect.keys)

    def _create(self, effect: fx.Create) -> bool:
        return self._conditional(effect, ABSENT)

    def _swap(self, effect: fx.Swap) -> bool:
        return self._conditional(effect, effect.found.version if effect.found else ABSENT)

    def _conditional(self, effect: fx.Create | fx.Swap, condition: Any) -> bool:
        try:
            self._store(effect).put(effect.key, effect.data, if_version=condition)
            return True
        except (Conflict, NotFound):
            return False

    def _delete(self, effect: fx.Delete) -> None:
        store = self._store(effect)
        self._clean(lambda: store.delete(effect.key))

    def _deletemany(self, effect: fx.DeleteMany) -> None:
        self._clean(lambda: self.store.delete_many(effect.keys))

    def _clean(self, delete: Callable[[], None]) -> None:
        """Programs delete nothing but what nobody needs any more: a store that refuses that ends no run."""
        try:
            delete()
        except StoreError as error:
            if not self._has_told:
                self.tell("uncleaned", {"reason": str(error)})
            self._has_told = True

    def _now(self, effect: fx.Now) -> float:
        return time.monotonic()

    def _remaining(self, effect: fx.Remaining) -> float:
        return self.remaining_s()

    def _spent(self, effect: fx.Spent) -> Usage:
        return self.used()

    def _takeup(self, effect: fx.TakeUp) -> None:
        self.trainer = self._mine.following(effect.spec)

    def _adopt(self, effect: fx.Adopt) -> None:
        self._mine.adopt(effect.round, effect.data, effect.where)

    def _train(self, effect: fx.Train) -> fx.TrainingSums:
        return self._mine.train(effect.seconds, effect.until_step)

    def _join(self, effect: fx.Join) -> int:
        return self._mine.join(effect.data, effect.where, effect.step, effect.pending)

    def _rebase(self, effect: fx.Rebase) -> None:
        self._mine.rebase(effect.data, effect.where, effect.pending)

    def _takeupdate(self, effect: fx.TakeUpdate) -> fx.Model:
        return self._mine.take_update(effect.scale, effect.whole)

    def _score(self, effect: fx.Score) -> fx.TrainingSums:
        return self._mine.score(effect.seconds)

    def _evaluate(self, effect: fx.Evaluate) -> fx.TrainingSums:
        return self._mine.evaluate(effect.data, effect.where, effect.slice, effect.seconds, effect.first)

    def _collect(self, effect: fx.Collect) -> fx.Model:
        return self._mine.collect()

    def _suspend(self, effect: fx.Suspend) -> fx.Standing:
        return self._mine.suspend()

    def _resume(self, effect: fx.Resume) -> None:
        self._mine.resume(effect.standing, effect.where, effect.round)

    def _invoke(self, effect: fx.Invoke) -> None:
        if self.invoke is not None:
            self.invoke(effect.worker, effect.attempt)

    def _casualties(self, effect: fx.Casualties) -> list[tuple[int, int]]:
        return self.casualties()

    def _note(self, effect: fx.Note) -> None:
        self.tell(effect.event, effect.values)

    @property
    def _mine(self) -> Trainer:
        if self.trainer is None:
            raise TypeError("a program that trains needs a performer with a trainer")
        return self.trainer


class Scheduler:
    """Runs programs in turn in one thread: a program goes on until it sleeps, or has trained for a while."""

    def __init__(self) -> None:
        self._ready: deque[tuple[fx.Program[Any], Performer, Any]] = deque()
        self._sleeping: list[tuple[float, int, fx.Program[Any], Performer]] = []
        self._order = itertools.count()
        self.results: dict[int, Any] = {}

    def add(self, program: fx.Program[Any], performer: Performer) -> int:
        """Take a program in. -> the key of its result in `results`, once it is over."""
        self._ready.append((program, performer, None))
        return id(program)

    def run(self, until: int | None = None) -> None:
        """Run until every program is over, or the one whose key is `until`."""
        while (self._ready or self._sleeping) and (until is None or until not in self.results):
            self._wake()
            if self._ready:
                self._advance(*self._ready.popleft())

    def _wake(self) -> None:
        if not self._ready:
            time.sleep(max(0.0, self._sleeping[0][0] - time.monotonic()))
        while self._sleeping and self._sleeping[0][0] <= time.monotonic():
            _, _, program, performer = heapq.heappop(self._sleeping)
            self._ready.append((program, performer, None))

    def _advance(self, program: fx.Program[Any], performer: Performer, answer: Any) -> None:
        spans = performer.spans
        while True:
            began_s = time.monotonic()
            try:
                effect = program.send(answer)
            except StopIteration as end:
                self.results[id(program)] = end.value
                performer.over(str(getattr(end.value, "reason", "")))
                return
            performer.settle()
            asked_s = time.monotonic()
            if isinstance(effect, fx.Sleep):
                heapq.heappush(self._sleeping, (asked_s + effect.seconds, next(self._order), program, performer))
                if spans is not None:
                    spans.sleeps(began_s)
                return
            answer = performer.perform(effect)
            performer.settle()
            if spans is not None:
                spans.performed(effect, answer, began_s, asked_s)
            if isinstance(effect, (fx.Train, fx.Score, fx.Evaluate)) and (self._ready or self._sleeping):
                self._ready.append((program, performer, answer))
                return


def perform(program: fx.Program[fx.T], performer: Performer) -> fx.T:
    """Run one program to its end. -> what it returns."""
    scheduler = Scheduler()
    key = scheduler.add(program, performer)
    scheduler.run(until=key)
    result: fx.T = scheduler.results[key]
    return result
