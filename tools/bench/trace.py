"""What tracing costs: short runs of a case with and without it, in turns, in this process."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import numpy as np

from nnlite import cases, data
from nnlite.protocol.records.spec import DataSpec, RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.runs import lifecycle
from nnlite.store.memory import MemoryStore
from nnlite.telemetry.recorder import Spans

NUM_WORKERS, NUM_ROUNDS = 2, 4
STEPS = {"b": 4, "c": 150}  # a round; a step of case c takes a hundredth of one of case b


def measure(case: str, num_pairs: int, steps: int | None = None) -> dict[str, Any]:
    """One row. cost_rate: by how much slower a traced run is, median of the pairs. noise_rate: by how
    much pairs differ from that (median). recorder_rate: what share
    of a traced run's CPU time the recorder takes, timed call by call."""
    dataset, spent = _images(case, steps or STEPS[case]), _Spent()
    _cpu_s(dataset, case, False, "warm-up")
    traced_s, untraced_s, recorder = list[float](), list[float](), list[float]()
    for pair in range(num_pairs):
        for is_traced in (True, False) if pair % 2 else (False, True):
            seconds = _cpu_s(dataset, case, is_traced, f"trace-{pair}")
            (traced_s if is_traced else untraced_s).append(seconds)
    with spent:
        for pair in range(min(3, num_pairs)):
            spent.seconds = 0.0
            seconds = _cpu_s(dataset, case, True, f"timed-{pair}")
            recorder.append(spent.seconds / seconds)
    ratios = [a / b for a, b in zip(traced_s, untraced_s, strict=True)]
    images = NUM_ROUNDS * len(dataset.train)
    return {
        "case": case,
        "images_per_s": round(images / median(traced_s), 1),
        "untraced_images_per_s": round(images / median(untraced_s), 1),
        "cost_rate": round(median(ratios) - 1, 5),
        "noise_rate": round(median(abs(ratio - median(ratios)) for ratio in ratios), 5),
        "recorder_rate": round(median(recorder), 6),
        "pairs": num_pairs,
    }


class _Spent:
    """Adds up the time in `Spans.performed` while it is entered."""

    seconds = 0.0

    def __enter__(self) -> None:
        self.original = Spans.performed

        def timed(spans: Spans, *args: Any) -> None:
            began_s = time.thread_time()
            self.original(spans, *args)
            self.seconds += time.thread_time() - began_s

        Spans.performed = timed  # type: ignore[method-assign, assignment]

    def __exit__(self, *_: object) -> None:
        Spans.performed = self.original  # type: ignore[method-assign]


def _images(case: str, steps: int) -> data.Dataset:
    """Noise: how fast a step is does not depend on what is in the images."""
    rng, count = np.random.default_rng(0), NUM_WORKERS * steps * cases.CASES[case].batch_size
    x = rng.integers(0, 256, (count, 1, 28, 28), np.uint8)
    y = rng.integers(0, 10, count, np.uint8)
    return data.Dataset("noise", data.Split(x, y), data.Split(x[:20], y[:20]), 10, (), (0.5,), (0.25,))


def _cpu_s(dataset: data.Dataset, case: str, is_traced: bool, run: str) -> float:
    """CPU seconds of one run, threads included: what others do on the machine matters less than to a clock."""
    chosen, store = cases.CASES[case], MemoryStore()
    found = DataSpec(dataset.name, dataset.digest(), len(dataset.train), len(dataset.test), dataset.mean, dataset.std)
    spec = RunSpec(
        run=run,
        case=case,
        seed=0,
        num_workers=NUM_WORKERS,
        tree_widths=Tree.for_workers(NUM_WORKERS).widths,
        num_rounds=NUM_ROUNDS,
        batch_size=chosen.batch_size,
        network=chosen.network(dataset.input_shape, dataset.num_classes).config(),
        optimizer=chosen.optimizer.config(),
        data=found,
        eval_every=NUM_ROUNDS,
        trace=is_traced,
    )
    lifecycle.begin(store, store, spec, dataset)
    driver = lifecycle.Driver(store, spec)
    began_s = time.process_time()
    driver.drive(dict.fromkeys(range(NUM_WORKERS), 1))
    return time.process_time() - began_s
