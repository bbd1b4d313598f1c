"""What a run costs: the options, the estimate before it starts, and the account after it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnlite.cost import prices
from nnlite.cost.bill import Cost, cost
from nnlite.cost.estimate import Estimate, estimate
from nnlite.cost.prices import Tariff
from nnlite.cost.profile import Profile
from nnlite.cost.search import LARGEST_MB, SMALLEST_MB
from nnlite.data import Dataset
from nnlite.errors import NnliteError, UsageError
from nnlite.protocol.spec import RunSpec
from nnlite.runtime import calibrate
from nnlite.runtime.account import Account
from nnlite.runtime.survey import Surveyor
from nnlite.store import Store

OPTIONS = {"memory_mb", "region", "arch", "prices", "calibrate"}  # they change nothing in a run
DEFAULT_REGION = "us-east-1"
WORTH_S = 10.0  # a run that takes longer is worth the second that its calibration takes


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say at which prices."""
    money = parser.add_argument_group("cost")
    money.add_argument("--memory-mb", type=int, metavar="MB", help="count a worker as a function of this size")
    add_price_options(money)
    money.add_argument("--calibrate", action="store_true", help="estimate from a short run first (by itself from 10 s)")


def add_price_options(group: Any) -> None:
    """Which prices; also for other tools."""
    group.add_argument("--region", metavar="R", help="whose list prices (default us-east-1); on Lambda, where it runs")
    group.add_argument("--arch", choices=prices.ARCHITECTURES, default="x86_64", help="processor (default x86_64)")
    group.add_argument("--prices", metavar="FILE", help="a price file of your own (default: the bundled one)")


@dataclass
class Books:
    """The books of one run on this machine: its estimate, its account, its cost.

    Nobody sends a bill for this machine. What is stated is what the same GB-seconds cost on AWS Lambda; they are those
    of the worker processes, at --memory-mb, or else at the most memory that a process needed.
    """

    args: argparse.Namespace
    spec: RunSpec
    store: Store
    processes: int
    account: Account = field(default_factory=Account)

    def __post_init__(self) -> None:
        memory_mb = self.args.memory_mb
        if memory_mb is not None and not SMALLEST_MB <= memory_mb <= LARGEST_MB:
            raise UsageError(f"--memory-mb {memory_mb}: wanted {SMALLEST_MB} to {LARGEST_MB}")
        self.tariff = tariff(self.args, self.store.url)

    def estimate(self, dataset: Dataset, start_nothing: bool = False) -> Estimate | None:
        """What the run will take, or None where that cannot be said."""
        if self.spec.protocol != "averaging":
            return None
        profile = self._profile(dataset, start_nothing)
        if profile is None:
            return None
        size = calibrate.model_bytes(self.spec)
        return estimate(self.spec, profile, size, self.args.memory_mb, self.tariff, max(1, self.processes))

    def _profile(self, dataset: Dataset, start_nothing: bool) -> Profile | None:
        """Calibrated, if that is asked for or worth it; else a rough one."""
        may_run_here = self.spec.case_file is None  # a user's own layers belong into worker processes
        if may_run_here and (start_nothing or not self.args.calibrate):
            with contextlib.redirect_stdout(sys.stderr):
                rough = calibrate.rough(self.spec, dataset)
            size = calibrate.model_bytes(self.spec)
            if estimate(self.spec, rough, size, processes=max(1, self.processes)).seconds < WORTH_S or start_nothing:
                return rough
        if not self.processes or start_nothing or not (may_run_here or self.args.calibrate):
            return None
        try:
            return calibrate.calibrated(self.spec, dataset, self.store, self.processes)
        except NnliteError as error:  # the run itself may fare better, and says what is wrong if it does not
            print(f"no estimate: {error}", file=sys.stderr)
            return None

    def introduce(self, dataset: Dataset, start_nothing: bool = False) -> None:
        """Say what the run will take and cost: on stderr; if nothing may be started, on stdout, as part of a plan."""
        expected = self.estimate(dataset, start_nothing)
        if expected is not None:
            line = f"{'estimate':<10} about {expected.seconds:,.1f} s, {self.shown(expected.cost)}"
            print(line, file=sys.stdout if start_nothing else sys.stderr)

    def cost(self, seconds: float) -> Cost:
        """What the run did cost."""
        used = self.account.total()
        return cost(used, self.args.memory_mb or used.peak_mb, self.tariff, seconds)

    def shown(self, of: Cost) -> str:
        """In one line."""
        here = "" if self.args.memory_mb else "$0 here, "
        of_what = "" if self.args.memory_mb else " (peak)"
        return (
            f"{of.total_gb_s:,.3f} GB-seconds at {of.memory_mb:,.0f} MB{of_what}: {here}{dollars(of.total_usd)} at AWS "
            f"Lambda's list prices of {of.date} ({of.breakdown()})"
        )

    def values(self, of: Cost) -> dict[str, Any]:
        """For JSON: `usd` is what is paid, `list_usd` what it would cost at list prices."""
        values = of.values()
        return {**values, "usd": values["usd"] if self.args.memory_mb else 0.0, "list_usd": values["usd"]}


@dataclass
class Billed:
    """The books of a run whose platform sends a bill: its leases say what it has cost; the platform estimates it."""

    spec: RunSpec
    store: Store
    account: Account = field(default_factory=Account)

    def introduce(self, dataset: Dataset, start_nothing: bool = False) -> None:
        """The platform's part of the plan says it."""

    def cost(self, seconds: float) -> Any:
        """What the leases say, up to the workers' last beats."""
        return Surveyor(self.store, self.spec).look()

    def shown(self, of: Any) -> str:
        """In one line."""
        return (
            f"{dollars(of.usd)} at list prices: {of.attempts} invocations, {of.seconds:,.0f} s (up to their last beats)"
        )

    def values(self, of: Any) -> dict[str, Any]:
        """For JSON."""
        return {"usd": of.usd, "invocations": of.attempts, "worker_seconds": of.seconds}


def tariff(args: argparse.Namespace, store_url: str) -> Tariff:
    """The prices that the options name, for a run with this store."""
    return prices.tariff(args.region or DEFAULT_REGION, args.arch, Path(args.prices) if args.prices else None).of_store(
        store_url
    )


def dollars(usd: float) -> str:
    """With as many digits as say something: $12.34, $0.0123, $0.0000042."""
    if usd == 0 or usd >= 1:
        return f"${usd:,.2f}"
    digits = 2
    while digits < 10 and usd * 10 ** (digits - 2) < 1:
        digits += 1
    return f"${usd:.{digits}f}"
