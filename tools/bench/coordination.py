"""`tools.bench store --what downpour,requests`: what working together costs a worker, in time and in requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nnlite import cases, data
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import DataSpec, RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.runs import lifecycle
from nnlite.runtime.performer import Performer, perform
from nnlite.runtime.trainer import Trainer
from nnlite.runtime.workers import Workers
from nnlite.simulation.forecast import forecast
from nnlite.simulation.profile import ASSUMED, ComputeProfile, WorldProfile
from nnlite.simulation.workload import Workload
from nnlite.store import Store
from nnlite.store.trace import Traced

NUM_STEPS = 3000  # of the worker that pushes and pulls: a second of EMNIST
FEW_TEST = 20  # samples to score: scoring is not what is measured
ROWS_A_WORKER = 128  # of a run whose requests are counted


def noise(num_rows: int) -> data.Dataset:
    """Rows as those of EMNIST; how fast a step is does not depend on what is in them."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (num_rows, 1, 28, 28), np.uint8)
    y = rng.integers(0, 47, num_rows, np.uint8)
    few = data.Split(x[:FEW_TEST], y[:FEW_TEST])
    return data.Dataset("noise", data.Split(x, y), few, 47, (), (0.5,), (0.25,))


def spec_of(rows: data.Dataset, run: str, num_workers: int, num_rounds: int, **more: Any) -> RunSpec:
    """EMNIST's network and optimizer, on `rows`."""
    case = cases.CASES["emnist"]
    return RunSpec(
        run=f"bench-{run}-{time.time_ns()}",
        case="emnist",
        seed=0,
        num_workers=num_workers,
        tree_widths=Tree.for_workers(num_workers).widths,
        num_rounds=num_rounds,
        batch_size=case.batch_size,
        network=case.network(rows.input_shape, rows.num_classes).config(),
        optimizer=case.optimizer.config(),
        data=DataSpec(rows.name, rows.digest(), len(rows.train), len(rows.test), rows.mean, rows.std),
        **more,
    )


def downpour(store: Store) -> dict[str, Callable[[], float]]:
    """Two ways to take the same steps of EMNIST; each gives images a second."""
    rows = noise(64 * 100)
    how = {"protocol": "downpour", "push_every": 10, "pull_every": 10, "steps_per_round": NUM_STEPS}

    def with_store() -> float:
        spec = spec_of(rows, "downpour", 1, 1, **how)
        lifecycle.begin(store, store, spec, rows)
        trainer = _warm(store, spec)
        program = spec.rules.worker(spec, 0, 1, "bench").program()
        began_s = time.perf_counter()
        perform(program, Performer(store, trainer))
        return _images_per_s(spec, time.perf_counter() - began_s)

    def without() -> float:
        spec = spec_of(rows, "alone", 1, 1, **how)
        lifecycle.begin(store, store, spec, rows)
        trainer = _warm(store, spec)
        key = Keys(spec.run).checkpoint(0)
        total = trainer.join(store.get(key).data, key, 0, ())
        began_s = time.perf_counter()
        while not trainer.train(spec.slice_s, until_step=total).finished:
            pass
        return _images_per_s(spec, time.perf_counter() - began_s)

    return {"downpour": with_store, "alone": without}


def _warm(store: Store, spec: RunSpec) -> Trainer:
    """A trainer that has its data and its memory: start-up is not what is measured."""
    trainer = Trainer(spec, 0, store)
    key = Keys(spec.run).checkpoint(0)
    trainer.join(store.get(key).data, key, 0, ())
    trainer.train(0.0, until_step=3)
    trainer.score(1.0)
    return trainer


def _images_per_s(spec: RunSpec, seconds: float) -> float:
    return spec.batch_size * NUM_STEPS / seconds


def requests(store: Store, num_workers: int) -> float:
    """Requests of a worker in a round of averaging, polls included, counted in real runs: the difference of a longer
    and a shorter one, so that beginning and end do not count."""
    few, more = 2, 6
    counts = [_count(store, num_workers, num_rounds) for num_rounds in (few, more)]
    return (counts[1] - counts[0]) / (more - few) / num_workers


def _count(store: Store, num_workers: int, num_rounds: int) -> int:
    rows = noise(ROWS_A_WORKER * num_workers)
    spec = spec_of(rows, "requests", num_workers, num_rounds, max_poll_s=0.03)
    lifecycle.begin(store, store, spec, rows)
    traced = Traced(store)
    workers = Workers(traced, spec.run)
    for worker in range(num_workers):
        workers.add(worker, 1)
    workers.scheduler.run()
    return sum(total.num_requests for total in traced.totals.values())


def simulated_requests(kind: str, num_workers: int) -> float:
    """The same of a simulated run of EMNIST, on a store of that kind."""
    workload = Workload.of_case("emnist")
    spec = workload.spec(num_workers, num_rounds=12, steps_per_round=100)
    compute = ComputeProfile(1e-4, 2e-6, 1e-6, 1e9, 1e9, spread=0.05)
    world = WorldProfile(ASSUMED.get(kind, ASSUMED["file"]), compute, "emnist", workload.batch_size, 1.0, 0.3)
    return forecast(spec, workload.subject("averaging"), world).requests_per_worker_round
