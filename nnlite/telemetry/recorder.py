"""Spans: turns the effects that an invocation performs into a few stretches of time, cheaply.

Every stretch is told to the invocation's meter, whose account is their sum; and, if the run is traced, written down.
There, slices of training, and polls, are joined into one span; requests that coordinate (heads, leases) count with
what they interrupt if they are short. What a program computes between two effects (encoding, merging) counts with the
second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from nnlite.protocol import effects as fx
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import OPEN, Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.store import Store, Versioned
from nnlite.store.wrapper import Wrapper
from nnlite.telemetry import format
from nnlite.telemetry.format import Span
from nnlite.telemetry.usage_meter import UsageMeter
from nnlite.telemetry.writer import TraceWriter

FIRST_S = 1.0  # of an invocation's life: the first batch
EVERY_S = 5.0  # between all others; later a tenth of the invocation's age, so that there are few
SHORT_S = 0.001  # a piece of coordination that counts with what came before it
NOTHING_S = 1e-6  # what takes less, and asks nothing of the store, is left out
PAUSE_S = 0.05  # a longer gap between slices of training: it was another worker's turn

_KINDS: dict[type[fx.Effect], str] = {
    fx.Train: format.TRAIN,
    fx.Score: format.EVALUATE,
    fx.Evaluate: format.EVALUATE,
    fx.Adopt: format.PULL,
    fx.Join: format.PULL,
    fx.Rebase: format.PULL,
    fx.Resume: format.PULL,
    fx.Suspend: format.HAND_OVER,
    fx.Collect: format.PUSH,
    fx.TakeUpdate: format.PUSH,
}
_WRITES = (fx.Create, fx.Swap)


class Spans:
    """The recorder of one invocation. Times are of `clock`; `began_s` is the zero of what is written. Without a writer
    nothing is.

    Only an invocation that has become its worker (the note "began") writes anything: a duplicate would take the
    names of the other.
    """

    def __init__(
        self,
        spec: RunSpec,
        worker: int,
        writer: TraceWriter | None,
        began_s: float,
        meter: UsageMeter,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.keys, self.worker, self.writer, self.clock = Keys(spec.run), worker, writer, clock
        self.meter, self.began_s, self._due_s = meter, began_s, began_s + FIRST_S
        self._leaf = str(spec.tree.leaf_level)
        self._lines: list[Span | dict[str, Any]] = []
        self._last: Span | None = None  #: goes on as long as the same kind of thing is done
        self._aside: Span | None = None  #: coordination behind it, until we know what comes next
        self._asleep_s: float | None = None
        self._inner: list[tuple[float, float, int]] = []
        self.is_held = False  #: whether the invocation has become its worker
        self._is_closed = False
        self._is_combining = False  #: from having taken the lease to the next thing that is no folding
        self._round = 0
        self._seen: dict[type[fx.Effect], int] = {}  #: samples, as the answers count them

    # ---- what happens

    def add(self, kind: str, began_s: float, ended_s: float) -> None:
        """A stretch of time of the clock that nobody else tells of."""
        self._join(Span(kind, began_s - self.began_s, ended_s - began_s, self._round))

    def sleeps(self, since_s: float) -> None:
        """The program sleeps until its next effect."""
        self._asleep_s = since_s

    def reads(self, began_s: float, ended_s: float, num_bytes: int) -> None:
        """A shard was read, inside of the effect that is being performed."""
        self._inner.append((began_s, ended_s, num_bytes))

    def performed(self, effect: fx.Effect, answer: Any, began_s: float, asked_s: float) -> None:
        """An effect was performed, just now. The program went on at `began_s`, and asked for it at `asked_s`."""
        ended_s = self.clock()
        if self._asleep_s is not None:
            self.add(format.WAIT, self._asleep_s, began_s)
            self._asleep_s, self._is_combining = None, False
        kind = self._kind(effect, answer)
        for inner_began_s, inner_ended_s, num_bytes in self._inner:
            if inner_began_s - began_s > SHORT_S:
                self.add(kind, began_s, inner_began_s)
            read_s = inner_ended_s - inner_began_s
            begin_s = inner_began_s - self.began_s
            self._join(
                Span(format.READ_SHARD, begin_s, read_s, self._round, reads=1, bytes_in=num_bytes, store_s=read_s)
            )
            began_s = inner_ended_s
        self._inner.clear()
        span = Span(kind, began_s - self.began_s, ended_s - began_s, self._round)
        self._count(span, effect, answer, ended_s - asked_s)
        self._join(span)
        self._mark(effect, answer, ended_s)
        if ended_s >= self._due_s and self.is_held and self.writer is not None and self.writer.offer(self._so_far):
            self._due_s = ended_s + max(EVERY_S, 0.1 * (ended_s - self.began_s))

    def close(self, reason: str | None) -> None:
        """The invocation is over: write down the rest. Without a reason it died. Closing twice is no error: a process
        may be told to end while it does."""
        if not self._is_closed:
            self._is_closed = True
            if self._asleep_s is not None:
                self.add(format.WAIT, self._asleep_s, self.clock())
            lines = self._so_far()
            if reason is not None:
                lines.append({"mark": format.END, "at_s": self._now_s(), "reason": reason})
            if self.is_held and self.writer is not None:
                self.writer.keep(lines)
        if self.writer is not None:
            self.writer.finish()

    # ---- what it was

    def _kind(self, effect: fx.Effect, answer: Any) -> str:
        kind = _KINDS.get(type(effect))
        if kind is not None:
            self._is_combining = False
            return kind
        if isinstance(effect, (fx.Get, fx.Create, fx.Swap)):
            if effect.key == self.keys.combine:
                self._is_combining = isinstance(effect, fx.Swap) and answer and not _is_open(effect)
                return format.COORDINATE
            return self._kind_of_key(effect.key, isinstance(effect, fx.Create), answer)
        if isinstance(effect, fx.GetMany) and effect.keys:
            if any(found is None for found in answer) and not self._is_combining:
                return format.COORDINATE  # looked whether there is something to merge
            return self._kind_of_key(effect.keys[0], False, answer)
        if isinstance(effect, fx.Invoke) and effect.worker == self.worker:
            return format.HAND_OVER
        return format.MERGE if self._is_combining else format.COORDINATE

    def _kind_of_key(self, key: str, is_create: bool, answer: Any) -> str:
        what, _, rest = key.removeprefix(f"runs/{self.keys.run}/").partition("/")
        if self._is_combining:
            return format.MERGE
        if what == "rounds":
            return format.PUSH if is_create and rest.split("/")[1] == self._leaf else format.MERGE
        if what == "updates":
            return format.PUSH if is_create else format.PULL
        if what == "ckpt":
            if is_create:
                return format.MERGE
            if answer is None:
                return format.COORDINATE  # one that others wait for, too
            self._round = int(rest)
            return format.PULL
        if key.startswith("searches/") and key.endswith("/model"):
            return format.PUSH if is_create else format.PULL
        if what == "cursors":
            return format.HAND_OVER if is_create else format.PULL
        return format.COORDINATE

    def _count(self, span: Span, effect: fx.Effect, answer: Any, seconds: float) -> None:
        """Requests, bytes, samples."""
        if isinstance(effect, fx.Get):
            span.reads, span.store_s = 1, seconds
            span.bytes_in = len(answer.data) if answer is not None else 0
        elif isinstance(effect, fx.GetMany):
            span.reads, span.store_s = len(effect.keys), seconds
            span.bytes_in = sum(len(found.data) for found in answer if found is not None)
        elif isinstance(effect, fx.Missing):
            span.reads, span.store_s = len(effect.keys), seconds
        elif isinstance(effect, _WRITES):
            span.writes, span.store_s = 1, seconds
            span.bytes_out = _size(effect.data)
        elif isinstance(effect, (fx.Delete, fx.DeleteMany)):
            span.store_s = seconds
            self.meter.deleted(len(effect.keys) if isinstance(effect, fx.DeleteMany) else 1)
        elif isinstance(effect, (fx.Train, fx.Score)):
            span.samples = max(0, answer.num_samples - self._seen.get(type(effect), 0))
            self._seen[type(effect)] = answer.num_samples
        elif isinstance(effect, fx.Evaluate):
            span.samples = answer.num_samples
        elif isinstance(effect, (fx.Adopt, fx.Join, fx.TakeUpdate)):
            self._seen.clear()
        elif isinstance(effect, fx.Resume) and effect.round is not None:
            self._round = effect.round
            self._seen = {fx.Train: effect.standing.trained.num_samples, fx.Score: effect.standing.scored.num_samples}

    def _mark(self, effect: fx.Effect, answer: Any, at_s: float) -> None:
        if isinstance(effect, fx.Note) and effect.event == "began":
            self.is_held = True
        elif isinstance(effect, fx.Create) and answer is True and effect.key.endswith("/summary.json"):
            number = int(effect.key.split("/")[-2])
            self._lines.append({"mark": format.CLOSED, "at_s": round(at_s - self.began_s, 6), "round": number})

    # ---- joining

    def _join(self, span: Span) -> None:
        """Lengthen the last span, or begin the next."""
        self.meter.add(span)
        if self.writer is None:
            return
        last, aside = self._last, self._aside
        if last is None:
            self._last = span
        elif span.kind == format.COORDINATE and last.kind != format.COORDINATE:
            if last.kind == format.WAIT or (aside is None and span.seconds < SHORT_S):
                _extend(last, span)
            elif aside is None:
                self._aside = span
            else:
                _extend(aside, span)
        elif span.kind == last.kind and span.round == last.round and span.begin_s - self._end_s() < PAUSE_S:
            if aside is not None:
                _extend(last, aside)
                self._aside = None
            _extend(last, span)
        else:
            self._give_out()
            self._last = span

    def _end_s(self) -> float:
        newest = self._aside or self._last
        return newest.end_s if newest is not None else 0.0

    def _give_out(self) -> None:
        both = (span for span in (self._last, self._aside) if span is not None)
        self._lines += [span for span in both if span.seconds >= NOTHING_S or span.reads or span.writes]
        self._last = self._aside = None

    def _so_far(self) -> list[Span | dict[str, Any]]:
        """Everything so far; what goes on is cut."""
        self._give_out()
        lines, self._lines = self._lines, []
        return lines

    def _now_s(self) -> float:
        return round(self.clock() - self.began_s, 6)


class ReadingShards(Wrapper):
    """A data store whose reads are told to a recorder."""

    def __init__(self, inner: Store, spans: Spans):
        super().__init__(inner)
        self._spans = spans

    def get(self, key: str) -> Versioned:
        began_s = self._spans.clock()
        found = self.inner.get(key)
        self._spans.reads(began_s, self._spans.clock(), len(found.data))
        return found


def _is_open(effect: fx.Swap) -> bool:
    return Lease.from_json(effect.data, effect.key).holder == OPEN


def _extend(span: Span, more: Span) -> None:
    span.seconds = max(span.seconds, more.end_s - span.begin_s)
    span.samples += more.samples
    span.reads += more.reads
    span.writes += more.writes
    span.bytes_in += more.bytes_in
    span.bytes_out += more.bytes_out
    span.store_s += more.store_s


def _size(data: Any) -> int:
    parts: Iterable[Any] = (data,) if isinstance(data, (bytes, bytearray, memoryview)) else data
    return sum(memoryview(part).nbytes for part in parts)
