"""A run as a file for trace viewers (chrome://tracing, Perfetto): one track a worker.

The format is Chrome's "Trace Event Format" in JSON: B and E events in pairs, times in microseconds.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any

from nnlite.protocol.counting import number
from nnlite.report.tables import Report

MAX_US = 2**62


def trace(report: Report) -> bytes:
    """The file's bytes."""
    run, has_rounds = report.spec.run, report.spec.rules.has_rounds
    events: list[dict[str, Any]] = [_named("process_name", 0, f"run {run}")]
    for row in report.workers:
        events.append(_named("thread_name", row.worker, f"worker {row.worker}"))
        events.append({**_named("thread_sort_index", row.worker, ""), "args": {"sort_index": row.worker}})
    reached_us: dict[int, int] = {}
    for lane, following in zip_longest(report.lanes, report.lanes[1:]):
        worker, attempt = lane.invocation.worker, lane.invocation.attempt
        replaced_us = MAX_US  # when the next attempt began; one that lives on after that is cut off
        if following is not None and following.invocation.worker == worker:
            replaced_us = _us(following.begin_s)
        for span in sorted(lane.invocation.spans, key=lambda span: span.begin_s):
            # whole microseconds, and never before the end of what came before, so that pairs do not cross
            begin_us = max(_us(lane.at(span.begin_s)), reached_us.get(worker, 0))
            if begin_us >= replaced_us:
                break
            end_us = max(min(_us(lane.at(span.end_s)), replaced_us), begin_us)
            reached_us[worker] = end_us
            same = {"name": span.kind, "cat": "nnlite", "pid": 0, "tid": worker}
            more = {"attempt": attempt, "samples": span.samples, "reads": span.reads}
            more |= {"writes": span.writes, "bytes_in": span.bytes_in, "bytes_out": span.bytes_out}
            if span.round not in report.closing:
                more |= {"round": number(span.round)} if has_rounds else {"checkpoint": span.round}
            events.append({**same, "ph": "B", "ts": begin_us, "args": more})
            events.append({**same, "ph": "E", "ts": end_us})
    for point in report.points:
        if point.end_s is not None:
            at_us = _us(point.end_s)
            name = f"round {point.number}" + (" closed" if has_rounds else f", checkpoint {point.checkpoint}")
            events.append({"name": name, "cat": "nnlite", "ph": "i", "s": "p", "pid": 0, "tid": 0, "ts": at_us})
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"run": run}}).encode()


def _named(what: str, worker: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": 0, "tid": worker, "args": {"name": name}}


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
