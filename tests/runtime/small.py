"""Small runs of the real thing: a dataset of a few hundred tiny images, small networks, real stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnlite import data, nn
from nnlite.errors import NotFound
from nnlite.invoker.local import LocalInvoker
from nnlite.protocol.averaging import contribution
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.runs import lifecycle
from nnlite.runs.plan import data_spec
from nnlite.store import Store

SHAPE, CLASSES = (1, 5, 5), 4


def dataset(num_train: int = 96, num_test: int = 40) -> data.Dataset:
    """Four blurred patterns and noise: learnable, but not at once."""
    rng = np.random.default_rng(num_train)
    patterns = rng.integers(0, 256, (CLASSES, *SHAPE))

    def split(count: int) -> data.Split:
        y = np.arange(count, dtype=np.uint8) % CLASSES
        noise = rng.integers(0, 256, (count, *SHAPE))
        return data.Split(((patterns[y] + 2 * noise) // 3).astype(np.uint8), y)

    return data.Dataset("tiny", split(num_train), split(num_test), CLASSES, (), (0.5,), (0.25,))


def mlp(*more: nn.Layer, hidden: int = 8) -> nn.Sequential:
    """A network for it: one hidden layer, and `more` behind that."""
    return nn.Sequential([nn.Flatten(), nn.Dense(hidden), nn.Tanh(), *more, nn.Dense(CLASSES)], SHAPE)


def spec(
    rows: data.Dataset,
    num_workers: int = 1,
    num_rounds: int = 3,
    widths: tuple[int, ...] | None = None,
    network: nn.Sequential | None = None,
    optimizer: nn.Optimizer | None = None,
    **more: Any,
) -> RunSpec:
    """The specification of a run on `rows`."""
    return RunSpec(
        **{
            "run": "small",
            "case": "small",
            "seed": 1,
            "num_workers": num_workers,
            "tree_widths": Tree.for_workers(num_workers, widths).widths,
            "num_rounds": num_rounds,
            "batch_size": 8,
            "network": (network or mlp()).config(),
            "optimizer": (optimizer or nn.Momentum(0.05)).config(),
            "data": data_spec(rows),
            **more,
        }
    )


class Story(list[tuple[str, dict[str, Any]]]):
    """What a run told, event by event; calling it adds one."""

    def __call__(self, event: str, values: dict[str, Any]) -> None:
        self.append((event, values))

    def all(self, event: str) -> list[dict[str, Any]]:
        """The values of all events of a name."""
        return [values for name, values in self if name == event]


def train(store: Store, of: RunSpec, rows: data.Dataset, num_processes: int = 0, **options: Any) -> Head:
    """Begin a run and drive it to its end."""
    lifecycle.begin(store, store, of, rows)
    return _driver(store, of, num_processes, **options).drive(dict.fromkeys(range(of.num_workers), 1))


def resume(store: Store, of: RunSpec, num_processes: int = 0, **options: Any) -> Head:
    """Take a run up again and drive it to its end."""
    return _driver(store, of, num_processes, **options).drive(lifecycle.reopen(store, of)[0])


def _driver(
    store: Store, of: RunSpec, num_processes: int, started: Callable[[LocalInvoker], Any] = id, **options: Any
) -> lifecycle.Driver:
    """A driver of processes, which `started` is told of, or of this process alone with 0."""
    platform = LocalInvoker(of.run, store.url, num_processes) if num_processes else None
    if platform is not None:
        started(platform)
    return lifecycle.Driver(store, of, platform, **options)


def checkpoint(store: Store, of: RunSpec, version: int) -> bytes:
    """The bytes of a checkpoint."""
    return store.get(Keys(of.run).checkpoint(version)).data


def final(store: Store, of: RunSpec, last: Head) -> bytes:
    """The bytes of the checkpoint that a run ended with."""
    assert (last.status, last.result) != ("running", None), last
    assert last.result is not None, last
    return checkpoint(store, of, last.result)


def vector(store: Store, of: RunSpec, version: int) -> np.ndarray:
    """The weights and slots of a checkpoint, one float32 vector."""
    key = Keys(of.run).checkpoint(version)
    return np.array(contribution.decode(checkpoint(store, of, version), key)[0].vector)


def exists(store: Store, key: str) -> bool:
    """Whether there is such a key."""
    try:
        store.get(key)
    except NotFound:
        return False
    return True
