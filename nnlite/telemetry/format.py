"""Traces: what an invocation spent its time on, as JSON lines in immutable batches.

A batch is `runs/{run}/traces/{worker}/{attempt}/{batch}.jsonl`. Its first line is a header, every other line a span
or a mark::

    {"trace": 1, "run": "r7", "worker": 3, "attempt": 1, "batch": 0, "began_unix_s": 1790000000.25, ...}
    {"span": "train", "begin_s": 1.25, "seconds": 0.5, "round": 2, "samples": 800}
    {"mark": "closed", "at_s": 1.9, "round": 2}

`begin_s` and `at_s` are of the invocation's own monotonic clock, which is 0 where it began. `began_unix_s` is the wall
clock at that moment, read once: it only says where to draw an invocation beside others. Nothing is ever decided by
it, as clocks of different machines differ.

Batches are numbered from 0 and attempts from 1, so a reader asks for the next until there is none. A line that cannot
be read (the last one of a batch that was cut off, say) is skipped and counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from nnlite.protocol.records.keys import Version
from nnlite.records import Amount, Count, OneOf, Range, Unsound, fit, parse

FORMAT = 1

INIT, READ_SHARD, PULL, TRAIN, EVALUATE = "init", "read shard", "pull", "train", "evaluate"
PUSH, MERGE, WAIT, HAND_OVER, COORDINATE = "push", "merge", "wait", "hand over", "coordinate"
KINDS = (INIT, READ_SHARD, PULL, TRAIN, EVALUATE, PUSH, MERGE, COORDINATE, WAIT, HAND_OVER)
CLOSED, END = "closed", "end"  # marks: it closed a round; it ended in good order, with "reason"


@dataclass
class Span:
    """A stretch of time in which an invocation did one kind of thing."""

    kind: Annotated[str, OneOf(KINDS)]
    begin_s: Amount
    seconds: Amount
    round: Version = 0  #: in downpour: the version of the checkpoint that the worker stands on
    samples: Count = 0  #: trained on, or scored
    reads: Count = 0  #: keys asked for; with S3, requests that are billed
    writes: Count = 0
    bytes_in: Count = 0
    bytes_out: Count = 0
    store_s: Amount = 0.0  #: of `seconds`, those spent in requests to the store

    @property
    def end_s(self) -> float:
        """When it was over."""
        return self.begin_s + self.seconds


@dataclass(frozen=True)
class Header:
    """What must be true of the first line of an object, whatever else it says."""

    trace: Annotated[int, Range(FORMAT, FORMAT)]
    began_unix_s: Amount
    cold_start: bool = False
    environment: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mark:
    """What must be true of a mark."""

    mark: str
    at_s: Amount
    round: Version = 0
    reason: str = ""


@dataclass
class Batch:
    """The lines of one object."""

    header: dict[str, Any] | None = None
    spans: list[Span] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    num_skipped: int = 0


def encode(header: dict[str, Any], lines: Iterable[Span | dict[str, Any]]) -> bytes:
    """A batch as JSON lines; marks are dicts. Zeros are left out, times are rounded to microseconds."""
    encoded = [json.dumps({"trace": FORMAT, **header}, sort_keys=True)]
    for line in lines:
        values = _span_values(line) if isinstance(line, Span) else line
        encoded.append(json.dumps(values))
    return ("\n".join(encoded) + "\n").encode()


def _span_values(span: Span) -> dict[str, Any]:
    values = {"span": span.kind, "begin_s": round(span.begin_s, 6), "seconds": round(span.seconds, 6)}
    more = asdict(span)
    more["store_s"] = round(span.store_s, 6)
    return {**values, **{k: v for k, v in more.items() if v and k not in ("kind", "begin_s", "seconds")}}


def decode(data: Any) -> Batch:
    """Read what `encode` wrote; what cannot be read is skipped and counted."""
    batch = Batch()
    for raw in bytes(data).split(b"\n"):
        if not raw.strip():
            continue
        try:
            _take(batch, parse(raw))
        except Unsound:
            batch.num_skipped += 1
    return batch


def _take(batch: Batch, values: Any) -> None:
    if not isinstance(values, dict):
        raise Unsound("expected an object")
    if "trace" in values:
        fit(Header, values, partial=True, others=True)
        batch.header = values
    elif "mark" in values:
        fit(Mark, values, partial=True, others=True)
        batch.marks.append(values)
    else:
        kind = values.pop("span", None)
        batch.spans.append(fit(Span, {**values, "kind": kind}, partial=True))
