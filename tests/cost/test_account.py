"""The account of a run: of what its leases say, and of nothing else."""

from dataclasses import asdict

import pytest

from nnlite.cost import prices
from nnlite.cost.account import Account
from nnlite.errors import StoreError
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import Rates
from nnlite.protocol.records.usage import NOTHING, Usage
from tests.runtime import small

LIST = prices.tariff("us-east-1")
ROWS = small.dataset()
PAID = small.spec(ROWS, 2, rates=LIST.rates(2048), tariff=asdict(LIST))
ONE = Usage(10.0, 10.0, 1.0, 6.0, 2.0, 0.5, 1, 20, 5, 3, 1000, 2000, 90.0)
OTHER = Usage(4.0, 12.0, 0.0, 4.0, 0.0, 0.0, 0, 2, 1, 0, 10, 20, 95.0)


def test_all_attempts_of_all_workers_are_in_it():
    account = Account(PAID, {0: Lease(3, "x", before=ONE, own=OTHER, unseen_s=5.0), 1: Lease(1, "y", own=ONE)})
    assert account.used.seconds == 10 + 4 + 10
    assert account.used.num_reads == 20 + 2 + 20
    assert account.used.age_s == 10 + 12  # of the worker that was at it for longest
    assert (account.attempts, account.unseen_s) == (4, 5.0)


def test_who_has_not_given_a_last_account_is_going():
    leases = {0: Lease(1, "x", own=ONE, is_final=True), 2: Lease(1, "z", own=ONE)}
    assert Account(small.spec(ROWS, 4), leases).going == [1, 2, 3]


def test_what_the_budget_counts_is_what_the_bill_says_but_for_storage():
    """And without the time that nobody has seen, which the budget takes for spent."""
    lease = Lease(2, "x", before=ONE, own=OTHER, unseen_s=3.0)
    cost = Account(PAID, {0: lease}).cost
    unseen_usd = 3.0 * PAID.rates.worker_second_usd
    assert lease.usd(PAID.rates) == pytest.approx(cost.total_usd - cost.usd["storage"] + unseen_usd, rel=1e-12)
    assert cost.usd["storage"] > 0


@pytest.mark.parametrize(
    ("rates", "memory_mb", "is_paid"),
    [(Rates(), 95.0, False), (Rates(memory_mb=512), 512, True), (LIST.rates(1769), 1769, True)],
)
def test_at_whose_memory_and_who_pays(rates, memory_mb, is_paid):
    account = Account(small.spec(ROWS, 1, rates=rates, tariff=asdict(LIST)), {0: Lease(1, "x", own=OTHER)})
    assert (account.memory_mb, account.is_paid) == (memory_mb, is_paid)
    values = account.values()
    assert values["list_usd"] == pytest.approx(account.cost.total_usd, abs=1e-9)
    assert values["usd"] == (values["list_usd"] if is_paid else 0.0)
    assert values["gb_s"] == pytest.approx(4.0 * memory_mb / 1024, abs=1e-6)


def test_before_anybody_came_there_is_nothing():
    account = Account(PAID, {})
    assert (account.used, account.attempts, account.usd, account.going) == (NOTHING, 0, 0.0, [0, 1])


def test_without_list_prices_seconds_are_all_there_is():
    account = Account(small.spec(ROWS, 1), {0: Lease(1, "x", own=ONE)})
    assert (account.cost.date, account.cost.total_usd) == (None, 0.0)
    assert account.cost.total_gb_s > 0


def test_a_damaged_tariff_is_said():
    with pytest.raises(StoreError, match="the tariff of run small is not"):
        _ = Account(small.spec(ROWS, tariff={"date": 1}), {}).cost
