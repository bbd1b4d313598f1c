"""Traced: what a run has used by the traces in its store, where its invocations can tell nobody while they work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from nnlite.cost.usage import Usage
from nnlite.protocol import traces
from nnlite.protocol.traces import Span
from nnlite.report import reading
from nnlite.report.reading import Invocation
from nnlite.runtime.account import Account
from nnlite.store import Store

MERGES = (traces.PULL, traces.PUSH, traces.MERGE)
COMPUTES = {traces.TRAIN: "train", traces.EVALUATE: "score"}
PATIENCE_S, LOOK_EVERY_S = 6.0, 0.2
SMALL_BYTES, LARGE_BYTES = 20_000, 100_000  # of a request: its time is latency, or bandwidth


def invocations(store: Store, run: str, patience_s: float = PATIENCE_S,
                sleep: Callable[[float], None] = time.sleep) -> list[Invocation]:  # fmt: skip
    """All that left a trace. Of a run that has just ended, the last words of its workers are waited for a while."""
    until_s = time.monotonic() + patience_s
    while True:
        record = reading.read(store, run)
        ended = {one.worker: one.end is not None for one in record.invocations}  # of the newest attempt of each
        if all(ended.get(worker, False) for worker in record.attempts) or time.monotonic() > until_s:
            return record.invocations
        sleep(LOOK_EVERY_S)


def take(account: Account, found: Iterable[Invocation]) -> None:
    """Enter them into an account: each as a process of its own."""
    for one in found:
        who = (one.worker, one.attempt)
        account.processes[who] = usage(one)
        account.phases[who] = _phases(one.spans)


def usage(one: Invocation) -> Usage:
    """Of one invocation, up to its last word."""
    return Usage(
        seconds=one.seconds,
        init_s=_seconds(span for span in one.spans if span.kind == traces.INIT),
        compute_s=_seconds(span for span in one.spans if span.kind in COMPUTES),
        merge_s=_seconds(span for span in one.spans if span.kind in MERGES),
        num_reads=1 + sum(span.reads for span in one.spans),  # the specification comes before the first span
        num_writes=one.num_batches + sum(span.writes for span in one.spans),
        written_bytes=one.num_bytes + sum(span.bytes_out for span in one.spans),
        peak_mb=max((float(mark.get("peak_mb", 0.0)) for mark in one.marks), default=0.0),
    )


def _seconds(spans: Iterable[Span]) -> float:
    """Of work: without the requests to the store."""
    return sum(max(0.0, span.seconds - span.store_s) for span in spans)


def _phases(spans: Sequence[Span]) -> list[tuple[str, Usage]]:
    """Accounts from the ends of training and scoring, as processes tell them."""
    phases: list[tuple[str, Usage]] = []
    at, compute_s = None, 0.0
    for span in spans:
        if span.kind not in COMPUTES:
            continue
        compute_s += _seconds([span])
        if at == (span.kind, span.round):
            phases.pop()  # a span may be cut, where a batch was written
        at = (span.kind, span.round)
        phases.append((COMPUTES[span.kind], Usage(compute_s=compute_s)))
    return phases


def starts(found: Iterable[Invocation]) -> tuple[float | None, float | None]:
    """-> seconds of a start-up in a fresh process, and in one that has worked before; None where there was none."""
    by_kind: dict[bool, list[float]] = {True: [], False: []}
    for one in found:
        by_kind[bool((one.header or {}).get("cold_start"))].append(usage(one).init_s)
    cold, warm = (median(by_kind[kind]) if by_kind[kind] else None for kind in (True, False))
    return cold, warm


def reach(found: Iterable[Invocation], bytes_per_s: float) -> tuple[float, float]:
    """-> seconds of a small request to the store, and bytes/s of large ones, as the functions saw them.

    bytes_per_s: what is answered where nothing large was moved.
    """
    asked = [(span, span.reads + span.writes) for one in found for span in one.spans if span.reads + span.writes]
    small = [span.store_s / num for span, num in asked if span.bytes_in + span.bytes_out < SMALL_BYTES * num]
    latency_s = median(small) if small else 0.0
    moved = transfer_s = 0.0
    for span, num in asked:
        if span.bytes_in + span.bytes_out >= LARGE_BYTES * num:
            moved += span.bytes_in + span.bytes_out
            transfer_s += max(0.1 * span.store_s, span.store_s - num * latency_s)
    return latency_s, moved / transfer_s if transfer_s else bytes_per_s


def shard_s(found: Iterable[Invocation]) -> float:
    """Seconds that a worker took to read its shards."""
    return median(sum(s.seconds for s in one.spans if s.kind == traces.READ_SHARD) for one in found)
