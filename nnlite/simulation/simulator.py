"""The simulator: the same programs in virtual time, with every fault a seed can think of.

Workers, watcher and store live in one process; nothing sleeps. Each effect takes some virtual time (`simulated.pace`),
and before or after each the invocation may die; invocations may get lost, come twice, or come late.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnlite.errors import RunError
from nnlite.protocol import effects as fx
from nnlite.protocol.averaging.contribution import Tally, encode
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.usage import Usage
from nnlite.runtime.learner import COMPUTING, Learner, compute
from nnlite.simulation.faults import Faults
from nnlite.simulation.invocation import WATCHER, SimulatedInvocation
from nnlite.simulation.meter import StoreMeter, Use
from nnlite.simulation.pace import DrawnPace, SimulatedPace
from nnlite.simulation.values import Scale, Stored, short

__all__ = ["WATCHER", "Faults", "Learner", "SimulatedInvocation", "Simulation", "Stored"]

STORY_LENGTH = 10_000  # what happened last, kept for who wants to know why
LOOKS = {fx.Now, fx.Remaining, fx.Spent, fx.Suspend, fx.Note}  # effects that change nothing, and take no time
REQUESTS = {fx.Get, fx.GetMany, fx.Missing, fx.Create, fx.Swap, fx.Delete, fx.DeleteMany}


@dataclass
class Simulation:
    """One run in virtual time. `run()` until the watcher is through; then look at `store`, `counts` and `meter`.

    pace: how long things take; None: random times, as `faults` has them. scale: what the small values stand for.
    story_length: how many of the last things that happened are kept; 0 for speed.
    """

    spec: RunSpec
    initial: fx.Model
    make_learner: Callable[[int], Learner]
    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    pace: SimulatedPace | None = None
    scale: Scale = field(default_factory=Scale)
    story_length: int = STORY_LENGTH
    now_s: float = 0.0
    store: dict[str, Stored] = field(default_factory=dict)
    durable: dict[str, Stored] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)  #: of effects by kind, crashes, ...

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.keys = Keys(self.spec.run)
        self.meter = StoreMeter(self.spec.rates)
        self.num_effects = 0  #: performed or died at, so far
        self._pace = self.pace or DrawnPace(self.faults, self.rng)
        self._queue: list[tuple[float, int, SimulatedInvocation, fx.Effect | None, Any]] = []
        self._order = itertools.count()
        self._versions = itertools.count(1)
        self._story: deque[tuple[float, str, tuple[Any, ...]]] = deque(maxlen=self.story_length)
        self.invocations: list[SimulatedInvocation] = []  #: of workers
        self._put(self.keys.checkpoint(0), encode(self.initial, Tally(), self.keys.checkpoint(0)))
        self._put(self.keys.head, Head().to_json(self.keys.head))
        if self.spec.checkpoint_store is not None:
            self.durable.update(self.store)
        self._wipes = sorted(self.faults.wipe_at_s)

    def run(self, until_s: float = 1e6) -> Head:
        """Invoke every worker and watch. -> the last head. Raises RunError when it takes longer than that."""
        attempts = dict.fromkeys(range(self.spec.num_workers), 1)
        watcher = SimulatedInvocation(WATCHER, 0, self.spec.rules.watcher(self.spec).program(attempts), None)
        self._push(0.0, watcher)
        last = self._go_on(until_s, watcher)
        if last is None:
            raise RunError(f"seed {self.seed}: everybody is gone and the watcher still waits")
        return last

    def drain(self, until_s: float = 1e6) -> None:
        """After `run`: let the workers find out that the run is over, and leave."""
        self._go_on(until_s)

    def _go_on(self, until_s: float, until: SimulatedInvocation | None = None) -> Head | None:
        """What is due, one after the other, until nothing is, or that invocation is over. -> what it returned."""
        while self._queue:
            self.now_s, _, invocation, effect, answer = heapq.heappop(self._queue)
            while self._wipes and self.now_s >= self._wipes[0]:
                self.store.clear()
                self._tell("the store", "forgets everything at", self._wipes.pop(0))
            if self.now_s > until_s:
                raise RunError(f"seed {self.seed}: still running after {until_s} s of virtual time")
            try:
                self._advance(invocation, effect, answer)
            except StopIteration as end:
                self._end(invocation)
                if invocation is until:
                    last: Head = end.value
                    return last
        return None

    @property
    def story(self) -> list[str]:
        """The last things that happened, a line each."""
        return [f"{at_s:10.3f}  {who:<13} " + " ".join(short(part) for part in what) for at_s, who, what in self._story]

    # ---- invocations

    def invoke(self, worker: int, attempt: int) -> None:
        """Begin an invocation some time from now; or never, or twice."""
        self.counts["invocations"] += 1
        if self._happens(self.faults.lose_rate):
            self._tell(f"worker {worker}.{attempt}", "lost")
            return
        for _ in range(2 if self._happens(self.faults.double_rate) else 1):
            holder = f"{worker}-{attempt}-{next(self._order)}"
            program = self.spec.rules.worker(self.spec, worker, attempt, holder).program()
            slowness = self.faults.straggler_factor if self._happens(self.faults.straggler_rate) else 1.0
            invocation = SimulatedInvocation(worker, attempt, program, self.make_learner(worker), slowness)
            if self.faults.clock_skew_s:
                invocation.skew_s = self.rng.uniform(0, self.faults.clock_skew_s)
            if self.pace is not None:
                invocation.began_s = self.now_s  # starting takes its time, and is paid
            self.invocations.append(invocation)
            begin_s = self._pace.begin_s(invocation.learner, slowness, self.now_s, invocation.use)
            self._push(begin_s, invocation)

    @property
    def seconds(self) -> float:
        """Seconds of all invocations of workers together, up to their last effect."""
        return sum(invocation.seconds for invocation in self.invocations)

    def _age_s(self, invocation: SimulatedInvocation | None) -> float:
        return self.now_s - invocation.began_s if invocation and invocation.began_s is not None else 0.0

    def _advance(self, invocation: SimulatedInvocation, effect: fx.Effect | None, answer: Any) -> None:
        """Go on with an effect that takes place now, or with an answer, until something takes time, or kills."""
        while True:
            if effect is None:
                effect = self._next(invocation, answer)
                if effect is None:
                    return
                before_s = self._pace.before_s(effect, self.now_s, invocation.slowness)
                if before_s > 0:
                    return self._push(before_s, invocation, effect)
            answer = self._take_place(invocation, effect)
            if invocation.dies_after:
                return self._end(invocation, "dies")
            after_s = self._pace.after_s(effect, answer, invocation.learner, self.now_s, invocation.slowness)
            if after_s > 0:
                return self._push(after_s, invocation, None, answer)
            effect = None

    def _next(self, invocation: SimulatedInvocation, answer: Any) -> fx.Effect | None:
        """What a program asks for, given this answer; None if it dies first."""
        if invocation.began_s is None:
            invocation.began_s = self.now_s
        invocation.seconds = self.now_s - invocation.began_s
        if invocation.seconds > self.faults.timeout_s and invocation.worker != WATCHER:
            self.counts["timeouts"] += 1
            self._end(invocation, "killed by the platform")
            return None
        effect = invocation.program.send(answer)
        self.num_effects += 1
        self.counts[type(effect).__name__] += 1
        fate = self._fate(invocation, effect)
        if fate == "before":
            self._end(invocation, "dies before", effect)
            return None
        invocation.dies_after = fate == "after"
        return effect

    def _take_place(self, invocation: SimulatedInvocation, effect: fx.Effect) -> Any:
        """Perform an effect now, for all to see. -> its answer"""
        answer = self.perform(effect, invocation)
        if type(effect) in REQUESTS:
            self.meter.count(invocation.use, effect, answer, self.scale, invocation.worker != WATCHER)
        if self.story_length:
            self._tell(str(invocation), effect, "->", answer)
        return answer

    def _fate(self, invocation: SimulatedInvocation, effect: fx.Effect) -> str:
        if invocation.worker == WATCHER or not (self.faults.crash_rate or self.faults.crash_at):
            return "lives"
        planned = self.faults.crash_at is not None and self.num_effects == self.faults.crash_at
        looks = type(effect) in LOOKS  # dying at one is dying at what comes next
        by_chance = (
            not looks and self._happens(self.faults.crash_rate) and self.counts["crashes"] < self.faults.max_crashes
        )
        if not (planned or by_chance):
            return "lives"
        self.counts["crashes"] += 1
        after = self.faults.crash_after if planned else self._happens(0.5)
        return "after" if after else "before"

    def _end(self, invocation: SimulatedInvocation, *how: Any) -> None:
        """An invocation is over: it has come to its end, or, if we say how, died."""
        if how:
            self._tell(str(invocation), *how)
        if invocation.worker == WATCHER:
            self.meter.watcher.add(invocation.use)
        else:
            self.meter.ended(invocation.use, self._age_s(invocation))

    def _push(
        self, in_s: float, invocation: SimulatedInvocation, effect: fx.Effect | None = None, answer: Any = None
    ) -> None:
        heapq.heappush(self._queue, (self.now_s + in_s, next(self._order), invocation, effect, answer))

    def _happens(self, rate: float) -> bool:
        return rate > 0 and bool(self.rng.random() < rate)

    def _tell(self, who: str, *what: Any) -> None:
        self._story.append((self.now_s, who, what))

    # ---- effects

    def perform(self, effect: fx.Effect, invocation: SimulatedInvocation | None = None) -> Any:
        """The answer to an effect, at once."""
        if type(effect) in REQUESTS:
            self._forget()
            return self._request(effect)
        if invocation is not None and invocation.learner is not None and type(effect) in COMPUTING:
            return compute(effect, invocation.learner)
        match effect:
            case fx.Now():
                return self.now_s + (invocation.skew_s if invocation else 0.0)
            case fx.Invoke(worker, attempt):
                self.invoke(worker, attempt)
            case fx.Casualties():
                return []
            case fx.Remaining():
                return self.faults.timeout_s - self._age_s(invocation)
            case fx.Spent():
                return self._used(invocation)
            case fx.TakeUp(spec) if invocation is not None and invocation.learner is not None:
                invocation.learner = invocation.learner.following(spec)
            case fx.Note(event, values):
                self.meter.told(self.now_s, event, values)
                if event == "left":
                    self.counts[values["reason"]] += 1
        return None

    def _forget(self) -> None:
        """Let some object vanish, if it is time to."""
        faults = self.faults
        by_chance = self._happens(faults.vanish_rate) and self.counts["vanished"] < faults.max_vanished
        if not by_chance and (faults.vanish_at is None or self.num_effects != faults.vanish_at):
            return
        keys = [key for key in self.store if any(part in key for part in faults.vanish)]
        if keys:
            gone = keys[int(self.rng.integers(len(keys)))]
            del self.store[gone]
            self.counts["vanished"] += 1
            self._tell("the store", "forgets", gone)

    def _request(self, effect: fx.Effect) -> Any:
        """What the store answers."""
        match effect:
            case fx.Get(key, durable):
                return self._of(durable).get(key)
            case fx.GetMany(keys):
                return [self.store.get(key) for key in keys]
            case fx.Missing(keys):
                return [key for key in keys if key not in self.store]
            case fx.Create(key, data, durable):
                return False if key in self._of(durable) else self._put(key, data, durable)
            case fx.Swap(key, data, found, durable):
                return self._put(key, data, durable) if self._of(durable).get(key) == found else False
            case fx.Delete(key, durable):
                self._of(durable).pop(key, None)
            case fx.DeleteMany(keys):
                for key in keys:
                    self.store.pop(key, None)
        return None

    def _used(self, invocation: SimulatedInvocation | None) -> Usage:
        return (invocation.use if invocation else Use()).usage(self._age_s(invocation))

    def _of(self, durable: bool) -> dict[str, Stored]:
        return self.durable if durable else self.store

    def _put(self, key: str, data: Any, durable: bool = False) -> bool:
        self._of(durable)[key] = Stored(bytes(data), next(self._versions), self.scale.num_bytes(data))
        return True
