"""The gauge: what a process uses of everything that has a price, invocation by invocation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nnlite.protocol.records.usage import Usage
from nnlite.telemetry import format
from nnlite.telemetry.format import Span
from nnlite.telemetry.own_process import peak_memory_bytes
from nnlite.telemetry.throttle import Throttle

COMPUTES = (format.TRAIN, format.EVALUATE)
MERGES = (format.PULL, format.PUSH, format.MERGE, format.HAND_OVER, format.COORDINATE)
PEAK_EVERY_S = 1.0  # between two looks at the size of the process


@dataclass
class Gauge:
    """Accounts for one process, from `began_s` on, by a meter for each of its invocations.

    The time of the process is shared out: at every moment to equal parts among the invocations that are going on, so
    that their accounts add up to it. Its start-up is the first one's.
    """

    began_s: float = field(default_factory=time.monotonic)  #: when the process was started, by the machine's clock
    throttle: Throttle | None = None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.meters: list[UsageMeter] = []  #: of invocations that are going on
        self.num_metered = 0
        self.has_begun = False
        self._at_s, self._shared_s = self.began_s, 0.0

    def begin(self) -> None:
        """Start-up is over: work begins now."""
        self.settle()
        self.has_begun = True
        for meter in self.meters:
            meter.init_s = meter.seconds()

    def settle(self) -> None:
        """After a piece of work: hold it back, if there is a throttle."""
        if self.throttle is not None:
            self.throttle.settle()

    def open(self) -> UsageMeter:
        """A meter for one more invocation."""
        meter = UsageMeter(self)
        self.meters.append(meter)
        return meter

    def shared_s(self) -> float:
        """How long an invocation would have lasted that had its share of all the time so far."""
        now_s = self.clock()
        self._shared_s += (now_s - self._at_s) / max(1, len(self.meters))
        self._at_s = now_s
        return self._shared_s


class UsageMeter:
    """The account of one invocation. What is in no span of work is waiting. Requests are counted by key, as S3 bills
    them."""

    def __init__(self, gauge: Gauge) -> None:
        self.is_first = not gauge.num_metered  #: the one that the process was started for
        gauge.num_metered += 1
        self._gauge = gauge
        self._since_s = 0.0 if self.is_first else gauge.shared_s()
        self._began_s = gauge.clock() if gauge.has_begun else gauge.began_s
        self._lasted: tuple[float, float] | None = None  #: share and age, once it is over
        self.init_s = 0.0
        self._worked_s = dict.fromkeys(format.KINDS, 0.0)  #: by kind, without requests to the store
        self._store_s = 0.0
        self._num_reads = 1 if self.is_first else 0  # the specification comes before the first span
        self._num_writes = self._num_deletes = self._read_bytes = self._written_bytes = 0
        self._trace_writes = self._trace_bytes = 0
        self._peak_mb, self._peak_at_s = 0.0, -PEAK_EVERY_S

    # ---- what happens

    def add(self, span: Span) -> None:
        """The worker did something."""
        self._worked_s[span.kind] += max(0.0, span.seconds - span.store_s)
        self._store_s += span.store_s
        self._num_reads += span.reads
        self._read_bytes += span.bytes_in
        self.wrote(span.writes, span.bytes_out)

    def read(self, num_reads: int, num_bytes: int) -> None:
        """Something was read from a store, outside of any span."""
        self._num_reads += num_reads
        self._read_bytes += num_bytes

    def wrote(self, num_writes: int, num_bytes: int) -> None:
        """Something was put into a store."""
        self._num_writes += num_writes
        self._written_bytes += num_bytes

    def traced(self, num_bytes: int) -> None:
        """A batch of the trace was put, by the thread that does so: it alone writes these numbers."""
        self._trace_writes += 1
        self._trace_bytes += num_bytes

    def deleted(self, num_deletes: int) -> None:
        """Something was deleted."""
        self._num_deletes += num_deletes

    @property
    def is_closed(self) -> bool:
        """Whether the invocation is over."""
        return self._lasted is not None

    def close(self) -> None:
        """The invocation is over: what time comes now is that of others."""
        if self._lasted is None:
            self._lasted = self.seconds(), self._gauge.clock() - self._began_s
            self._gauge.meters.remove(self)

    # ---- what it comes to

    def seconds(self) -> float:
        """Its part of the time of the process, so far."""
        return self._lasted[0] if self._lasted else self._gauge.shared_s() - self._since_s

    def usage(self) -> Usage:
        """What was used so far."""
        now_s = self._gauge.clock()
        if self._lasted or now_s - self._peak_at_s >= PEAK_EVERY_S:
            self._peak_mb, self._peak_at_s = peak_memory_bytes() / 1e6, now_s
        return Usage(
            seconds=round(self.seconds(), 6),
            age_s=round(self._lasted[1] if self._lasted else now_s - self._began_s, 6),
            init_s=round(self.init_s, 6),
            compute_s=round(sum(self._worked_s[kind] for kind in COMPUTES), 6),
            merge_s=round(sum(self._worked_s[kind] for kind in MERGES), 6),
            store_s=round(self._store_s, 6),
            num_invocations=int(self.is_first),
            num_reads=self._num_reads,
            num_writes=self._num_writes + self._trace_writes,
            num_deletes=self._num_deletes,
            read_bytes=self._read_bytes,
            written_bytes=self._written_bytes + self._trace_bytes,
            peak_mb=self._peak_mb,
        )
