"""Calibrating: the constants of a store and of this machine, for `tools.simulate`."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

from nnlite import nn
from nnlite.estimating.speed import crowding, measured
from nnlite.invoker.processor import blas_of, num_processes
from nnlite.simulation.profile import StoreProfile, Verb, WorldProfile
from nnlite.store import ABSENT, Store
from tools.bench.rounds import ROOT, Contestant
from tools.bench.workload import CASES, Workload

SMALL_BYTES = 300  # of a head, or a lease
REPETITIONS = 9
MANY = 8  # keys asked for together
CROWD_S = 0.4  # how long workers compute side by side to see how they hinder one another
CROWD_REPETITIONS = 3


def calibrate(
    store: Store, network: nn.Sequential, optimizer: nn.Optimizer, case: str, batch_size: int, num_bytes: int
) -> WorldProfile:
    """Everything measured here and now. num_bytes: of the weights as they travel."""
    compute = measured(network, optimizer, batch_size)
    return WorldProfile(
        store=of_store(store, num_bytes),
        compute=replace(compute, crowding=_crowding(case, batch_size)),
        case=case,
        batch_size=batch_size,
        start_s=_start_s(),
        name=store.url.partition("://")[0],
    )


def of_store(store: Store, num_bytes: int) -> StoreProfile:
    """Each verb's latency and bandwidth, from a small value and from one as large as the weights."""
    small, large = bytes(SMALL_BYTES), bytes(max(num_bytes, 100 * SMALL_BYTES))
    keys = [f"bench/{os.getpid()}-{number}" for number in range(MANY)]
    one, new = keys[0], f"bench/{os.getpid()}-new"
    verbs: dict[str, Callable[[], object]] = {
        "put": lambda: store.put(one, small, if_version=ABSENT),
        "get": lambda: store.get(one),
        "delete": lambda: store.delete(one),
        "put many": lambda: [store.put(key, small) for key in keys],
        "get many": lambda: store.get_many(keys),
        "delete many": lambda: store.delete_many(keys),
        "put large": lambda: store.put(new, large, if_version=ABSENT),
        "get large": lambda: store.get(new),
        "delete large": lambda: store.delete(new),
    }
    times: dict[str, list[float]] = {name: [] for name in verbs}
    for _ in range(REPETITIONS):
        for name, verb in verbs.items():
            began_s = time.perf_counter()
            verb()
            times[name].append(time.perf_counter() - began_s)
    median = {name: statistics.median(found) for name, found in times.items()}

    def verb_of(name: str) -> Verb:
        rest_s = max(1e-9, median[f"{name} large"] - median[name])
        more_key_s = max(0.0, median[f"{name} many"] - median[name]) / (MANY - 1)
        return Verb(median[name], (len(large) - len(small)) / rest_s, more_key_s)

    return StoreProfile(verb_of("get"), verb_of("put"), verb_of("delete"), spread=_spread(times["get"]))


def _spread(times: list[float]) -> float:
    """Sigma of the logarithm, from the middle half: what other programs on this machine do is not the store's."""
    lower, _, upper = statistics.quantiles(map(math.log, times), n=4)
    return (upper - lower) / 1.35


def _start_s() -> float:
    """A worker process, from its start until it could work."""
    times = []
    for _ in range(3):
        began_s = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import nnlite.runtime.local_process"], cwd=ROOT, check=True)
        times.append(time.perf_counter() - began_s)
    return statistics.median(times)


def _crowding(case: str, batch_size: int) -> tuple[float, ...]:
    """How much slower a step is when 1, 2, ... processes train at once, one a core."""
    cores = num_processes()
    if cores == 1:
        return (1.0,)
    environ = {**os.environ, **blas_of(1)}
    workload = Workload(case if case in CASES else "c", batch_size)
    crowd = [Contestant("nnlite", workload, sys.executable, environ) for _ in range(cores)]
    try:
        steps = max(1, round(CROWD_S / crowd[0].ask("1")))
        times: dict[int, list[float]] = {count: [] for count in range(1, cores + 1)}
        for _ in range(CROWD_REPETITIONS):
            for count, found in times.items():
                found.append(_together(crowd[:count], steps))
    finally:
        for one in crowd:
            one.close()
    alone_s, *together_s = (statistics.median(found) for found in times.values())
    return crowding(alone_s, together_s)


def _together(crowd: list[Contestant], steps: int) -> float:
    """Seconds that so many steps take each of them, on average, side by side."""
    for one in crowd:
        one.tell(str(steps))
    return statistics.mean(one.answer() for one in crowd)
