"""A probe: a short run of a case on functions of a given memory size, timed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

from nnlite.cost.profile import Profile
from nnlite.cost.rounds import Shape
from nnlite.data import Dataset
from nnlite.errors import RunError, UsageError
from nnlite.estimating.calibrate import profile_of, row_bytes
from nnlite.estimating.conditions import Venue, local
from nnlite.estimating.short_run import Timed, short_run, shortened
from nnlite.invoker.processor import usable_cores
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.protocol.records.usage import Usage, total
from nnlite.quantities import ONE_CORE_MB

NUM_ROUNDS = 3  # timed; one comes before, for warming up
MOST_DEATHS, MOST_S = 2, 300.0  # of a worker in a probe
DEAD_S = 8.0  # without a word, a worker of a probe is dead
OF_MEMORY = ("memory", "died", "attempts")  # in the reason of a run whose functions were too small
VenueAt = Callable[[int, int], Venue]


@dataclass(frozen=True)
class Probed:
    """What came out: seconds of each round; one infinite number when the worker needed more memory than it had."""

    memory_mb: int
    num_workers: int
    round_s: tuple[float, ...]
    usage: Usage
    profile: Profile | None = None
    whole_s: float = math.inf  #: of the middle round of the probe itself, with all that is not training

    @property
    def seconds(self) -> float:
        """Seconds of the middle round."""
        return median(self.round_s)


@dataclass
class Probe:
    """probe(memory_mb, num_workers): a short run, a few rounds of `steps` steps, and of the case's whole rounds.

    venue_at: where workers are functions of so many MB. store: latency and bandwidth, as `calibrate.time_store` says,
    where functions do not tell them.
    """

    spec: RunSpec
    dataset: Dataset
    steps: int
    venue_at: VenueAt
    store: tuple[float, float] = (0.0, 1e9)

    def __post_init__(self) -> None:
        if not self.spec.rules.has_rounds:
            raise UsageError(
                f"protocol {self.spec.protocol}: probes time rounds of averaging, and choose by those: leave it out",
                parameter="protocol",
            )

    def __call__(self, memory_mb: int, num_workers: int, tree: Tree | None = None) -> Probed:
        """Do it. Raises RunError when the run fails for another reason than memory."""
        tree = tree or Tree.for_workers(num_workers)
        venue = self.venue_at(memory_mb, num_workers)
        short, few = shortened(self.spec, self.dataset, tree, self.steps, NUM_ROUNDS)
        if not venue.is_here:  # who runs out of memory there dies without a word
            short = replace(short, max_attempts=MOST_DEATHS, max_s=MOST_S)
            short = replace(short, beat_s=DEAD_S / 4, lease_ttl_s=DEAD_S, straggler_timeout_s=DEAD_S / 2)
        try:
            timed = short_run(short, few, venue)
        except RunError as error:
            if venue.is_here or not any(word in str(error) for word in OF_MEMORY):
                raise
            return Probed(memory_mb, num_workers, (math.inf,), Usage(num_invocations=MOST_DEATHS))
        usage = total(timed.accounts)
        more_rows = max(0.0, self.spec.data.num_train / self.spec.num_workers - len(few.train) / num_workers)
        usage = replace(usage, peak_mb=usage.peak_mb + more_rows * row_bytes(self.spec) / 1e6)  # of a whole shard
        if usage.peak_mb > memory_mb:
            return Probed(memory_mb, num_workers, (math.inf,), usage)
        reach = timed.reach or self.store
        profile = profile_of(timed, *reach, memory_mb=memory_mb, cold_start_s=venue.cold_start_s)
        return Probed(memory_mb, num_workers, self._round_s(timed), usage, profile, median(timed.round_s))

    def _round_s(self, timed: Timed) -> tuple[float, ...]:
        """Seconds of each round: what training took, and the part of all else that so many steps have in a whole
        round."""
        whole = max(self.steps, Shape.of(self.spec, 0).steps)
        pairs = zip(timed.round_s, timed.train_s, strict=True)
        return tuple(train_s + max(0.0, round_s - train_s) * self.steps / whole for round_s, train_s in pairs)


def local_share(memory_mb: int, threads: int = 1) -> float:
    """The share of one core that a function of this size has for so many threads."""
    return min(memory_mb / ONE_CORE_MB, float(threads))


def local_at(spec: RunSpec) -> VenueAt:
    """Worker processes held to the share of the processor that functions of a size have."""

    def at(memory_mb: int, num_workers: int) -> Venue:
        check_cores(memory_mb, num_workers, spec.threads)
        share = local_share(memory_mb, spec.threads)
        return local(num_workers, share if share < spec.threads else None)  # who may use all it can is not held back

    return at


def check_cores(memory_mb: int, num_workers: int, threads: int) -> None:
    """Raise UsageError for what cannot really be run here: more cores than can be used."""
    cores, wanted = usable_cores(), num_workers * local_share(memory_mb, threads)
    if wanted > cores:
        raise UsageError(
            f"{num_workers} workers of {memory_mb} MB are {wanted:.1f} cores, and {cores:g} can be used here: a probe "
            "here would time something else"
        )
