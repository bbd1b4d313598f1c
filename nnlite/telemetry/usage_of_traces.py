"""Traced: what a short run's traces say of its phases, of start-up, and of the way to the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from statistics import median

from nnlite.telemetry import format
from nnlite.telemetry.format import Span
from nnlite.telemetry.reading import InvocationTrace

Phase = tuple[str, int]  # training or scoring, and the round it was in
COMPUTES = (format.TRAIN, format.EVALUATE)
SMALL_BYTES, LARGE_BYTES = 20_000, 100_000  # of a request: its time is latency, or bandwidth


def phases(attempts: Iterable[InvocationTrace]) -> dict[Phase, float]:
    """Each training and scoring of a worker, however short, with its seconds of work; by all its attempts, in order.

    One that handed over in the middle was gone on with by the next; what one that died had begun was done again.
    """
    found: dict[Phase, float] = {}
    handed_over = False
    for one in attempts:
        mine: dict[Phase, float] = defaultdict(float)
        for span in one.spans:
            if span.kind in COMPUTES:
                mine[span.kind, span.round] += max(0.0, span.seconds - span.store_s)
        for phase, seconds in mine.items():
            found[phase] = seconds + (found.get(phase, 0.0) if handed_over else 0.0)
        handed_over = one.end is not None
    return found


def starts(found: Iterable[InvocationTrace]) -> tuple[float | None, float | None]:
    """-> seconds of a start-up in a fresh process, and in one that has worked before; None where there was none."""
    by_kind: dict[bool, list[float]] = {True: [], False: []}
    for one in found:
        by_kind[bool((one.header or {}).get("cold_start"))].append(_seconds(one, format.INIT))
    cold, warm = (median(by_kind[kind]) if by_kind[kind] else None for kind in (True, False))
    return cold, warm


def reach(found: Iterable[InvocationTrace], bytes_per_s: float) -> tuple[float, float]:
    """-> seconds of a small request to the store, and bytes/s of large ones, as the functions saw them.

    bytes_per_s: what is answered where nothing large was moved.
    """
    asked = [(span, _num_requests(span)) for one in found for span in one.spans if _num_requests(span)]
    small = [span.store_s / num for span, num in asked if span.bytes_in + span.bytes_out < SMALL_BYTES * num]
    latency_s = median(small) if small else 0.0
    moved = transfer_s = 0.0
    for span, num in asked:
        if span.bytes_in + span.bytes_out >= LARGE_BYTES * num:
            moved += span.bytes_in + span.bytes_out
            transfer_s += max(0.1 * span.store_s, span.store_s - num * latency_s)
    return latency_s, moved / transfer_s if transfer_s else bytes_per_s


def shard_s(found: Iterable[InvocationTrace]) -> float:
    """Seconds that a worker took to read its shards."""
    return median(_seconds(one, format.READ_SHARD) for one in found)


def _num_requests(span: Span) -> int:
    return span.reads + span.writes


def _seconds(one: InvocationTrace, kind: str) -> float:
    return sum(span.seconds for span in one.spans if span.kind == kind)
