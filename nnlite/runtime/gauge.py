"""The gauge: what a process uses of everything that has a price, while it performs programs, and for what."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from nnlite.cost.usage import Usage
from nnlite.protocol import effects as fx
from nnlite.runtime.own_process import peak_memory_bytes
from nnlite.runtime.performer import Performer, Teller, tell_nobody
from nnlite.runtime.throttle import Throttle
from nnlite.store.trace import Traced

COMPUTES = (fx.Train, fx.Score, fx.Evaluate)
MOVES_WEIGHTS = (fx.Adopt, fx.Collect, fx.Join, fx.Rebase, fx.TakeUpdate, fx.Suspend, fx.Resume)
TELL_EVERY_S = 0.5
SHORTEST_PHASE_S = 0.02  # whose end is told: to tell takes some 0.1 ms


@dataclass
class Gauge:
    """Accounts for one process, from `began_s` on; tells of it ("usage") after a phase, before a wait, now and then.

    What is told is always the sum so far: of a process that is killed, the last account stands.
    """

    began_s: float = field(default_factory=time.monotonic)  #: when the process was started, by the machine's clock
    tell: Teller = tell_nobody
    throttle: Throttle | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.init_s = self.clock() - self.began_s
        self.compute_s = self.merge_s = 0.0
        self._stores: list[Traced] = []
        self._told_s, self._told = self.began_s, 0.0
        self._phase_told_s: dict[str, float] = {}

    def watch(self, store: Traced) -> None:
        """Count the requests to this store, too."""
        self._stores.append(store)

    def begin(self) -> None:
        """Start-up is over: work begins now."""
        if self.throttle is not None:
            self.throttle.settle()
        self.init_s = self.clock() - self.began_s

    def usage(self) -> Usage:
        """What was used so far."""
        totals = [store.totals for store in self._stores]
        return Usage(
            seconds=self.clock() - self.began_s,
            init_s=self.init_s,
            compute_s=self.compute_s,
            merge_s=self.merge_s,
            num_reads=sum(t["get"].num_keys + t["get_many"].num_keys for t in totals),
            num_writes=sum(t["put"].num_keys for t in totals),
            num_deletes=sum(t["delete"].num_keys + t["delete_many"].num_keys for t in totals),
            written_bytes=sum(t["put"].num_bytes for t in totals),
            peak_mb=peak_memory_bytes() / 1e6,
        )

    @property
    def store_s(self) -> float:
        """Seconds that requests to the store took."""
        return sum(total.seconds for store in self._stores for total in store.totals.values())

    # ---- called by `GaugedPerformer` and `gauged`

    def did(self, effect: fx.Effect, answer: Any, seconds: float) -> None:
        """An effect was performed, and took so long without its requests to the store."""
        if isinstance(effect, COMPUTES):
            self.compute_s += seconds
            phase = type(effect).__name__.lower()
            if answer.finished and self.clock() - self._phase_told_s.get(phase, self.began_s) >= SHORTEST_PHASE_S:
                self._phase_told_s[phase] = self.clock()
                self.tell_usage(phase)
        elif isinstance(effect, MOVES_WEIGHTS):
            self.merge_s += seconds
        if self.clock() - self._told_s >= TELL_EVERY_S:
            self.tell_usage()

    def waits(self) -> None:
        """A program is about to sleep."""
        if self._told != self.compute_s + self.merge_s and self.clock() - self._told_s >= SHORTEST_PHASE_S:
            self.tell_usage()

    def tell_usage(self, phase: str = "") -> None:
        """Tell the account so far; and which phase, like "train" or "score", has just been finished."""
        self._told_s, self._told = self.clock(), self.compute_s + self.merge_s
        self.tell("usage", {"process": os.getpid(), "phase": phase, **asdict(self.usage())})


@dataclass
class GaugedPerformer(Performer):
    """A performer whose computing is counted, and held back if there is a throttle."""

    gauge: Gauge = field(default_factory=Gauge)

    def perform(self, effect: fx.Effect) -> Any:
        gauge = self.gauge
        began_s, store_s = gauge.clock(), gauge.store_s
        answer = super().perform(effect)
        if gauge.throttle is not None:
            gauge.throttle.settle()
        gauge.did(effect, answer, gauge.clock() - began_s - (gauge.store_s - store_s))
        return answer


def gauged(program: fx.Program[fx.T], gauge: Gauge) -> fx.Program[fx.T]:
    """The same program; what it thinks itself, which is merging and encoding, is counted."""
    answer: Any = None
    while True:
        began_s = gauge.clock()
        try:
            effect = program.send(answer)
        except StopIteration as end:
            gauge.tell_usage()
            result: fx.T = end.value
            return result
        finally:
            if gauge.throttle is not None:
                gauge.throttle.settle()
            gauge.merge_s += gauge.clock() - began_s
        if isinstance(effect, fx.Sleep):
            gauge.waits()
        answer = yield effect
