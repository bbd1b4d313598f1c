"""A probe: a short run of a case on functions of a given memory size, timed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from nnlite.cost.curve import ONE_CORE_MB
from nnlite.cost.profile import Profile
from nnlite.cost.usage import Usage, total
from nnlite.data import Dataset
from nnlite.errors import UsageError
from nnlite.platform.base import Platform
from nnlite.platform.local import LocalPlatform
from nnlite.protocol.spec import RunSpec
from nnlite.protocol.tree import Tree
from nnlite.runtime.calibrate import profile_of
from nnlite.runtime.short_run import short_run, shortened
from nnlite.store import Store

NUM_ROUNDS = 3  # timed; one comes before, for warming up
OpenAt = Callable[[RunSpec, Store, int], Platform]


@dataclass(frozen=True)
class Probed:
    """What came out: seconds of each round; one infinite number when the worker needed more memory than it had."""

    memory_mb: int
    num_workers: int
    round_s: tuple[float, ...]
    usage: Usage
    profile: Profile | None = None

    @property
    def seconds(self) -> float:
        """Of the middle round."""
        return median(self.round_s)


@dataclass
class Probe:
    """probe(memory_mb, num_workers): a short run on a platform, a few rounds of `steps` steps.

    open_at: opens the platform for a run, with functions of so many MB. store_url: where its functions find the
    weights; None: a folder of its own. store: latency and bandwidth, as `calibrate.time_store` says.
    """

    spec: RunSpec
    dataset: Dataset
    steps: int
    open_at: OpenAt
    store: tuple[float, float]
    store_url: str | None = None

    def __call__(self, memory_mb: int, num_workers: int, tree: Tree | None = None) -> Probed:
        """Do it. Raises RunError when the run fails for another reason than memory."""
        tree = tree or Tree.for_workers(num_workers)
        short, few = shortened(self.spec, self.dataset, tree, self.steps, NUM_ROUNDS)
        timed = short_run(short, few, lambda spec, at: self.open_at(spec, at, memory_mb), self.store_url)
        usage = total(timed.accounts)
        if usage.peak_mb > memory_mb:
            return Probed(memory_mb, num_workers, (math.inf,), usage)
        profile = profile_of(timed, *self.store, memory_mb=memory_mb)
        return Probed(memory_mb, num_workers, tuple(timed.round_s), usage, profile)


def local_share(memory_mb: int, threads: int = 1) -> float:
    """Of one core, what a function of this size has for so many threads."""
    return min(memory_mb / ONE_CORE_MB, float(threads))


def open_local(spec: RunSpec, store: Store, memory_mb: int) -> Platform:
    """Worker processes held to the share of the processor that a function of this size has."""
    share = local_share(memory_mb, spec.threads)
    check_cores(memory_mb, spec.num_workers, spec.threads)
    held_to = share if share < spec.threads else None  # who may use all that it can use is not held back
    return LocalPlatform(spec.run, store.url, spec.num_workers, blas_threads=1, cpu_share=held_to)


def check_cores(memory_mb: int, num_workers: int, threads: int) -> None:
    """Raise UsageError for what this machine cannot really run: more cores than it has."""
    cores, wanted = os.cpu_count() or 1, num_workers * local_share(memory_mb, threads)
    if wanted > cores:
        raise UsageError(
            f"{num_workers} workers of {memory_mb} MB are {wanted:.1f} cores, and this machine has {cores}: a probe "
            "here would time something else"
        )
