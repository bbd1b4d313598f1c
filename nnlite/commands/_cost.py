"""What a run costs: the options, the estimate before it starts, and the account after it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from nnlite.commands import _platform
from nnlite.commands._ask import confirm
from nnlite.cost.account import Account
from nnlite.cost.bill import Cost
from nnlite.cost.estimate import Estimate, estimate, estimate_search
from nnlite.cost.profile import Profile
from nnlite.data import Dataset
from nnlite.errors import NnliteError, UsageError
from nnlite.estimating import calibrate
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.search.spec import SearchSpec
from nnlite.store import Store
from nnlite.telemetry.account import last_account

WORTH_S = 10.0  # a run that takes longer is worth the second that its calibration takes, where that is free
PROBE_S = 4.0  # of a worker in a short run, about


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say at which prices."""
    money = parser.add_argument_group("cost")
    _platform.add_fields(money, Pricing, ["memory_mb"])
    _platform.add_prices(money)
    money.add_argument("--calibrate", action="store_true", help="measure by a short run first, for the estimate "
                       "(on this machine, from 10 s on, by itself)")  # fmt: skip


@dataclass(frozen=True)
class Expected:
    """What a run will take, by a profile that was measured, or by a rough one."""

    estimate: Estimate
    is_rough: bool

    def __str__(self) -> str:
        """As half a question."""
        return f"about {duration(self.estimate.seconds)} and {dollars(self.estimate.cost.total_usd)}"


@dataclass
class Books:
    """The books of one run, wherever it runs: its estimate, and its account, by the prices of its specification.

    Where nobody sends a bill, what is stated is what the same GB-seconds cost on AWS Lambda; they are those of the
    worker processes, at --memory-mb, or else at the most memory that a process needed.
    """

    args: argparse.Namespace
    spec: RunSpec
    store: Store
    platform: Platform

    def __post_init__(self) -> None:
        nothing = Account(self.spec, {})
        self.tariff, self.is_paid = nothing.tariff, nothing.is_paid
        self.venue, self.memory_mb = self.platform.venue(self.spec, self.args.store), self.spec.rates.memory_mb

    # ---- before

    def introduce(self, dataset: Dataset | None, start_nothing: bool = False) -> Expected | None:
        """Say what the run will take and cost: on stderr; if nothing may be started, on stdout, as part of a plan."""
        expected = self.expect(dataset, start_nothing)
        if expected is not None:
            hint = "; rough: --calibrate measures it first" if expected.is_rough else ""
            print(f"{'estimate':<10} {self.told(expected)}{hint}", file=sys.stdout if start_nothing else sys.stderr)
        return expected

    def told(self, expected: Expected) -> str:
        """An estimate, in one line."""
        return f"about {duration(expected.estimate.seconds)}, {self.shown(expected.estimate.cost)}"

    def expect_search(self, search: SearchSpec, trials: Sequence[RunSpec]) -> Expected:
        """What a search will take, by timing steps of some of its trials in this process."""
        with contextlib.redirect_stdout(sys.stderr):
            round_s, rough = calibrate.search_round_s(trials, self.venue), calibrate.rough(self.spec, self.venue)
        start_s, size_mb = rough.cold_start_s + rough.warm_up_s, self.memory_mb or rough.peak_mb
        made = estimate_search(search, round_s, start_s, rough.latency_s, size_mb, self.tariff)
        return Expected(made, is_rough=True)

    def ask(self, what: str, expected: Expected | None) -> None:
        """Where it costs money, go on only after a yes."""
        if self.spec.rates.worker_second_usd:
            confirm(f"start {what} on Lambda, for {expected or 'nobody knows how much'}?", self.args.yes)

    def expect(self, dataset: Dataset | None, start_nothing: bool = False) -> Expected | None:
        """What the run will take, or None where that cannot be said: of a user's own layers, which run in worker
        processes only, without a measurement. Without a dataset, nothing is measured."""
        profile = calibrate.known(self.spec, self.store, self.venue)
        if profile is None and self.args.calibrate:
            profile = self._measured(dataset, start_nothing)
        if profile is not None:
            return self.by(profile, is_rough=False)
        if self.spec.case_file is not None:
            return None
        with contextlib.redirect_stdout(sys.stderr):
            rough = self.by(calibrate.rough(self.spec, self.venue), is_rough=True)
        is_worth_it = rough.estimate.seconds > WORTH_S and not self.args.calibrate
        if self.platform.probes_cost or not is_worth_it:
            return rough
        profile = self._measured(dataset, start_nothing)
        return rough if profile is None else self.by(profile, is_rough=False)

    def by(self, profile: Profile, is_rough: bool = False) -> Expected:
        """What the run will take by a profile."""
        size, venue = calibrate.model_bytes(self.spec), self.venue
        made = estimate(self.spec, profile, size, self.memory_mb, self.tariff, venue.processes, venue.invocation_s)
        return Expected(made, is_rough or not self.spec.rules.has_rounds)

    def _measured(self, dataset: Dataset | None, start_nothing: bool) -> Profile | None:
        if dataset is None or start_nothing:
            return None
        try:
            self._ask_for_a_probe()
            return calibrate.calibrated(self.spec, dataset, self.store, self.venue)
        except UsageError:
            raise
        except NnliteError as error:  # the run itself may fare better, and says what is wrong if it does not
            print(f"not calibrated: {error}", file=sys.stderr)
            return None

    def _ask_for_a_probe(self) -> None:
        if not self.spec.rates.worker_second_usd:
            return
        num = calibrate.num_workers(self.venue)
        usd = num * (PROBE_S * self.spec.rates.worker_second_usd + 100 * self.spec.rates.write_usd)
        confirm(f"measure first, by a short run of {num} workers, for about {dollars(usd)}?", self.args.yes)

    # ---- after

    def account(self, has_just_ended: bool = True) -> Account:
        """What the run has used, by all its workers under all the commands that drove it; if it has just ended, once
        they have left."""
        waits = has_just_ended and not self.venue.is_here
        return last_account(self.store, self.spec, None if waits else 0.0)

    def shown(self, of: Cost) -> str:
        """In one line."""
        return shown(of, self.is_paid, bool(self.memory_mb))


def shown(of: Cost, is_paid: bool, is_limited: bool) -> str:
    """A cost in one line. is_limited: its memory is that of a function, not what was needed at most."""
    here, of_what = "" if is_paid else "$0 here, ", "" if is_limited else " (peak)"
    said = f"{of.total_gb_s:,.3f} GB-seconds at {of.memory_mb:,.0f} MB{of_what}"
    if of.date is None:
        return f"{said}; the run names no list of prices"
    return f"{said}: {here}{dollars(of.total_usd)} at AWS Lambda's list prices of {of.date} ({of.breakdown()})"


def duration(seconds: float) -> str:
    """As people say it."""
    return f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


def dollars(usd: float) -> str:
    """With as many digits as say something: $12.34, $0.0123, $0.0000042."""
    if usd == 0 or usd >= 1:
        return f"${usd:,.2f}"
    digits = 2
    while digits < 10 and usd * 10 ** (digits - 2) < 1:
        digits += 1
    return f"${usd:.{digits}f}"
