"""A quorum closes rounds that take too long, without the slowest."""

import json

import numpy as np
import pytest

from nnlite.errors import UsageError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.averaging.rounds import Rounds
from nnlite.protocol.effects import Get, Model
from nnlite.protocol.records.head import DONE, Head
from nnlite.simulation.simulator import Faults
from tests.protocol.test_faults import BOUND_S, outcome, schedule
from tests.protocol.toy import SHAPES, SIZE, followed, simulate, spec

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


@pytest.mark.parametrize("how", ["climb", "missing"])
def test_a_node_that_others_have_merged_of_fewer_stands(how):
    """With a quorum two may merge different parts: all that follows must be of the one that was created."""
    rounds = Rounds(spec(4, 2, (1, 2, 4), quorum=2))
    keys, weights = rounds.keys, {worker: contributed(rounds, worker) for worker in range(4)}
    leaves = {rounds.leaf(0, worker): data for worker, data in weights.items()}
    left, right, root = keys.node(0, 1, 0), keys.node(0, 1, 1), keys.node(0, 0, 0)
    stands = contribution.merge({rounds.leaf(0, 0): weights[0]}, left)  # worker 1 was late
    other = contribution.merge({rounds.leaf(0, w): weights[w] for w in (2, 3)}, right)
    there = {**leaves, right: other, keys.head: Head().to_json(keys.head)}
    if how == "climb":  # a worker that begins again, after it had contributed
        there[left] = stands
        followed(rounds.climb(0, 2, 1, weights[1], is_again=True), there, [])
    else:  # a repairer, that looked for the node before the others created it
        looked = []

        def meanwhile(effect):
            if isinstance(effect, Get) and effect.key == rounds.leaf(0, 1) and not looked:
                looked.append(effect)
                there[left] = stands
            return False

        followed(rounds.missing(0), there, [], meanwhile)
        assert looked
    assert there[root] == contribution.merge({left: stands, right: other}, root)


def contributed(rounds, worker):
    model = Model(np.full(SIZE, worker + 1, np.float32), SHAPES)
    return contribution.encode(model, Tally(10, 1.0), rounds.leaf(0, worker))
