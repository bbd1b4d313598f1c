"""Reading: everything that a run has left in its store, also while it still goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from nnlite.cost.account import Account
from nnlite.errors import NotFound, RunError, StoreError
from nnlite.protocol.averaging.contribution import Summary
from nnlite.protocol.downpour.evaluation import CheckpointScore
from nnlite.protocol.records.head import RUNNING, Head
from nnlite.protocol.records.keys import LIFE, MOST_ROUNDS, Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec, check_run
from nnlite.store import Store
from nnlite.store.listing import known_runs
from nnlite.telemetry import format
from nnlite.telemetry.format import Span

HANDFUL = 256  # keys asked for at once


@dataclass
class InvocationTrace:
    """What one attempt of a worker wrote down. Times are of its own clock."""

    worker: int
    attempt: int
    header: dict[str, Any] | None = None
    spans: list[Span] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    num_skipped: int = 0  #: lines that could not be read
    num_batches: int = 0

    @property
    def end(self) -> str | None:
        """Why it ended; None when it did not say."""
        return next((str(mark.get("reason", "")) for mark in self.marks if mark["mark"] == format.END), None)

    @property
    def seconds(self) -> float:
        """From its beginning to the last thing that is known of it."""
        last = max((span.end_s for span in self.spans), default=0.0)
        return max(last, *(mark["at_s"] for mark in self.marks)) if self.marks else last


@dataclass
class TraceRecord:
    """A run as its store shows it."""

    spec: RunSpec
    head: Head | None
    summaries: list[dict[str, Any]]  #: of rounds that are closed, in order
    attempts: dict[int, int]  #: worker -> its newest attempt, as its lease says
    invocations: list[InvocationTrace]  #: that left a trace, by worker and attempt
    num_skipped: int  #: lines and objects that could not be read
    account: Account  #: what its workers have used
    is_copy: bool = False  #: whether this is not the run's own store, but that with its durable copies

    @property
    def is_partial(self) -> bool:
        """Whether the run may still go on."""
        return self.head is None or self.head.status == RUNNING


def read(store: Store, run: str) -> TraceRecord:
    """Read a run. Raises RunError when the store has no such run, and says which it has."""
    check_run(run)
    keys = Keys(run)
    try:
        spec = RunSpec.of_run(run, store.get(keys.spec).data, keys.spec)
    except NotFound:
        raise RunError(f"no run {run!r} in {store.url}; {known_runs(store)}") from None
    found = _many(store, [keys.head])[0]
    head = Head.of_run(spec, found) if found is not None else None
    summaries, num_damaged = _summaries(store, keys, head)
    if spec.rules.has_evaluations and head is not None:
        num_damaged += _add_evaluations(store, keys, spec, head, summaries)
    account = read_account(store, spec)
    attempts = {w: account.leases[w].attempt if w in account.leases else 1 for w in range(spec.num_workers)}
    invocations = _invocations(store, keys, attempts)
    num_skipped = num_damaged + sum(one.num_skipped for one in invocations)
    return TraceRecord(spec, head, summaries, attempts, invocations, num_skipped, account, is_copy(store, account))


def read_account(store: Store, spec: RunSpec) -> Account:
    """What the workers of a run have used so far; of one that has ended, all that they ever told."""
    keys = {worker: Keys(spec.run).lease(worker) for worker in range(spec.num_workers)}
    found = zip(keys.items(), _many(store, list(keys.values())), strict=True)
    return Account(spec, {w: Lease.from_json(data, key) for (w, key), data in found if data is not None})


def is_copy(store: Store, account: Account) -> bool:
    """Whether a store has only the durable copies of a run: no worker was ever at it there."""
    return store.url == account.spec.checkpoint_store and not account.leases


def _many(store: Store, keys: list[str]) -> list[bytes | None]:
    found: list[bytes | None] = []
    for first in range(0, len(keys), HANDFUL):
        found += [one.data if one is not None else None for one in store.get_many(keys[first : first + HANDFUL])]
    return found


def _summaries(store: Store, keys: Keys, head: Head | None) -> tuple[list[dict[str, Any]], int]:
    summaries, num_damaged = [], 0
    for data, key in _consecutive(store, keys.summary, head):
        try:
            summaries.append(asdict(Summary.from_json(data, key)))
        except StoreError:
            num_damaged += 1
    return summaries, num_damaged


def _consecutive(store: Store, key: Callable[[int], str], head: Head | None) -> Iterator[tuple[bytes, str]]:
    """What is there of all rounds up to the head's, by life. However many a head tells of, only so much is asked for as
    there is."""
    for life in range(head.life + 1 if head else 0):
        first, found = life * LIFE, True
        while head is not None and found and first <= head.round:
            names = [key(round) for round in range(first, min(first + HANDFUL, head.round + 1))]
            there = [(data, name) for data, name in zip(_many(store, names), names, strict=True) if data is not None]
            yield from there
            first, found = first + HANDFUL, bool(there)


def _add_evaluations(store: Store, keys: Keys, spec: RunSpec, head: Head, summaries: list[dict[str, Any]]) -> int:
    """Downpour is scored on the way, beside its summaries: into these with it. -> how many cannot be read"""
    due = sum(head.steps) // (spec.eval_every * spec.steps_of_all_per_round) if spec.eval_every else 0
    by_version, num_damaged = {values["round"]: values for values in summaries}, 0
    names = [keys.evaluation(number) for number in range(1, min(due, MOST_ROUNDS) + 1)]
    for data, key in zip(_many(store, names), names, strict=True):
        try:
            found = CheckpointScore.from_json(data, key) if data is not None else None
        except StoreError:
            num_damaged += 1
            continue
        if found is not None and found.version in by_version:
            by_version[found.version]["accuracy"] = found.accuracy
    return num_damaged


def _invocations(store: Store, keys: Keys, attempts: dict[int, int]) -> list[InvocationTrace]:
    """All attempts' batches: batch 0 of all, then the next of those that had one, until none has. Raises RunError for
    more attempts than can be."""
    if (total_attempts := sum(attempts.values())) > MOST_ROUNDS:
        raise RunError(
            f"the leases in {store.url} tell of {total_attempts:,} invocations: at most {MOST_ROUNDS:,} can be read"
        )
    asking = [InvocationTrace(w, a) for w, newest in attempts.items() for a in range(1, newest + 1)]
    found, batch = [], 0
    while asking:
        data = _many(store, [keys.trace(one.worker, one.attempt, batch) for one in asking])
        asking = list(_take(keys.run, asking, data))
        found += asking if batch == 0 else []
        batch += 1
    return found


def _take(run: str, invocations: list[InvocationTrace], data: list[bytes | None]) -> Iterator[InvocationTrace]:
    for one, raw in zip(invocations, data, strict=True):
        if raw is None:
            continue
        batch = format.decode(raw)
        if batch.header is not None and not _is_of(batch.header, run, one):
            batch = format.Batch(num_skipped=1)
        one.header = one.header or batch.header
        one.spans += batch.spans
        one.marks += batch.marks
        one.num_skipped += batch.num_skipped
        one.num_batches += 1
        yield one


def _is_of(header: dict[str, Any], run: str, one: InvocationTrace) -> bool:
    """Whether a batch was written by that very invocation, as its header says."""
    says = (header.get("run"), header.get("worker"), header.get("attempt"))
    return says == (run, one.worker, one.attempt)
