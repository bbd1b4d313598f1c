"""What a run costs: the options, the estimate before it starts, and the account after it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence

from nnlite.commands import options, platforms
from nnlite.commands.asking import confirm
from nnlite.commands.spelling import with_options
from nnlite.cost.account import Account
from nnlite.cost.bill import Cost
from nnlite.data import Dataset
from nnlite.estimating import books
from nnlite.estimating.books import Expected
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.search.spec import SearchSpec
from nnlite.quantities import dollars, duration
from nnlite.store import Store


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say at which prices."""
    money = parser.add_argument_group("cost")
    options.add(money, Pricing, ["memory_mb"])
    platforms.add_prices(money)
    money.add_argument("--calibrate", action="store_true", help="measure by a short run first, for the estimate "
                       "(on this machine, from 10 s on, by itself)")  # fmt: skip


class CommandBooks:
    """The books of one run (`estimating.books`), as a command shows them and asks before money is spent."""

    def __init__(self, args: argparse.Namespace, spec: RunSpec, store: Store, platform: Platform):
        self.args, self.spec, self.store, self.platform = args, spec, store, platform
        self.inner = books.Books(
            spec,
            store,
            platform.venue(spec, args.store),
            platform.probes_cost,
            calibrates=args.calibrate,
            before_probe=self._ask_for_a_probe,
            not_measured=lambda error: print(f"not calibrated: {with_options(str(error))}", file=sys.stderr),
        )

    # ---- before

    def introduce(self, dataset: Dataset | None, start_nothing: bool = False) -> Expected | None:
        """Say what the run will take and cost: on stderr; if nothing may be started, on stdout, as part of a plan."""
        with contextlib.redirect_stdout(sys.stderr):
            expected = self.inner.expect(None if start_nothing else dataset)
        if expected is not None:
            hint = "; rough: --calibrate measures it first" if expected.is_rough else ""
            print(f"{'estimate':<10} {self.told(expected)}{hint}", file=sys.stdout if start_nothing else sys.stderr)
        return expected

    def expect_search(self, search: SearchSpec, trials: Sequence[RunSpec]) -> Expected:
        """What a search will take, by timing steps of some of its trials in this process."""
        with contextlib.redirect_stdout(sys.stderr):
            return self.inner.expect_search(search, trials)

    def told(self, expected: Expected) -> str:
        """An estimate, in one line."""
        return f"about {duration(expected.seconds)}, {self.shown(expected.estimate.cost)}"

    def ask(self, what: str, expected: Expected | None) -> None:
        """Where it costs money, go on only after a yes."""
        if self.spec.rates.worker_second_usd:
            about = (
                f"about {duration(expected.seconds)} and {dollars(expected.usd)}"
                if expected
                else "nobody knows how much"
            )
            confirm(f"start {what} on Lambda, for {about}?", self.args.yes)

    def _ask_for_a_probe(self, workers: int, usd: float) -> None:
        confirm(f"measure first, by a short run of {workers} workers, for about {dollars(usd)}?", self.args.yes)

    # ---- after

    def account(self, has_just_ended: bool = True) -> Account:
        """What the run has used; if it has just ended, once its workers have left."""
        return self.inner.account(has_just_ended)

    def shown(self, of: Cost) -> str:
        """In one line."""
        return shown(of, self.inner.nothing.is_paid, bool(self.inner.memory_mb))


def shown(of: Cost, is_paid: bool, is_limited: bool) -> str:
    """A cost in one line. is_limited: its memory is that of a function, not what was needed at most."""
    here, of_what = "" if is_paid else "$0 here, ", "" if is_limited else " (peak)"
    said = f"{of.total_gb_s:,.3f} GB-seconds at {of.memory_mb:,.0f} MB{of_what}"
    if of.date is None:
        return f"{said}; the run names no list of prices"
    return f"{said}: {here}{dollars(of.total_usd)} at AWS Lambda's list prices of {of.date} ({of.breakdown()})"
