"""Whatever is lost, doubled, late or dead: a run ends, in bounded time, with the same bytes as without faults."""

import math
import os
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from nnlite.errors import RunError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.averaging.worker import AveragingWorker
from nnlite.protocol.effects import Adopt, Create, Delete, DeleteMany, Get, GetMany, Invoke, Model, Score, Swap, Train
from nnlite.protocol.records.head import DONE, FAILED, STOPPED, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import Rates
from nnlite.simulation.simulator import Faults
from tests.protocol import toy
from tests.protocol.toy import schedule, simulate, spec

SEEDS = int(os.environ.get("NNLITE_SCHEDULES", "300"))  # `make test-all` tries a thousand
CHUNKS = 20  # of seeds, so that a failure is found soon and shown alone
REQUESTS = (Get, GetMany, Create, Swap, Delete, DeleteMany)
BOUND_S = 2_000.0  # virtual: far above what any of these runs need, far below for ever
SHAPES = [(4, (1, 4)), (3, (1, 2, 3)), (5, (1, 2, 2, 5)), (1, (1,)), (2, (1, 2))]


def outcome(simulation):
    """The final checkpoint, after a run that must end well; a failure shows the seed and the story."""
    try:
        last = simulation.run(BOUND_S)
    except RunError as error:
        fail(simulation, str(error))
    if last.status != DONE or last.result != simulation.spec.num_rounds:
        fail(simulation, f"ended as {last}")
    return last.accuracy, simulation.store[simulation.keys.checkpoint(last.result)].data


def fail(simulation, why):
    story = "\n".join(simulation.story[-60:])
    pytest.fail(f"seed {simulation.seed}, {simulation.faults}: {why}\n{story}")


def without_faults(run_spec):
    return outcome(simulate(run_spec))


@cache
def expected_for(workers, widths):
    return without_faults(spec(workers, 2, widths))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_hundreds_of_schedules_end_with_the_same_bytes(chunk):
    for seed in range(chunk, SEEDS, CHUNKS):
        workers, widths = SHAPES[seed % len(SHAPES)]
        run_spec = spec(workers, 2, widths)
        simulation = simulate(run_spec, seed, schedule(seed))
        if outcome(simulation) != expected_for(workers, widths):
            fail(simulation, "other bytes than without faults")
        if requests(simulation) > request_cap(simulation):
            fail(simulation, f"{requests(simulation)} requests, allowed are {request_cap(simulation):.0f}")
        if simulation.counts["invocations"] > 20 * workers + 4 * simulation.counts["crashes"] + 40:
            fail(simulation, f"{simulation.counts['invocations']} invocations")


def requests(simulation):
    """What the store was asked, key by key."""
    asked = [effect for _, effect in simulation.performed if isinstance(effect, REQUESTS)]
    return sum(len(effect.keys) if isinstance(effect, GetMany) else 1 for effect in asked)


def request_cap(simulation):
    """Forty for each invocation, to begin and to do its rounds, and five a second of everybody who may be waiting."""
    return 40 * simulation.counts["invocations"] + 5 * (simulation.spec.num_workers + 1) * simulation.now_s


def test_many_workers_in_a_deep_tree():
    run_spec = spec(40, 2, (1, 4, 13, 40))
    expected = without_faults(run_spec)
    for seed in range(5):
        faults = Faults(crash_rate=0.005, lose_rate=0.1, double_rate=0.2, straggler_rate=0.1)
        simulation = simulate(run_spec, seed, faults)
        assert outcome(simulation) == expected, f"seed {seed}"


def test_killing_one_invocation_at_every_single_effect_changes_nothing():
    """Every yield of the whole run is a place to die: before the effect takes place, or right after."""
    run_spec = spec(3, 2, (1, 2, 3))
    expected = without_faults(run_spec)
    crashes = 0
    for after in (False, True):
        effect = 0
        while True:
            effect += 1
            simulation = simulate(run_spec, 1, Faults(crash_at=effect, crash_after=after))
            assert outcome(simulation) == expected, f"killed at effect {effect}, after: {after}"
            if simulation.num_effects < effect:
                break
            crashes += simulation.counts["crashes"]
    assert crashes > 300  # the rest of the effects were the watcher's, who lives


def test_nobody_waits_beyond_the_bound_and_replacements_are_few():
    """Five lost workers cost a few timeouts, not hours, and not many more invocations than were lost."""
    run_spec = spec(8, 3)
    for seed in range(40):
        simulation = simulate(run_spec, seed, Faults(crash_rate=0.02, max_crashes=5))
        outcome(simulation)
        per_crash_s = run_spec.lease_ttl_s + 3 * run_spec.straggler_timeout_s
        assert simulation.now_s < 30 + simulation.counts["crashes"] * per_crash_s, f"seed {seed}"
        assert simulation.counts["invocations"] <= 8 + 2 * simulation.counts["crashes"], f"seed {seed}"


def test_workers_hand_over_before_their_deadline_and_nobody_dies_of_it():
    run_spec = spec(3, 3, (1, 2, 3), hand_over_s=4.0)
    expected = without_faults(run_spec)
    for seed in range(20):
        simulation = simulate(run_spec, seed, Faults(timeout_s=6.0, slice_s=0.2))
        assert outcome(simulation) == expected, f"seed {seed}"
        assert simulation.counts["handed over in time"] > 0
        assert simulation.counts["timeouts"] == 0, f"seed {seed}"
        assert simulation.counts["invocations"] == 3 + simulation.counts["handed over in time"], f"seed {seed}"
        assert not [key for key in simulation.store if "/cursors/" in key], f"seed {seed}"


def test_a_round_longer_than_any_invocation_is_trained_by_several_from_cursors():
    run_spec = spec(1, 1, hand_over_s=1.0)
    expected = without_faults(run_spec)
    resumed = 0
    for seed in range(20):
        simulation = simulate(run_spec, seed, Faults(timeout_s=3.0, slice_s=1.0))
        assert outcome(simulation) == expected, f"seed {seed}"
        resumed += simulation.counts["Resume"]
    assert resumed > 20


@pytest.mark.parametrize("after", [False, True])
def test_dying_at_any_effect_of_a_hand_over_changes_nothing(after):
    run_spec = spec(2, 2, hand_over_s=2.0)
    expected, faults = without_faults(run_spec), Faults(timeout_s=5.0, slice_s=0.4)
    effect = 0
    while True:
        effect += 1
        simulation = simulate(run_spec, 3, replace(faults, crash_at=effect, crash_after=after))
        assert outcome(simulation) == expected, f"killed at effect {effect}"
        if simulation.num_effects < effect:
            break
    assert effect > 200


def test_a_round_per_invocation():
    run_spec = spec(3, 4, rounds_per_invocation=1)
    simulation = simulate(run_spec)
    assert outcome(simulation) == without_faults(spec(3, 4))
    assert simulation.counts["invocations"] == 3 * 5


@pytest.mark.parametrize("caps", [{"budget_usd": 0.03}, {"max_s": 10.0}])
def test_a_run_that_costs_or_lasts_too_much_stops_by_itself_with_what_it_has(caps):
    """Each worker has a third of the budget, and a second costs a thousandth of a dollar: ten seconds for each."""
    run_spec = spec(3, 100, **caps, hand_over_s=1.0, rates=Rates(worker_second_usd=0.001))
    for seed in range(10):
        faults = Faults(timeout_s=(math.inf, 4.0)[seed % 2])
        simulation = simulate(run_spec, seed, faults)
        last = simulation.run(BOUND_S)
        assert last.status == STOPPED, f"seed {seed}"
        assert ("budget" if "budget_usd" in caps else "time") in last.reason
        assert simulation.keys.checkpoint(last.result) in simulation.store
        assert simulation.seconds < 3 * 10 + 3 * 2 * run_spec.beat_s, f"seed {seed}"
        assert_nothing_is_paid_for_after_the_end(simulation)


@pytest.mark.parametrize("caps", [{"budget_usd": 0.03}, {"max_s": 10.0}])
def test_caps_hold_though_the_store_loses_every_lease_between_two_invocations(caps):
    """Less exactly: who has lost its lease takes what the busiest of the others has spent. It never ended without."""
    run_spec = spec(3, 100, **caps, hand_over_s=1.0, rates=Rates(worker_second_usd=0.001))
    for seed in range(6):
        simulation = simulate(run_spec, seed, Faults(timeout_s=4.0, cold_start_s=2.0))
        lose_opened_leases(simulation)
        assert simulation.run(BOUND_S).status == STOPPED, f"seed {seed}"
        assert simulation.seconds < 3 * 100, f"seed {seed}"
        assert simulation.counts["handed over in time"] > 3, f"seed {seed}"


def lose_opened_leases(simulation):
    plain = simulation.perform

    def perform(effect, invocation=None):
        answer = plain(effect, invocation)
        if (
            isinstance(effect, Swap)
            and "/leases/0" in effect.key
            and Lease.from_json(effect.data, effect.key).holder == ""
        ):
            simulation.store.pop(effect.key, None)
        return answer

    simulation.perform = perform


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("caps", [{"budget_usd": 0.03}, {"max_s": 10.0}])
def test_caps_hold_also_where_a_round_fits_into_one_slice(caps, workers, monkeypatch):
    monkeypatch.setattr(toy, "SLICES", 1)
    run_spec = spec(workers, 1000, **caps, hand_over_s=1.0, rates=Rates(worker_second_usd=0.001))
    simulation = simulate(run_spec, 1, Faults())
    assert simulation.run(BOUND_S).status == STOPPED
    assert simulation.seconds < 10 * max(3, workers) + 3 * 2 * run_spec.beat_s


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_hand_over_also_where_a_round_fits_into_one_slice(workers, monkeypatch):
    monkeypatch.setattr(toy, "SLICES", 1)
    run_spec = spec(workers, 60, hand_over_s=4.0)
    expected = without_faults(run_spec)
    for seed in range(5):
        simulation = simulate(run_spec, seed, Faults(timeout_s=8.0, slice_s=0.2))
        assert outcome(simulation) == expected, f"seed {seed}"
        assert simulation.counts["timeouts"] == 0, f"seed {seed}"
        assert simulation.counts["handed over in time"] > 0


def assert_nothing_is_paid_for_after_the_end(simulation):
    """What was handed over in the very moment comes, sees that the run is over, and leaves without work."""
    effects = [effect for _, effect in simulation.performed]
    (ended, *_) = [
        n for n, e in enumerate(effects) if isinstance(e, Swap) and e.key.endswith("head.json") and b"stopped" in e.data
    ]
    late = Counter(type(effect) for effect in effects[ended:])
    assert late[Invoke] <= simulation.spec.num_workers, f"seed {simulation.seed}"
    begun = {id(invocation) for invocation, _ in simulation.performed[:ended]}
    for invocation, effect in simulation.performed[ended:]:
        assert id(invocation) in begun or not isinstance(effect, (Train, Score, Invoke)), f"seed {simulation.seed}"


def test_a_worker_that_always_dies_ends_the_run_instead_of_going_on_for_ever():
    simulation = simulate(spec(2, 3, max_attempts=4), 0, Faults(crash_rate=0.9))
    last = simulation.run(BOUND_S)
    assert last.status == FAILED
    assert "allows 4 attempts" in last.reason
    assert simulation.counts["invocations"] <= 2 * 4


def test_a_finished_run_leaves_its_checkpoints_and_no_contributions():
    simulation = simulate(spec(5, 6, (1, 2, 5), checkpoint_every=2))
    simulation.run(BOUND_S)
    kept = sorted(key for key in simulation.store if "/ckpt/" in key)
    assert kept == [simulation.keys.checkpoint(v) for v in (0, 2, 4, 5, 6)]
    left = [key for key in simulation.store if "/rounds/" in key and not key.endswith("summary.json")]
    assert left == []


def test_reaching_the_target_accuracy_ends_the_run_with_that_checkpoint():
    simulation = simulate(spec(4, 9, target_accuracy=0.3))
    last = simulation.run(BOUND_S)
    assert (last.status, last.result) == (DONE, 1)
    assert last.accuracy >= 0.3
    assert simulation.keys.checkpoint(1) in simulation.store


def test_a_worker_that_died_between_merging_and_closing_closes_the_round_when_it_comes_back():
    """Nobody else does before the straggler timeout: they found the node created, and left the rest to its maker."""
    run_spec = spec(2, 3, (1, 2))
    keys = Keys(run_spec.run)
    part, names = Model(np.ones(toy.SIZE, np.float32), toy.SHAPES), [keys.node(0, *at) for at in run_spec.tree.nodes()]
    there = {name: contribution.encode(part, Tally(3), name) for name in (*names, keys.checkpoint(0))}
    there[keys.head] = Head().to_json(keys.head)
    written: list[str] = []
    worker = AveragingWorker(run_spec, 1, 2, "again")
    toy.followed(worker.program(), there, written, lambda effect: isinstance(effect, Adopt))
    assert keys.checkpoint(1) in written
    assert Head.from_json(there[keys.head], keys.head).round == 1
