"""Findings: what a run's numbers say, in sentences; the most telling first."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from nnlite.protocol.records.head import FAILED, STOPPED
from nnlite.quantities import duration
from nnlite.report.tables import Lane, Report
from nnlite.telemetry import format

MOST_DEATHS = 5  # told one by one
NOTABLE_RATE = 0.05  # of all workers' time
SLOW_RATE = 0.67  # of the median worker's speed


def findings(report: Report) -> list[str]:
    """Sentences, none if there is nothing to say."""
    return [
        *_ending(report),
        *_deaths(report),
        *_untraced(report),
        *_waiting(report),
        *_slow(report),
        *_starting(report),
    ]


def caveats(report: Report) -> list[str]:
    """What a reader must know to trust the numbers."""
    said = []
    if report.record.is_copy:
        return ["This is the run's checkpoint store: it has copies of head and weights, and nothing else of the run."]
    if report.record.is_partial:
        said.append(f"This run is {report.status}: the report is partial, and shows what was written so far.")
    skipped = report.record.num_skipped
    if skipped:
        what, are = ("line", "is") if skipped == 1 else ("lines", "are")
        said.append(f"{skipped} {what} of the trace cannot be read and {are} left out.")
    if not report.spec.trace:
        said.append("This run was told to write no trace (trace off): there is no timeline.")
    elif not report.lanes:
        said.append("No trace is there yet: workers write the first part after a second, and then every few seconds.")
    return said


def _ending(report: Report) -> Iterator[str]:
    head = report.record.head
    if head is not None and head.status in (STOPPED, FAILED):
        yield f"The run {'was stopped' if head.status == STOPPED else 'failed'}: {head.reason}."


def _deaths(report: Report) -> Iterator[str]:
    dead = [lane for lane in report.lanes if lane.is_dead]
    following = {(lane.invocation.worker, lane.invocation.attempt): lane for lane in report.lanes}
    for lane in dead[:MOST_DEATHS]:
        worker, attempt = lane.invocation.worker, lane.invocation.attempt
        yield f"Worker {worker} died: attempt {attempt} wrote its last word at {duration(lane.end_s)}." + _then(
            following.get((worker, attempt + 1))
        )
    if len(dead) > MOST_DEATHS:
        yield f"{len(dead) - MOST_DEATHS} more invocations died."


def _then(after: Lane | None) -> str:
    if after is None:
        return ""
    return f" Attempt {after.invocation.attempt} took its place at {duration(after.begin_s)}."


def _untraced(report: Report) -> Iterator[str]:
    if not report.spec.trace:
        return
    there = {(lane.invocation.worker, lane.invocation.attempt) for lane in report.lanes}
    missing = [
        (worker, attempt)
        for worker, newest in report.record.attempts.items()
        for attempt in range(1, newest + (not report.record.is_partial))
        if (worker, attempt) not in there
    ]
    shown = ", ".join(f"attempt {attempt} of worker {worker}" for worker, attempt in missing[:MOST_DEATHS])
    if missing:
        more = f" and {len(missing) - MOST_DEATHS} more" if len(missing) > MOST_DEATHS else ""
        yield f"No trace of {shown}{more}: it never began, died in its first second, or could not write."


def _num_rounds(report: Report) -> int:
    return sum(row.rounds_last for row in report.workers)


def _waiting(report: Report) -> Iterator[str]:
    waited_s, all_s = report.kinds.get(format.WAIT, 0.0), sum(report.kinds.values())
    if waited_s <= NOTABLE_RATE * all_s or report.spec.num_workers < 2:
        return
    yield f"Workers spent {waited_s / all_s:.0%} of their time waiting."
    worst = max(report.workers, key=lambda row: row.held_up_s)
    if worst.held_up_s > NOTABLE_RATE * all_s:
        yield (
            f"Worker {worst.worker} was the last to arrive in {worst.rounds_last} of {_num_rounds(report)} rounds; "
            f"the others waited {duration(worst.held_up_s)} for it, added up."
        )


def _slow(report: Report) -> Iterator[str]:
    rates = {
        row.worker: row.samples / row.seconds[format.TRAIN]
        for row in report.workers
        if row.samples and row.seconds.get(format.TRAIN)
    }
    if len(rates) < 3:
        return
    slowest, middle = min(rates, key=lambda worker: rates[worker]), median(rates.values())
    if rates[slowest] < SLOW_RATE * middle:
        yield f"Worker {slowest} trained on {rates[slowest]:,.0f} images a second; the median was {middle:,.0f}."


def _starting(report: Report) -> Iterator[str]:
    cold = [
        span.seconds
        for one in report.record.invocations
        if one.header and one.header.get("cold_start")
        for span in one.spans[:1]
        if span.kind == format.INIT
    ]
    if cold:
        longest = f", at most {duration(max(cold))}" if len(cold) > 1 else ""
        yield f"{len(cold)} cold starts took {duration(median(cold))} each (median){longest}."
