"""The protocols of nnlite pass the contract of protocols."""

from typing import Any

import numpy as np

from nnlite.protocol.averaging import contribution
from nnlite.protocol.records.head import Head
from tests.protocol import toy_trials
from tests.protocol.contract import ProtocolContract
from tests.protocol.test_downpour import expected


class TestAveraging(ProtocolContract):
    protocol = "averaging"


class TestDownpour(ProtocolContract):
    """How its updates are divided among checkpoints is chance; that each is in the last one, exactly once, is not."""

    protocol = "downpour"
    num_rounds = 1

    def spec(self, num_workers: int, **more: Any):
        return super().spec(num_workers, push_every=2, pull_every=3, combine="sum", eval_every=0, **more)

    def came_to(self, simulation):
        last = Head.from_json(simulation.store[simulation.keys.head].data, simulation.keys.head)
        where = simulation.keys.checkpoint(last.result)
        return contribution.decode(simulation.store[where].data, where)[0].vector.tolist()

    def expected(self, num_workers):
        assert np.array_equal(super().expected(num_workers), expected(num_workers))
        return super().expected(num_workers)


class TestSearch(ProtocolContract):
    """What must be the same is every result, the outcome and the winner's model."""

    protocol = "search"
    lasts = ProtocolContract.lasts + r"|searches/.*"

    def search(self, num_workers: int):
        return toy_trials.search_of(5, num_workers, max_deaths=1000)

    def spec(self, num_workers: int, **more: Any):
        return toy_trials.run_of(self.search(num_workers), **more)

    def make(self, num_workers: int, seed: int = 0, faults=None, **more: Any):
        return toy_trials.simulate(self.search(num_workers), seed, faults, **more)

    def came_to(self, simulation):
        toy_trials.draw(simulation)
        return toy_trials.results(simulation)
