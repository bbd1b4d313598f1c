"""How much faster several local workers are than one: whole runs, in turn."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np

from nnlite import cases, data
from nnlite.invoker.local import LocalInvoker
from nnlite.protocol.records.spec import DataSpec, RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.runs import lifecycle
from nnlite.store import open_store

NUM_IMAGES = 2_400
NUM_ROUNDS = 3  # of which the first, with its start-up, is not counted


def measure(worker_counts: tuple[int, ...] = (1, 2), repetitions: int = 3) -> Iterator[dict[str, Any]]:
    """Train case b on made-up images with each number of workers, `repetitions` times in turn.

    Yields one row for each number of workers: images/s (median) and how many times that of the first.
    """
    dataset = _images()
    rates: dict[int, list[float]] = {count: [] for count in worker_counts}
    for repetition in range(repetitions):
        for count in worker_counts:
            rates[count].append(_images_per_s(dataset, count, f"scale-{count}-{repetition}"))
    first = median(rates[worker_counts[0]])
    for count in worker_counts:
        rate = median(rates[count])
        yield {"workers": count, "images_per_s": round(rate, 1), "ratio": round(rate / first, 2)}


def _images() -> data.Dataset:
    """Noise in the shape of CIFAR-10: how fast a step is does not depend on what is in the images."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (NUM_IMAGES, 3, 32, 32), np.uint8)
    y = rng.integers(0, 10, NUM_IMAGES, np.uint8)
    few = data.Split(x[:20], y[:20])
    return data.Dataset("noise", data.Split(x, y), few, 10, (), (0.5,) * 3, (0.25,) * 3)


def _images_per_s(dataset: data.Dataset, num_workers: int, run: str) -> float:
    case = cases.CASES["b"]
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)
        spec = RunSpec(
            run=run,
            case="b",
            seed=0,
            num_workers=num_workers,
            tree_widths=Tree.for_workers(num_workers).widths,
            num_rounds=NUM_ROUNDS,
            batch_size=case.batch_size,
            network=case.network(dataset.input_shape, dataset.num_classes).config(),
            optimizer=case.optimizer.config(),
            data=DataSpec(
                dataset.name, dataset.digest(), len(dataset.train), len(dataset.test), dataset.mean, dataset.std
            ),
            eval_every=NUM_ROUNDS,
        )
        lifecycle.begin(store, store, spec, dataset)
        seconds: list[float] = []

        def tell(event: str, values: dict[str, Any]) -> None:
            if event == "round" and values["num_samples"]:
                seconds.append(time.monotonic())

        platform = LocalInvoker(spec.run, store.url, num_workers)
        lifecycle.Driver(store, spec, platform, tell=tell).drive(dict.fromkeys(range(num_workers), 1))
    return len(dataset.train) * (len(seconds) - 1) / (seconds[-1] - seconds[0])
