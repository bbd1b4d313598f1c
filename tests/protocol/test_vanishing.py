"""Whatever object the store forgets, at whatever moment: a run ends with the same bytes, or with a line that says what
was lost, and nobody waits for ever."""

import math
from functools import cache

import numpy as np
import pytest

from nnlite.errors import RunError
from nnlite.protocol.downpour.updates import Label
from nnlite.protocol.records.head import DONE
from nnlite.protocol.roles.waiter import Waiter
from nnlite.protocol.roles.worker import Worker
from nnlite.simulation.simulator import Faults
from tests.protocol import toy_trials
from tests.protocol.test_downpour import downpour, expected
from tests.protocol.test_faults import BOUND_S, SHAPES, fail
from tests.protocol.toy import STEPS, simulate, spec, vector_of

SEEDS, CHUNKS = 120, 6
HELD = ("/rounds/", "/leases/", "/cursors/", "/updates/")  # what living workers can make again
SEARCHED = ("/leases/", "/cursors/", "/claim.json", "/timing.json", "/result.json", "/model")
DURABLE = {"checkpoint_store": "memory://durable", "checkpoint_every": 1}
LOST = ("no longer in the store", "is missing in the store", "the store has forgotten")


def schedule(seed, **more):
    """Every seed its own mix of troubles, and some objects that go."""
    return Faults(
        crash_rate=(0.0, 0.0, 0.005, 0.02)[seed % 4],
        lose_rate=(0.0, 0.2)[seed // 3 % 2],
        double_rate=(0.0, 0.2)[seed // 5 % 2],
        straggler_rate=(0.0, 0.2)[seed // 2 % 2],
        cold_start_s=(0.5, 15.0)[seed // 7 % 2],
        timeout_s=(math.inf, 9.0)[seed // 5 % 2],
        vanish_rate=(0.02, 0.05, 0.1)[seed % 3],
        **more,
    )


def ended(simulation):
    """The last head; a failure shows the seed and the story."""
    try:
        return simulation.run(BOUND_S)
    except RunError as error:
        fail(simulation, str(error))


def checkpoint(simulation, last):
    where = simulation.keys.checkpoint(last.result)
    found = {**simulation.durable, **simulation.store}.get(where)
    return found.data if found is not None else None


@cache
def calm(workers, widths):
    simulation = simulate(spec(workers, 2, widths))
    return checkpoint(simulation, simulation.run(BOUND_S))


@cache
def best(num_trials):
    simulation = toy_trials.simulate(toy_trials.search_of(num_trials, 1))
    return toy_trials.come_to_an_end(simulation, BOUND_S)[1]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_a_living_worker_has_made_it_makes_again(chunk):
    vanished = 0
    for seed in range(chunk, SEEDS, CHUNKS):
        shape = SHAPES[seed % len(SHAPES)]
        simulation = simulate(spec(shape[0], 2, shape[1]), seed, schedule(seed, vanish=HELD, max_vanished=6))
        last = ended(simulation)
        if last.status != DONE or checkpoint(simulation, last) != calm(*shape):
            fail(simulation, f"ended as {last}")
        vanished += simulation.counts["vanished"]
    assert vanished > SEEDS / CHUNKS


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("copies", [{}, DURABLE])
def test_any_object_may_go(chunk, copies):
    """With copies the run comes to the same end; without, it may end for want of what nobody has any more."""
    vanished = 0
    for seed in range(chunk, SEEDS, CHUNKS):
        shape = SHAPES[seed % len(SHAPES)]
        simulation = simulate(spec(shape[0], 2, shape[1], **copies), seed, schedule(seed, max_vanished=6))
        last = ended(simulation)
        vanished += simulation.counts["vanished"]
        if last.status == DONE:
            if checkpoint(simulation, last) != calm(*shape):
                fail(simulation, "other bytes than where nothing vanished")
        elif copies or not any(words in last.reason for words in LOST):
            fail(simulation, f"ended as {last}")
    assert vanished > SEEDS / CHUNKS


@pytest.mark.parametrize("kind", ["/rounds/", "/ckpt/", "/leases/", "head.json"])
def test_one_object_that_goes_before_any_effect(kind):
    vanished, effect = 0, 0
    while True:
        effect += 1
        simulation = simulate(spec(2, 2, (1, 2)), effect, Faults(vanish=(kind,), vanish_at=effect))
        last = ended(simulation)
        if last.status == DONE:
            assert checkpoint(simulation, last) == calm(2, (1, 2)), f"lost before effect {effect}"
        elif kind in ("/rounds/", "/leases/") or not any(words in last.reason for words in LOST):
            fail(simulation, f"ended as {last}")
        vanished += simulation.counts["vanished"]
        if simulation.num_effects < effect:
            break
    assert vanished > 30


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_downpour_takes_every_step_once_whatever_goes_of_what_the_living_have_made(chunk):
    vanished = 0
    for seed in range(chunk, SEEDS, CHUNKS):
        run_spec = downpour(1 + seed % 4, 1 + seed % 3, 1 + seed // 3 % 4)
        simulation = simulate(run_spec, seed, schedule(seed, vanish=HELD, max_vanished=6))
        last = ended(simulation)
        if last.status != DONE:
            fail(simulation, f"ended as {last}")
        where = simulation.keys.checkpoint(last.result)
        if not np.array_equal(vector_of(simulation.store[where].data, where), expected(run_spec.num_workers)):
            fail(simulation, "a step was lost, or taken twice")
        vanished += simulation.counts["vanished"]
    assert vanished > SEEDS / CHUNKS


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("copies", [{}, DURABLE])
def test_downpour_ends_whatever_goes(chunk, copies):
    for seed in range(chunk, SEEDS, CHUNKS):
        run_spec = downpour(1 + seed % 4, 1 + seed % 3, 1 + seed // 3 % 4, **copies)
        simulation = simulate(run_spec, seed, schedule(seed, max_vanished=6))
        last = ended(simulation)
        if last.status == DONE:
            assert sum(last.steps) == STEPS * run_spec.num_workers, f"seed {seed}"
        elif copies or not any(words in last.reason for words in LOST):
            fail(simulation, f"ended as {last}")


def outcome(simulation):
    try:
        return toy_trials.draw(simulation)[0]
    except RunError as error:
        return error


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_search_ends_with_the_same_results_whatever_goes(chunk):
    vanished = lost = 0
    for seed in range(chunk, SEEDS // 3, CHUNKS):
        search = toy_trials.search_of(6, 1 + seed % 3, max_deaths=1000)
        simulation = toy_trials.simulate(search, seed, schedule(seed, vanish=SEARCHED, max_vanished=6))
        last = ended(simulation)
        simulation.faults = Faults()
        drawn = outcome(simulation)
        assert last.status == DONE, f"seed {seed}"
        assert drawn == best(6) or "is not in the store any more" in str(drawn), f"seed {seed}: {drawn}"
        lost += drawn != best(6)  # of a result that went when all was done
        vanished += simulation.counts["vanished"]
    assert vanished > 5 * lost


def hurried(seed):
    """Workers that hand over and die in the middle of an update, and updates that go."""
    run_spec = downpour(2 + seed % 3, 1 + seed % 3, 1 + seed // 3 % 4, hand_over_s=1.0, beat_s=0.5)
    faults = Faults(
        crash_rate=0.02, timeout_s=3.0, slice_s=0.4, vanish_rate=0.08, vanish=("/updates/",), max_vanished=4
    )
    simulation = simulate(run_spec, seed, faults)
    last = ended(simulation)
    where = simulation.keys.checkpoint(last.result)
    return np.array_equal(vector_of(simulation.store[where].data, where), expected(run_spec.num_workers))


@pytest.mark.parametrize("chunk", range(4))
def test_updates_whose_predecessor_went_are_of_no_use(chunk):
    """What is made in its place may end at another step than it did."""
    for seed in range(chunk, 160, 4):
        assert hurried(seed), f"seed {seed}"


def test_without_looking_where_an_update_begins_steps_are_lost_or_taken_twice(monkeypatch):
    monkeypatch.setattr(Label, "follows", lambda self, seq, step: self.seq == seq + 1)
    assert not all(hurried(seed) for seed in range(160))


def test_without_looking_after_its_own_a_living_worker_is_waited_for_for_ever(monkeypatch):
    faults = Faults(vanish_rate=0.05, vanish=("/rounds/",), max_vanished=4)
    for seed in range(5):
        assert simulate(spec(4, 2), seed, faults).run(BOUND_S).status == DONE
    monkeypatch.setattr(Worker, "repair", Waiter.repair)
    with pytest.raises(RunError, match="still running after 300 s"):
        assert not [simulate(spec(4, 2), seed, faults).run(300) for seed in range(5)]
