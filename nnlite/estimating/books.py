"""The books of a run: what it is expected to take, before it starts, and what it has taken, after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nnlite.cost.account import Account
from nnlite.cost.estimate import Estimate, estimate, estimate_search
from nnlite.cost.profile import Profile
from nnlite.data import Dataset
from nnlite.errors import NnliteError, UsageError
from nnlite.estimating import calibrate
from nnlite.estimating.conditions import Venue
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.search.spec import SearchSpec
from nnlite.store import Store
from nnlite.telemetry.account import last_account

WORTH_S = 10.0  # a run that takes longer is worth the second that its calibration takes, where that is free
PROBE_S = 4.0  # of a worker in a short run, about


@dataclass(frozen=True)
class Expected:
    """What a run will take, by a profile that was measured, or by a rough one."""

    estimate: Estimate
    is_rough: bool

    @property
    def seconds(self) -> float:
        """From its start to its end."""
        return self.estimate.seconds

    @property
    def usd(self) -> float:
        """At list prices."""
        return self.estimate.cost.total_usd

    @property
    def gb_seconds(self) -> float:
        """The sum over all workers."""
        return self.estimate.cost.total_gb_s


def _ignore(_: object) -> None:
    """Nobody wants to know."""


def _spend(workers: int, usd: float) -> None:
    """Nobody wants to be asked."""


@dataclass
class Books:
    """The books of one run, wherever it runs, by the prices of its specification.

    Where nobody sends a bill, what is stated is what the same GB-seconds cost on AWS Lambda; they are those of the
    worker processes, at the memory that the specification counts by, or else at the most that a process needed.

    probes_cost: whether a short run that measures costs money or keeps others waiting; then none is made unless
    `calibrates`. before_probe: called with the workers and the USD of a short run that costs money; it may raise.
    not_measured: called with the error of a short run that failed.
    """

    spec: RunSpec
    store: Store
    venue: Venue
    probes_cost: bool
    calibrates: bool = False  #: measure by a short run first, unless that was done lately
    before_probe: Callable[[int, float], None] = field(default=_spend)
    not_measured: Callable[[NnliteError], None] = field(default=_ignore)
    nothing: Account = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.nothing = Account(self.spec, {})

    @property
    def memory_mb(self) -> int:
        """The memory of a worker's function; 0: not limited."""
        return self.spec.rates.memory_mb

    # ---- before

    def expect(self, dataset: Dataset | None = None) -> Expected | None:
        """What the run will take, or None where that cannot be said: of a user's own layers, which run in worker
        processes only, without a measurement. Without a dataset, nothing is measured."""
        profile = calibrate.known(self.spec, self.store, self.venue)
        if profile is None and self.calibrates:
            profile = self._measured(dataset)
        if profile is not None:
            return self.by(profile)
        if self.spec.case_file is not None:
            return None
        rough = self.by(calibrate.rough(self.spec, self.venue), is_rough=True)
        if self.probes_cost or self.calibrates or rough.estimate.seconds <= WORTH_S:
            return rough
        profile = self._measured(dataset)
        return rough if profile is None else self.by(profile)

    def expect_search(self, search: SearchSpec, trials: Sequence[RunSpec]) -> Expected:
        """What a search will take, by timing steps of some of its trials in this process."""
        round_s, rough = calibrate.search_round_s(trials, self.venue), calibrate.rough(self.spec, self.venue)
        start_s, size_mb = rough.cold_start_s + rough.warm_up_s, self.memory_mb or rough.peak_mb
        made = estimate_search(search, round_s, start_s, rough.latency_s, size_mb, self.nothing.tariff)
        return Expected(made, is_rough=True)

    def by(self, profile: Profile, is_rough: bool = False) -> Expected:
        """What the run will take by a profile."""
        size, venue, tariff = calibrate.model_bytes(self.spec), self.venue, self.nothing.tariff
        made = estimate(self.spec, profile, size, self.memory_mb, tariff, venue.processes, venue.invocation_s)
        return Expected(made, is_rough or not self.spec.rules.has_rounds)

    def _measured(self, dataset: Dataset | None) -> Profile | None:
        if dataset is None:
            return None
        rates, num = self.spec.rates, calibrate.num_workers(self.venue)
        try:
            if rates.worker_second_usd:
                self.before_probe(num, num * (PROBE_S * rates.worker_second_usd + 100 * rates.write_usd))
            return calibrate.calibrated(self.spec, dataset, self.store, self.venue)
        except UsageError:
            raise
        except NnliteError as error:  # the run itself may fare better, and says what is wrong if it does not
            self.not_measured(error)
            return None

    # ---- after

    def account(self, has_just_ended: bool = True) -> Account:
        """What the run has used, by all its workers under all the commands that drove it; if it has just ended, once
        they have left."""
        waits = has_just_ended and not self.venue.is_here
        return last_account(self.store, self.spec, None if waits else 0.0)
