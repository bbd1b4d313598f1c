"""A short run: a few rounds of a few steps on a platform, timed."""

from __future__ import annotations

import secrets
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from nnlite import places
from nnlite.data import Dataset
from nnlite.errors import NnliteError, RunError
from nnlite.estimating.conditions import Venue
from nnlite.protocol.records.head import DONE
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.protocol.records.usage import Usage
from nnlite.runs import lifecycle
from nnlite.runtime import shard_store
from nnlite.store import Store, open_store
from nnlite.telemetry import format, reading, usage_of_traces
from nnlite.telemetry.account import last_account
from nnlite.telemetry.reading import TraceRecord

MOST_ROWS = 10_000  # of a shard: enough that caches are as cold as in a longer run


@dataclass(frozen=True)
class Timed:
    """What came out. Lists have a number for each round but the first, which is for warming up."""

    spec: RunSpec
    round_s: list[float]
    train_s: list[float]  #: of the mean worker
    score_s: float  #: of the mean worker, for its slice of the test split
    first_train_s: float  #: of the first round
    accounts: list[Usage]  #: of each worker
    jitter: float  #: how much a worker's time in a round varies, as a fraction
    cold_start_s: float | None  #: of a fresh process
    warm_start_s: float | None = None  #: of one that has worked before
    reach: tuple[float, float] | None = None  #: the store's latency and bandwidth, as functions saw them
    shard_s: float = 0.0  #: for reading a worker's shards, where that is not among the first round's seconds

    @property
    def step_s(self) -> float:
        """Seconds of training on one minibatch."""
        return median(self.train_s) / (self.spec.steps_per_round or 1)


def shortened(spec: RunSpec, dataset: Dataset, tree: Tree, steps: int, num_rounds: int) -> tuple[RunSpec, Dataset]:
    """A specification like this one, but for its length and its workers; and as much of the data as it needs."""
    num_workers = tree.widths[-1]
    wanted = min(MOST_ROWS, max(steps * spec.batch_size, len(dataset.train) // max(num_workers, spec.num_workers)))
    num_train = max(1, min(len(dataset.train), num_workers * max(wanted, spec.batch_size)))
    num_test = max(1, min(len(dataset.test), 400 * num_workers))
    train = dataset.train.take(np.arange(num_train))
    few = replace(dataset, train=train, test=dataset.test.take(np.arange(num_test)))
    data = replace(
        spec.data, name="probe", digest=secrets.token_hex(16), num_train=num_train, num_test=num_test, store=None
    )
    short = replace(
        spec,
        run=f"probe-{secrets.token_hex(4)}",
        num_workers=num_workers,
        tree_widths=tree.widths,
        num_rounds=num_rounds + 1,
        steps_per_round=steps,
        eval_every=num_rounds + 1,
        protocol="averaging",
        target_accuracy=None,
        checkpoint_every=0,
        budget_usd=None,
        max_s=None,
        max_staleness=None,
        staleness_aware=False,
        wire="float32",
        quorum=None,
        checkpoint_store=None,
        rounds_per_invocation=0,
        slice_s=0.05,
        init=None,
        trace=True,
        data=data,
    )
    return short, few


def short_run(spec: RunSpec, dataset: Dataset, venue: Venue) -> Timed:
    """Do the run at a venue, and time it. What it wrote is deleted, as far as a later run would not use it. Raises
    RunError."""
    round_s = list[float]()

    def tell(event: str, values: dict[str, Any]) -> None:
        if event == "round" and values["num_samples"]:
            round_s.append(float(values["seconds"]))

    with ExitStack() as stack:
        where = venue.store_url or str(stack.enter_context(places.temporary()))
        store = stack.enter_context(open_store(where))
        lifecycle.begin(store, store, spec, dataset)
        driver = lifecycle.Driver(store, spec, venue.open(spec, store), tell=tell)
        last = driver.drive(dict.fromkeys(range(spec.num_workers), 1))
        last_account(store, spec, 0.0 if venue.is_here else None)  # with it the traces are complete
        record = reading.read(store, spec.run)
        if venue.store_url:
            _forget(store, record)
    if last.status != DONE:
        raise RunError(f"a probe of {spec.case} {last.status}: {last.reason}")
    return _timed(record, round_s, venue)


def _forget(store: Store, record: TraceRecord) -> None:
    """Delete what a short run has left, once all of its workers have left it, so that none writes again; and its data,
    which is nobody else's.

    What stays, like the run of a worker that died, goes when the runs of its store do.
    """
    spec = record.spec
    keys, rounds, of = shard_store.keys(spec), range(spec.num_rounds + 2), Keys(spec.run)
    if not record.account.going:
        keys += [of.trace(one.worker, one.attempt, n) for one in record.invocations for n in range(one.num_batches)]
        keys += [of.cursor(worker, n) for worker, newest in record.attempts.items() for n in range(1, newest + 1)]
        keys += [of.lease(worker) for worker in range(spec.num_workers)] + [of.repair]
        keys += [key for number in rounds for key in (of.checkpoint(number), of.summary(number))]
        widths = list(enumerate(spec.tree_widths))
        keys += [of.node(r, level, node) for r in rounds for level, width in widths for node in range(width)]
        keys += [of.head, of.spec]
    with suppress(NnliteError):
        store.delete_many(keys)


def _timed(record: TraceRecord, round_s: list[float], venue: Venue) -> Timed:
    spec, found = record.spec, record.invocations
    wanted = [(format.TRAIN, r) for r in range(spec.num_rounds)] + [(format.EVALUATE, spec.num_rounds)]
    told = [usage_of_traces.phases(one for one in found if one.worker == worker) for worker in range(spec.num_workers)]
    whole = [[phases[phase] for phase in wanted] for phases in told if phases.keys() >= set(wanted)]
    if not whole or len(round_s) < spec.num_rounds:
        raise RunError(
            f"a probe of {spec.case} gave no account of its {spec.num_rounds} rounds: its workers told of "
            f"{', '.join(str(len(phases)) for phases in told)} of {len(wanted)} phases each, and its summaries of "
            f"{len(round_s)} rounds; try it again"
        )
    table = np.array(whole)  # (workers, phases)
    middle = table[:, 1 : spec.num_rounds]
    cold_s, warm_s = usage_of_traces.starts(found)
    return Timed(
        spec=spec,
        round_s=round_s[1:],
        train_s=[float(value) for value in middle.mean(axis=0)],
        score_s=float(table[:, -1].mean()),
        first_train_s=float(table[:, 0].mean()),
        accounts=[lease.used for lease in record.account.leases.values()],
        jitter=_jitter(middle),
        cold_start_s=cold_s,
        warm_start_s=warm_s,
        reach=None if venue.is_here else usage_of_traces.reach(found, venue.store_bytes_per_s),
        shard_s=0.0 if venue.is_here else usage_of_traces.shard_s(found),
    )


def _jitter(train_s: Any) -> float:
    """How much processes differ within a round; what slows down all of them alike is none. (processes, rounds)"""
    if len(train_s) < 2:
        return 0.03
    return float(np.clip(np.median(train_s.std(axis=0, ddof=1) / train_s.mean(axis=0)), 0.01, 0.3))
