"""Tables: from what a run left behind to the numbers that people look at."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from nnlite.protocol.counting import number
from nnlite.protocol.records.spec import RunSpec
from nnlite.telemetry import format
from nnlite.telemetry.reading import InvocationTrace, TraceRecord

IDLE = "idle"  #: time in which an invocation did nothing it wrote down: another worker's turn, in the same process
PAUSE_S, PAUSE_RATE = 60.0, 0.25  # nobody at work for so long: the run was interrupted, and the pause is not drawn


@dataclass(frozen=True)
class Lane:
    """An invocation on the time axis of the run."""

    invocation: InvocationTrace
    begin_s: float
    end_s: float
    is_dead: bool  #: it ended without a word, and the run is over or a later attempt took its place

    def at(self, own_s: float) -> float:
        """A time of the invocation's clock on the axis of the run."""
        return self.begin_s + own_s


@dataclass(frozen=True)
class Point:
    """What a round, or in downpour a checkpoint, brought. Accuracy is of the weights after it."""

    number: int  #: of the round, from 1
    checkpoint: int  #: of the one that it made; in downpour a round makes several
    end_s: float | None
    samples_before: int
    samples: int  #: trained on by all workers, up to its end
    loss: float | None
    accuracy: float | None
    staleness: tuple[float, int] | None  #: mean and maximum (downpour)
    updates: int  #: folded in (downpour)


@dataclass
class WorkerRow:
    """One worker, all attempts together."""

    worker: int
    attempts: int
    deaths: int
    seconds: dict[str, float]  #: by kind, and IDLE
    samples: int
    rounds_last: int = 0  #: rounds in which everybody waited for this one
    held_up_s: float = 0.0  #: that others waited for it, added up over them

    @property
    def total_s(self) -> float:
        """The sum over all attempts."""
        return sum(self.seconds.values())


class Report:
    """The numbers of one run."""

    def __init__(self, record: TraceRecord):
        self.record = record

    @property
    def spec(self) -> RunSpec:
        """The specification."""
        return self.record.spec

    @property
    def status(self) -> str:
        """running, done, stopped, failed, or that nobody has begun."""
        return self.record.head.status if self.record.head else "not begun"

    # ---- time

    @cached_property
    def _placed(self) -> tuple[list[Lane], list[float]]:
        """Lanes, and where pauses of the run were cut out. Wall clocks only say where a lane begins."""
        drawn = [one for one in self.record.invocations if one.header is not None]
        drawn.sort(key=lambda one: (one.header or {})["began_unix_s"])
        lanes, cuts, shift_s, reached_s = [], [], 0.0, 0.0
        first_s = (drawn[0].header or {})["began_unix_s"] if drawn else 0.0
        for one in drawn:
            begin_s = (one.header or {})["began_unix_s"] - first_s - shift_s
            if begin_s - reached_s > max(PAUSE_S, PAUSE_RATE * reached_s):
                shift_s += begin_s - reached_s
                begin_s = reached_s
                cuts.append(reached_s)
            reached_s = max(reached_s, begin_s + one.seconds)
            newest = one.attempt == self.record.attempts.get(one.worker, one.attempt)
            is_dead = one.end is None and not (newest and self.record.is_partial)
            lanes.append(Lane(one, begin_s, begin_s + one.seconds, is_dead))
        return sorted(lanes, key=lambda lane: (lane.invocation.worker, lane.invocation.attempt)), cuts

    @property
    def lanes(self) -> list[Lane]:
        """Invocations on one time axis, by worker and attempt."""
        return self._placed[0]

    @property
    def cuts(self) -> list[float]:
        """Where on the axis the run was interrupted for longer than is drawn."""
        return self._placed[1]

    @property
    def seconds(self) -> float:
        """From the first invocation's beginning to the last word of any, without long pauses."""
        return max((lane.end_s for lane in self.lanes), default=0.0)

    @cached_property
    def _closed_s(self) -> dict[int, float]:
        """The protocol's round -> when it was closed."""
        closed: dict[int, float] = {}
        for lane in self.lanes:
            for mark in lane.invocation.marks:
                if mark["mark"] == format.CLOSED and isinstance(mark.get("round"), int):
                    at_s = lane.at(mark["at_s"])
                    closed[mark["round"]] = min(at_s, closed.get(mark["round"], at_s))
        return closed

    # ---- learning

    @cached_property
    def closing(self) -> set[int]:
        """What the protocol counts as a round, and people do not: that in which the last weights were only scored."""
        return {values["round"] for values in self.record.summaries if not values["num_samples"]}

    @cached_property
    def _scored(self) -> dict[int, float | None]:
        """Number of a round -> test accuracy of the weights after it: the protocol scores what a round begins with."""
        return {values["round"]: values.get("accuracy") for values in self.record.summaries}

    @cached_property
    def points(self) -> list[Point]:
        """What came out of every round that is closed."""
        points, samples, begin_s = [], 0, None
        for values in self.record.summaries:
            if values["round"] in self.closing:
                continue
            end_s = self._closed_s.get(values["round"])
            if end_s is None and values.get("seconds") is not None:
                end_s = (begin_s or 0.0) + values["seconds"]
            late = (values["mean_staleness"], values["max_staleness"])
            points.append(
                Point(
                    self.spec.rules.round_of(self.spec, number(values["round"]), samples + values["num_samples"]),
                    number(values["round"]),
                    end_s,
                    samples,
                    samples + values["num_samples"],
                    values.get("loss"),
                    self._scored.get(number(values["round"])),
                    late if None not in late else None,
                    values["num_updates"] or 0,
                )
            )
            samples += values["num_samples"]
            begin_s = end_s if end_s is not None else begin_s
        return points

    @property
    def accuracy(self) -> float | None:
        """The newest that was measured."""
        known = [point.accuracy for point in self.points if point.accuracy is not None]
        return known[-1] if known else None

    @property
    def samples(self) -> int:
        """Trained on, in rounds that are closed."""
        return self.points[-1].samples if self.points else 0

    # ---- where the time went

    @cached_property
    def workers(self) -> list[WorkerRow]:
        """A row a worker."""
        rows = {w: WorkerRow(w, newest, 0, defaultdict(float), 0) for w, newest in self.record.attempts.items()}
        for lane in self.lanes:
            row = rows[lane.invocation.worker]
            row.deaths += lane.is_dead
            for span in lane.invocation.spans:
                row.seconds[span.kind] += span.seconds
                row.samples += span.samples if span.kind == format.TRAIN else 0
            traced_s = sum(span.seconds for span in lane.invocation.spans)
            row.seconds[IDLE] += max(0.0, lane.invocation.seconds - traced_s)
        for worker, last in self._held_up().items():
            rows[worker].rounds_last, rows[worker].held_up_s = last
        return list(rows.values())

    def _held_up(self) -> dict[int, tuple[int, float]]:
        """The worker that kept others waiting: the one that waited least for a round's end was the last to arrive. No
        clocks are compared."""
        if not self.spec.rules.has_rounds or self.spec.num_workers < 2:
            return {}
        waits: dict[int, dict[int, float]] = defaultdict(dict)
        trained = {span.round for lane in self.lanes for span in lane.invocation.spans if span.kind == format.TRAIN}
        for lane in self.lanes:
            for span in lane.invocation.spans:
                of_round = waits[span.round]
                of_round[lane.invocation.worker] = of_round.get(lane.invocation.worker, 0.0) + (
                    span.seconds if span.kind == format.WAIT else 0.0
                )
        rows: dict[int, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
        for round, of_round in waits.items():
            if round in trained and len(of_round) == self.spec.num_workers:
                last = min(of_round, key=lambda worker: of_round[worker])
                count, seconds = rows[last]
                rows[last] = (count + 1, seconds + sum(wait - of_round[last] for wait in of_round.values()))
        return rows

    @cached_property
    def kinds(self) -> dict[str, float]:
        """kind -> seconds of all workers."""
        totals: dict[str, float] = defaultdict(float)
        for row in self.workers:
            for kind, seconds in row.seconds.items():
                totals[kind] += seconds
        return {kind: totals[kind] for kind in (*format.KINDS, IDLE) if totals[kind] > 0}

    @property
    def images_per_s(self) -> float:
        """Samples that all workers together trained on in a second of the run."""
        known = [point.end_s for point in self.points if point.end_s is not None]
        return self.samples / known[-1] if known and known[-1] > 0 else 0.0
