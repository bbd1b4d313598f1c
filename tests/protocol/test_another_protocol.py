"""A protocol that nnlite does not have: written and registered in this file alone, it trains and keeps the contract."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from nnlite.commands import train
from nnlite.errors import UsageError
from nnlite.protocol import protocols
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.protocol import Averaging
from nnlite.protocol.averaging.rounds import Rounds
from nnlite.protocol.effects import Model
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs.job import Job
from tests.protocol import toy
from tests.protocol.contract import ProtocolContract


class ScaledRounds(Rounds):
    """Rounds whose merges are half the mean."""

    def merged(self, parts: dict[str, Any], key: str) -> bytes:
        found, tally = contribution.decode(super().merged(parts, key), key)
        return contribution.encode(Model(found.vector * np.float32(0.5), dict(found.shapes)), tally, key)


@dataclass(frozen=True)
class Scaled(Averaging):
    """Averaging whose merge is scaled."""

    name: ClassVar[str] = "scaled"

    def rounds(self, spec: RunSpec) -> Rounds:
        return ScaledRounds(spec)


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    protocols.register(Scaled)
    yield
    del protocols.REGISTERED[Scaled.name]


class TestScaled(ProtocolContract):
    protocol = "scaled"


def after_a_round(protocol: str) -> Any:
    simulation = toy.simulate(toy.spec(4, 1, (1, 4), protocol=protocol))
    simulation.run()
    where = simulation.keys.checkpoint(1)
    return contribution.decode(simulation.store[where].data, where)[0].vector


def test_it_is_what_it_says():
    assert np.array_equal(after_a_round("scaled"), after_a_round("averaging") / 2)


def test_jobs_commands_and_specifications_know_it():
    job = Job(case="a", protocol=Scaled(quorum=2))
    assert (job.protocol, job.quorum) == ("scaled", 2)
    assert train._parser().parse_args(["--protocol", "scaled"]).protocol == "scaled"
    assert toy.spec(3, protocol="scaled", quorum=2).rules.describe(toy.spec(3, protocol="scaled")) == "scaled"
    with pytest.raises(UsageError, match="push_every is for protocol downpour, and this is scaled: leave it out"):
        Job(case="a", protocol="scaled", push_every=3)
    with pytest.raises(UsageError, match="no protocol 'other'; there are averaging, downpour, scaled"):
        Job(case="a", protocol="other")


def test_no_two_protocols_have_one_name():
    @dataclass(frozen=True)
    class Other(Averaging):
        """Another of that name."""

        name: ClassVar[str] = "scaled"

    with pytest.raises(ValueError, match="'scaled' is Scaled already: give Other another name"):
        protocols.register(Other)


def test_one_whose_merges_depend_on_the_moment_does_not_keep_the_contract(monkeypatch):
    """What is merged twice must be the same bytes: else they depend on which of two workers was faster."""
    factors = itertools.cycle([0.5, 0.25, 0.75])

    def merged(self, parts, key):
        found, tally = contribution.decode(Rounds.merged(self, parts, key), key)
        return contribution.encode(Model(found.vector * np.float32(next(factors)), dict(found.shapes)), tally, key)

    monkeypatch.setattr(ScaledRounds, "merged", merged)
    with pytest.raises(pytest.fail.Exception, match="came to something else than without faults"):
        TestScaled().test_any_schedule_of_faults_comes_to_the_same_end_at_a_fair_price(1)
