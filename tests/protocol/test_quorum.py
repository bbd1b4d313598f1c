"""A quorum closes rounds that take too long, without the slowest."""

import json

import pytest

from nnlite.errors import UsageError
from nnlite.protocol.head import DONE
from nnlite.runtime.simulator import Faults
from tests.protocol.test_faults import BOUND_S, outcome, schedule
from tests.protocol.toy import simulate, spec

SLOW = Faults(straggler_rate=0.25, straggler_factor=40.0)  # alive, and most of a minute for a round of a second


def samples(simulation):
    """How many samples stand behind each round that trained."""
    found = [json.loads(v.data) for k, v in simulation.store.items() if k.endswith("summary.json")]
    return [values["num_samples"] for values in found if values["num_samples"]]


def test_where_nobody_is_late_it_changes_nothing():
    assert outcome(simulate(spec(5, 3, (1, 2, 5), quorum=3))) == outcome(simulate(spec(5, 3, (1, 2, 5))))


def test_rounds_do_not_wait_for_the_slowest_when_the_others_are_enough():
    late = 0
    for seed in range(20):
        simulation = simulate(spec(6, 3, (1, 2, 6), quorum=3), seed, SLOW)
        last = simulation.run(BOUND_S)
        assert last.status == DONE, f"seed {seed}"
        assert all(n >= sum(10 + w for w in range(3)) for n in samples(simulation)), f"seed {seed}"
        slow = sum(i.slowness > 1 for i in simulation.invocations)
        if 0 < slow <= 3:
            assert simulation.now_s < 35, f"seed {seed}"
            late += 1
    assert late > 8


def test_without_it_they_wait():
    waited = 0
    for seed in range(10):
        simulation = simulate(spec(6, 3, (1, 2, 6)), seed, SLOW)
        simulation.run(BOUND_S)
        waited += simulation.now_s > 40
    assert waited > 5


@pytest.mark.parametrize("chunk", range(4))
def test_runs_end_well_under_any_faults(chunk):
    for seed in range(chunk, 200, 4):
        simulation = simulate(spec(5, 2, (1, 2, 5), quorum=1 + seed % 5), seed, schedule(seed))
        last = simulation.run(BOUND_S)
        assert (last.status, last.result) == (DONE, 2), f"seed {seed}"


def test_a_quorum_of_more_than_all_is_refused():
    with pytest.raises(UsageError, match="quorum 5, but there are only 4 workers"):
        spec(4, 2, quorum=5)


def test_no_contributions_are_left_behind():
    simulation = simulate(spec(4, 20, quorum=3), 3, Faults(straggler_rate=0.3, straggler_factor=40.0))
    simulation.run(BOUND_S)
    left = [key for key in simulation.store if "/rounds/" in key and not key.endswith("summary.json")]
    assert len(left) <= 3 * 5
