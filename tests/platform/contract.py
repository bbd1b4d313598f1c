"""The platform contract: one suite that every platform passes.

A platform's test module subclasses `PlatformContract` and gives the fixture `ground`: the platform, a store that its
workers can see, and a way to end one of them by force.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import pytest

from nnlite.errors import UsageError
from nnlite.invoker.base import Invoker
from nnlite.platform import find
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol.records.head import DONE
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import OPEN, Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles import watcher
from nnlite.runs import lifecycle
from nnlite.runs.job import Job
from nnlite.runtime.performer import Performer, perform
from nnlite.store import Store, open_store
from nnlite.store.memory import MemoryStore
from tests.runtime import small

ROWS = small.dataset()
PATIENCE_S = 240.0
NO_END = 1_000_000  # rounds
OF_THE_PLATFORM = {  # the fields of a specification that a platform may choose: prices and paces, never what is learned
    "rates", "tariff", "rounds_per_invocation", "poll_s", "max_poll_s", "wait_s", "lease_ttl_s", "straggler_timeout_s",
    "hand_over_s", "beat_s", "look_s",
}  # fmt: skip


@dataclass
class Ground:
    """A platform to test. kill: ends the invocation of worker 0 by force. held: whether this process still has
    anything that the invoker has made. refused: choices of a job that cannot be meant there -> the one to blame."""

    platform: Platform
    store_url: str
    kill: Callable[[Invoker], object]
    held: Callable[[Invoker], bool] = lambda invoker: False
    refused: list[tuple[dict[str, Any], str]] = field(default_factory=list)


def until(condition: Callable[[], Any]) -> Any:
    """What the condition answers, once that is true."""
    end_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.02)
    return found


class PlatformContract:
    """What holds of every platform."""

    @pytest.fixture
    def store(self, ground: Ground) -> Iterator[Store]:
        with open_store(ground.store_url) as store:
            yield store

    def spec(self, ground: Ground, run: str, num_rounds: int = 2, num_workers: int = 2) -> RunSpec:
        """A small run, as the platform has it; it beats fast, so that nothing has to be waited for."""
        plain = small.spec(ROWS, num_workers, num_rounds, beat_s=0.2, run=run)
        return ground.platform.adapt(plain, ground.store_url, Pricing())

    def begun(self, ground: Ground, store: Store, run: str, num_workers: int = 1) -> RunSpec:
        """A run without end that stands in the store, and that nobody works on yet."""
        spec = self.spec(ground, run, NO_END, num_workers)
        ground.platform.prepare(spec, ground.store_url)
        lifecycle.begin(store, store, spec, ROWS)
        return spec

    def opened(self, ground: Ground, spec: RunSpec, store: Store) -> Invoker:
        invoker = ground.platform.open(spec, store)
        assert invoker is not None
        return invoker

    @contextmanager
    def stopped_in_the_end(self, spec: RunSpec, store: Store, invoker: Invoker) -> Iterator[None]:
        """Whatever a test finds, nothing works on after it."""
        try:
            yield
        finally:
            perform(watcher.stop(spec.run, "the test is over"), Performer(store))
            invoker.close()

    # ---- what it starts

    def test_a_run_comes_to_its_end(self, ground: Ground, store: Store) -> None:
        """Each worker's invocation is started at least once; the weights are those that this process makes."""
        spec = self.spec(ground, "ends")
        ground.platform.prepare(spec, ground.store_url)
        lifecycle.begin(store, store, spec, ROWS)
        driver = lifecycle.Driver(store, spec, ground.platform.open(spec, store))
        last = driver.drive(dict.fromkeys(range(spec.num_workers), 1))
        assert last.status == DONE, last
        here = MemoryStore()
        lifecycle.begin(here, here, spec, ROWS)
        alone = lifecycle.Driver(here, spec, None).drive(dict.fromkeys(range(spec.num_workers), 1))
        assert small.final(store, spec, last) == small.final(here, spec, alone)

    def test_a_death_is_told_once(self, ground: Ground, store: Store) -> None:
        spec = self.begun(ground, store, "dies")
        invoker = self.opened(ground, spec, store)
        with self.stopped_in_the_end(spec, store, invoker):
            invoker.start([(0, 1)])
            until(lambda: self.is_at_work(store, spec))
            assert invoker.casualties() == []
            ground.kill(invoker)
            assert until(invoker.casualties) == [(0, 1)]
        until(lambda: not ground.held(invoker))
        assert invoker.casualties() == []

    def test_close_ends_what_it_holds(self, ground: Ground, store: Store) -> None:
        spec = self.begun(ground, store, "closes")
        invoker = self.opened(ground, spec, store)
        with self.stopped_in_the_end(spec, store, invoker):
            invoker.start([(0, 1)])
            until(lambda: self.is_at_work(store, spec))
        until(lambda: not ground.held(invoker))

    def is_at_work(self, store: Store, spec: RunSpec) -> bool:
        """Whether some invocation of worker 0 holds its lease."""
        key = Keys(spec.run).lease(0)
        (found,) = store.get_many([key])
        return found is not None and Lease.from_json(found.data, key).holder != OPEN

    # ---- what it makes of a run

    def test_it_chooses_prices_and_paces_and_nothing_that_is_learned(self, ground: Ground) -> None:
        before = small.spec(ROWS, 2)
        after = ground.platform.adapt(before, ground.store_url, Pricing())
        changed = {one.name for one in fields(RunSpec) if getattr(before, one.name) != getattr(after, one.name)}
        assert changed <= OF_THE_PLATFORM
        assert after.rates.platform == ground.platform.name
        assert after.tariff == asdict(ground.platform.tariff(ground.store_url, Pricing()))
        assert bool(after.rates.worker_second_usd) == ground.platform.is_paid

    def test_a_plan_says_where(self, ground: Ground) -> None:
        spec = self.spec(ground, "said")
        assert ground.platform.describe(spec, ground.store_url)["where"]
        venue = ground.platform.venue(spec, ground.store_url)
        assert venue.is_here == ground.platform.is_here
        assert venue.processes >= 1
        assert venue.name

    def test_the_store_is_the_one_that_is_given(self, ground: Ground) -> None:
        assert ground.platform.store_url(ground.store_url) == ground.store_url
        if ground.platform.assumes_store:
            open_store(ground.platform.store_url()).close()
        else:
            with pytest.raises(UsageError, match=f"platform {ground.platform.name} has no store of its own"):
                ground.platform.store_url()

    # ---- what it refuses

    def test_it_refuses_what_cannot_be_meant_and_names_it(self, ground: Ground) -> None:
        good = Job(case="c", store=ground.store_url)
        ground.platform.check(good, Pricing())
        wrong = [*ground.refused, ({"memory_mb": 1}, "memory_mb"), ({"memory_mb": 1_000_000}, "memory_mb")]
        if not ground.platform.is_paid:
            wrong.append(({"budget_usd": 1.0}, "budget_usd"))
        for choices, parameter in wrong:
            mine = {name: value for name, value in choices.items() if name in Job.__dataclass_fields__}
            theirs = {name: value for name, value in choices.items() if name not in mine}
            with pytest.raises(UsageError, match=f"^{parameter}") as refused:
                ground.platform.check(replace(good, **mine), Pricing(**theirs))
            assert refused.value.parameter == parameter

    def test_a_run_goes_on_without_its_command_or_it_says_that_it_would_not(self, ground: Ground, store: Store) -> None:
        spec = self.spec(ground, "alone")
        if not ground.platform.can_detach:
            with pytest.raises(UsageError, match=f"platform {ground.platform.name} cannot look after a run"):
                ground.platform.detach(spec, store)
            return
        lifecycle.begin(store, store, spec, ROWS)
        ground.platform.detach(spec, store)
        invoker = self.opened(ground, spec, store)
        invoker.start([(worker, 1) for worker in range(spec.num_workers)])
        invoker.close()
        until(lambda: (head := lifecycle.standing(store, spec)) is not None and head.status == DONE)

    # ---- what it is

    def test_it_is_a_value_under_its_name(self, ground: Ground) -> None:
        """Two of the same fields are one platform, and nothing that it has learned makes it another."""
        assert find(ground.platform.name) is type(ground.platform)
        again = replace(ground.platform)
        assert (again, hash(again)) == (ground.platform, hash(ground.platform))
        for one in fields(ground.platform):
            assert one.metadata["help"], f"{one.name} is an option of commands, which say what it is for"
