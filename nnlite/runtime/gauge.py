"""The gauge: what a process uses of everything that has a price, as a sum of the spans of its workers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from nnlite.cost.usage import Usage
from nnlite.protocol import traces
from nnlite.protocol.effects import Bill
from nnlite.protocol.spec import Rates
from nnlite.protocol.traces import Span
from nnlite.runtime.own_process import peak_memory_bytes
from nnlite.runtime.throttle import Throttle

COMPUTES = (traces.TRAIN, traces.EVALUATE)
MERGES = (traces.PULL, traces.PUSH, traces.MERGE, traces.HAND_OVER, traces.COORDINATE)
TELL_EVERY_S = 0.5
SHORTEST_PHASE_S = 0.02  # whose end is told: to tell takes some 0.1 ms


def _tell_nobody(event: str, values: dict[str, Any]) -> None:
    """Of whom nobody wants to hear."""


@dataclass
class Gauge:
    """Accounts for one process, from `began_s` on; tells of it ("usage") after a phase, before a wait, now and then.

    What is told is always the sum so far: of a process that is killed, the last account stands. What is in no span of
    work is waiting. Requests are counted by key, as S3 bills them.
    """

    began_s: float = field(default_factory=time.monotonic)  #: when the process was started, by the machine's clock
    tell: Callable[[str, dict[str, Any]], None] = _tell_nobody
    throttle: Throttle | None = None
    clock: Callable[[], float] = time.monotonic
    process: str = field(default_factory=lambda: uuid.uuid4().hex[:12])  #: a name that no other has

    def __post_init__(self) -> None:
        self.init_s = self.clock() - self.began_s
        self._worked_s = dict.fromkeys(traces.KINDS, 0.0)  #: by kind, without requests to the store
        self._num_reads = self._num_writes = self._written_bytes = self.num_deletes = 0
        self._told_s, self._told = self.began_s, 0.0
        self._phase_told_s: dict[str, float] = {}

    def begin(self) -> None:
        """Start-up is over: work begins now."""
        self.settle()
        self.init_s = self.clock() - self.began_s

    def settle(self) -> None:
        """After a piece of work: hold it back, if there is a throttle."""
        if self.throttle is not None:
            self.throttle.settle()

    # ---- what happens

    def add(self, span: Span) -> None:
        """A worker of this process did something."""
        self._worked_s[span.kind] += span.seconds - span.store_s
        self._num_reads += span.reads
        self.wrote(span.writes, span.bytes_out)

    def wrote(self, num_writes: int, num_bytes: int) -> None:
        """Something was put into a store."""
        self._num_writes += num_writes
        self._written_bytes += num_bytes

    def finished(self, phase: str) -> None:
        """A phase, like "train" or "score", is over."""
        if self.clock() - self._phase_told_s.get(phase, self.began_s) >= SHORTEST_PHASE_S:
            self._phase_told_s[phase] = self.clock()
            self.tell_usage(phase)

    def goes_on(self, now_s: float) -> None:
        """Tell, if it is time to."""
        if now_s - self._told_s >= TELL_EVERY_S:
            self.tell_usage()

    def waits(self) -> None:
        """A worker is about to sleep."""
        if self._told != sum(self._worked_s.values()) and self.clock() - self._told_s >= SHORTEST_PHASE_S:
            self.tell_usage()

    # ---- what it comes to

    def usage(self) -> Usage:
        """What was used so far."""
        return Usage(
            seconds=self.clock() - self.began_s,
            init_s=self.init_s,
            compute_s=sum(self._worked_s[kind] for kind in COMPUTES),
            merge_s=sum(self._worked_s[kind] for kind in MERGES),
            num_reads=self._num_reads,
            num_writes=self._num_writes,
            num_deletes=self.num_deletes,
            written_bytes=self._written_bytes,
            peak_mb=peak_memory_bytes() / 1e6,
        )

    def bill(self, rates: Rates) -> Bill:
        """What it has cost so far."""
        return rates.bill(self.clock() - self.began_s, self._num_reads, self._num_writes)

    def tell_usage(self, phase: str = "") -> dict[str, Any]:
        """Tell the account so far; and which phase has just been finished. -> what was told"""
        self._told_s, self._told = self.clock(), sum(self._worked_s.values())
        values = {"process": self.process, "phase": phase, **asdict(self.usage())}
        self.tell("usage", values)
        return values
