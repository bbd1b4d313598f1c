"""The simulator: the same programs in virtual time, with every fault a seed can think of.

Workers, watcher and store live in one process; nothing sleeps. Each effect takes some virtual time, and before
or after each the invocation may die; invocations may get lost, come twice, or come late.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnlite.errors import RunError
from nnlite.protocol import effects as fx
from nnlite.protocol.contribution import Tally, encode
from nnlite.protocol.head import Head
from nnlite.protocol.keys import Keys
from nnlite.protocol.protocols import worker_of
from nnlite.protocol.spec import RunSpec
from nnlite.protocol.watcher import Watcher
from nnlite.runtime.learner import COMPUTING, Learner, compute

LOOKS = (fx.Now, fx.Remaining, fx.Spent, fx.Suspend, fx.Note)  # effects that change nothing, and take no time
WATCHER = -1  # the "worker" number of the watcher in stories


@dataclass(frozen=True)
class Faults:
    """How often things go wrong (rates in [0, 1]) and how long things take (seconds, virtual)."""

    crash_rate: float = 0.0  #: of an invocation, before or after any one effect that does something
    lose_rate: float = 0.0  #: of invocations that never begin
    double_rate: float = 0.0  #: of invocations that begin twice
    cold_start_s: float = 0.5  #: at most
    latency_s: float = 0.02  #: of a store request, on average
    slice_s: float = 0.2  #: of a slice of training, on average
    straggler_rate: float = 0.0  #: of invocations that are `straggler_factor` slower in everything
    straggler_factor: float = 20.0
    max_crashes: int = 10_000
    timeout_s: float = math.inf  #: the platform kills every invocation after so long
    wipe_at_s: tuple[float, ...] = ()  #: when the store forgets everything; the durable one does not
    clock_skew_s: float = 0.0  #: by which clocks differ, at most
    usd_per_s: float = 0.0  #: what a second of an invocation costs
    crash_at: int | None = None  #: kill exactly one invocation, at this effect of the whole run
    crash_after: bool = False  #: whether that one dies after the effect took place, rather than before


@dataclass(frozen=True)
class Stored:
    """A value in the simulated store, as `effects.Found`."""

    data: bytes
    version: int


@dataclass
class Invocation:
    """One execution of a program."""

    worker: int
    attempt: int
    program: fx.Program[Any]
    learner: Learner | None
    slowness: float = 1.0
    skew_s: float = 0.0  #: what its clock shows at the start of the simulation
    began_s: float | None = None
    seconds: float = 0.0  #: from its beginning to its last effect


@dataclass
class Simulation:
    """One run in virtual time. `run()` until the watcher is through; then look at `store` and `counts`."""

    spec: RunSpec
    initial: fx.Model
    make_learner: Callable[[int], Learner]
    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    now_s: float = 0.0
    store: dict[str, Stored] = field(default_factory=dict)
    durable: dict[str, Stored] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)  #: of effects by kind, crashes, ...
    _story: list[tuple[float, int, int, tuple[Any, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.keys = Keys(self.spec.run)
        self.invocations: list[Invocation] = []  #: of workers, that ever began
        self._queue: list[tuple[float, int, Invocation, Any]] = []
        self._order = itertools.count()
        self._versions = itertools.count(1)
        self.num_effects = 0  #: performed or died at, so far
        self._put(self.keys.checkpoint(0), encode(self.initial, Tally()))
        self._put(self.keys.head, Head().to_json())
        if self.spec.checkpoint_store is not None:
            self.durable.update(self.store)

    def run(self, until_s: float = 1e6) -> Head:
        """Invoke every worker and watch. -> the last head. Raises RunError when it takes longer than that."""
        attempts = dict.fromkeys(range(self.spec.num_workers), 1)
        watcher = Invocation(WATCHER, 0, Watcher(self.spec).program(attempts), None)
        self._push(0.0, watcher, None)
        wipes = sorted(self.faults.wipe_at_s)
        while self._queue:
            self.now_s, _, invocation, answer = heapq.heappop(self._queue)
            while wipes and self.now_s >= wipes[0]:
                self.store.clear()
                self._tell(WATCHER, 0, "the store forgets everything at", wipes.pop(0))
            if self.now_s > until_s:
                raise RunError(f"seed {self.seed}: still running after {until_s} s of virtual time")
            try:
                self._advance(invocation, answer)
            except StopIteration as end:
                if invocation is watcher:
                    last: Head = end.value
                    return last
        raise RunError(f"seed {self.seed}: everybody is gone and the watcher still waits")

    @property
    def story(self) -> list[str]:
        """Everything that happened, a line each."""
        return [
            f"{at_s:10.3f}  {'watcher' if worker == WATCHER else f'worker {worker}.{attempt}':<13} "
            + " ".join(_short(part) for part in what)
            for at_s, worker, attempt, what in self._story
        ]

    # ---- invocations

    def invoke(self, worker: int, attempt: int) -> None:
        """Begin an invocation some time from now; or never, or twice."""
        self.counts["invocations"] += 1
        if self._happens(self.faults.lose_rate):
            self._tell(worker, attempt, "lost")
            return
        for _ in range(2 if self._happens(self.faults.double_rate) else 1):
            holder = f"{worker}-{attempt}-{next(self._order)}"
            program = worker_of(self.spec, worker, attempt, holder).program()
            slowness = self.faults.straggler_factor if self._happens(self.faults.straggler_rate) else 1.0
            skew_s = self.faults.clock_skew_s and self.rng.uniform(0, self.faults.clock_skew_s)
            invocation = Invocation(worker, attempt, program, self.make_learner(worker), slowness, skew_s)
            self.invocations.append(invocation)
            self._push(self.rng.uniform(0, self.faults.cold_start_s), invocation, None)

    @property
    def seconds(self) -> float:
        """Of all invocations of workers together, up to their last effect."""
        return sum(invocation.seconds for invocation in self.invocations)

    def _age_s(self, invocation: Invocation | None) -> float:
        return self.now_s - invocation.began_s if invocation and invocation.began_s is not None else 0.0

    def _advance(self, invocation: Invocation, answer: Any) -> None:
        if invocation.began_s is None:
            invocation.began_s = self.now_s
        if invocation.worker != WATCHER and self._age_s(invocation) > self.faults.timeout_s:
            self.counts["timeouts"] += 1
            self._tell(invocation.worker, invocation.attempt, "killed by the platform")
            return
        invocation.seconds = self._age_s(invocation)
        effect = invocation.program.send(answer)
        self.num_effects += 1
        self.counts[type(effect).__name__] += 1
        fate = self._fate(invocation, effect)
        if fate == "before":
            self._tell(invocation.worker, invocation.attempt, "dies before", effect)
            return
        answer = self.perform(effect, invocation)
        self._tell(invocation.worker, invocation.attempt, effect, "->", answer)
        if fate == "after":
            self._tell(invocation.worker, invocation.attempt, "dies")
            return
        self._push(self._duration(effect) * invocation.slowness, invocation, answer)

    def _fate(self, invocation: Invocation, effect: fx.Effect) -> str:
        if invocation.worker == WATCHER:
            return "lives"
        planned = self.faults.crash_at is not None and self.num_effects == self.faults.crash_at
        looks = isinstance(effect, LOOKS)  # dying at one is dying at what comes next
        by_chance = (
            not looks and self._happens(self.faults.crash_rate) and self.counts["crashes"] < self.faults.max_crashes
        )
        if not (planned or by_chance):
            return "lives"
        self.counts["crashes"] += 1
        after = self.faults.crash_after if planned else self._happens(0.5)
        return "after" if after else "before"

    def _duration(self, effect: fx.Effect) -> float:
        if isinstance(effect, fx.Sleep):
            return effect.seconds
        if isinstance(effect, (fx.Train, fx.Score)):
            return float(self.rng.exponential(self.faults.slice_s))
        if isinstance(effect, (fx.Get, fx.GetMany, fx.Create, fx.Swap, fx.Delete, fx.DeleteMany)):
            return float(self.rng.exponential(self.faults.latency_s))
        return 0.0

    def _push(self, in_s: float, invocation: Invocation, answer: Any) -> None:
        heapq.heappush(self._queue, (self.now_s + in_s, next(self._order), invocation, answer))

    def _happens(self, rate: float) -> bool:
        return rate > 0 and bool(self.rng.random() < rate)

    def _tell(self, worker: int, attempt: int, *what: Any) -> None:
        self._story.append((self.now_s, worker, attempt, what))

    # ---- effects

    def perform(self, effect: fx.Effect, invocation: Invocation | None = None) -> Any:
        """The answer to an effect, at once."""
        if invocation is not None and invocation.learner is not None and isinstance(effect, COMPUTING):
            return compute(effect, invocation.learner)
        match effect:
            case fx.Get(key, durable):
                return self._of(durable).get(key)
            case fx.GetMany(keys):
                return [self.store.get(key) for key in keys]
            case fx.Create(key, data, durable):
                return False if key in self._of(durable) else self._put(key, data, durable)
            case fx.Swap(key, data, found, durable):
                return self._put(key, data, durable) if self._of(durable).get(key) == found else False
            case fx.Delete(key, durable):
                self._of(durable).pop(key, None)
            case fx.DeleteMany(keys):
                for key in keys:
                    self.store.pop(key, None)
            case fx.Now():
                return self.now_s + (invocation.skew_s if invocation else 0.0)
            case fx.Invoke(worker, attempt):
                self.invoke(worker, attempt)
            case fx.Casualties():
                return []
            case fx.Remaining():
                return self.faults.timeout_s - self._age_s(invocation)
            case fx.Spent():
                return fx.Bill(self._age_s(invocation), self._age_s(invocation) * self.faults.usd_per_s)
            case fx.Note("left", values):
                self.counts[values["reason"]] += 1
        return None

    def _of(self, durable: bool) -> dict[str, Stored]:
        return self.durable if durable else self.store

    def _put(self, key: str, data: Any, durable: bool = False) -> bool:
        self._of(durable)[key] = Stored(bytes(data), next(self._versions))
        return True


def _short(value: Any) -> str:
    if isinstance(value, Stored):
        return f"{len(value.data)} bytes, version {value.version}"
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
