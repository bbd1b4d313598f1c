"""Downpour with bounded staleness, smaller steps for the stale, narrower wires, and an end at a target accuracy."""

import json
from dataclasses import replace

import numpy as np
import pytest

from nnlite.protocol.downpour import updates
from nnlite.protocol.downpour.combine import Combiner
from nnlite.protocol.effects import Create, Evaluate
from nnlite.protocol.records.head import DONE
from nnlite.simulation.simulator import Faults
from tests.protocol.test_downpour import downpour, expected, ledger_holds
from tests.protocol.test_faults import BOUND_S, schedule
from tests.protocol.toy import SIZE, STEPS, simulate, vector_of


def final(simulation):
    last = simulation.run(BOUND_S)
    assert last.status == DONE, f"seed {simulation.seed}: {last}"
    where = simulation.keys.checkpoint(last.result)
    return vector_of(simulation.store[where].data, where)


def pushed(simulation):
    """The sum of all updates that were ever created, and how stale each was when it was applied."""
    total, seen = np.arange(SIZE, dtype=np.float64), set()
    for _, effect in simulation.performed:
        if isinstance(effect, Create) and "/updates/" in effect.key and effect.key not in seen:
            seen.add(effect.key)
            total += updates.decode(effect.data, effect.key, SIZE).vector
    return total


def staleness(simulation):
    found = [json.loads(v.data) for k, v in simulation.store.items() if k.endswith("summary.json")]
    return max(values["max_staleness"] or 0 for values in found)


# ---- bounded staleness


@pytest.mark.parametrize("bound", [1, 2, 5])
def test_no_update_is_staler_than_the_run_allows_and_none_is_lost(bound):
    for seed in range(40):
        run_spec = downpour(1 + seed % 5, 1 + seed % 3, 1 + seed // 3 % 4, max_staleness=bound)
        simulation = simulate(run_spec, seed, schedule(seed))
        assert ledger_holds(simulation), f"seed {seed}"
        assert staleness(simulation) <= bound, f"seed {seed}"


def test_without_the_bound_updates_are_staler(monkeypatch):
    monkeypatch.setattr(Combiner, "_too_early", lambda self, after, version: False)
    found = []
    for seed in range(20):
        simulation = simulate(downpour(5, 1, 4, max_staleness=1), seed, Faults(straggler_rate=0.3))
        simulation.run(BOUND_S)
        found.append(staleness(simulation))
    assert max(found) > 1


def test_stale_updates_are_made_smaller_and_still_each_counts_once():
    smaller = 0
    for seed in range(30):
        run_spec = downpour(4, 1, 2, staleness_aware=True)
        simulation = simulate(run_spec, seed, schedule(seed))
        assert np.allclose(final(simulation), pushed(simulation), rtol=1e-5), f"seed {seed}"
        smaller += final_sum(simulation) < expected(4).sum() - 1
    assert smaller >= 25  # the others were so far apart that nobody was ever late


def final_sum(simulation):
    last = max(k for k in simulation.store if "/ckpt/" in k)
    return float(vector_of(simulation.store[last].data, last).sum())


# ---- wires


@pytest.mark.parametrize("wire", ["float16", "topk:34%", "topk:100%"])
def test_on_a_narrow_wire_every_update_counts_exactly_once(wire):
    for seed in range(60):
        num_workers = 2 + seed % 3
        combine = "mean" if num_workers != 3 and seed // 9 % 2 else "sum"  # thirds would be rounded
        run_spec = downpour(num_workers, 1 + seed % 3, 1 + seed // 3 % 4, combine, wire=wire)
        simulation = simulate(run_spec, seed, schedule(seed))
        assert np.array_equal(final(simulation), pushed(simulation)), f"seed {seed}"


@pytest.mark.parametrize("wire", ["float16", "topk:34%"])
def test_where_nobody_dies_all_that_was_trained_is_in_the_end_whatever_the_wire(wire):
    """What a wire leaves is in later updates, also over hand-overs, and the last update of a worker is whole."""
    handed_over = 0
    for seed in range(30):
        num_workers = 1 + seed % 4
        combine = "mean" if num_workers != 3 and seed // 4 % 2 else "sum"
        run_spec = downpour(num_workers, 1 + seed % 3, 1 + seed // 3 % 4, combine, wire=wire, hand_over_s=2.0)
        faults = Faults(timeout_s=4.0, slice_s=0.3, double_rate=0.3, straggler_rate=0.1, straggler_factor=3.0)
        simulation = simulate(run_spec, seed, faults)
        found = final(simulation)
        if simulation.counts["timeouts"] == 0:
            assert np.array_equal(found, expected(num_workers, share=run_spec.update_share)), f"seed {seed}"
        handed_over += simulation.counts["handed over in time"]
    assert handed_over > 40


def test_but_for_the_last_updates_are_as_narrow_as_they_should_be():
    simulation = simulate(downpour(2, 2, 2, wire="topk:34%"))
    final(simulation)
    sizes = {}
    for _, effect in simulation.performed:
        if isinstance(effect, Create) and "/updates/" in effect.key:
            update = updates.decode(effect.data, effect.key, SIZE)
            sizes.setdefault(update.label.last, set()).add(np.count_nonzero(update.vector))
    assert sizes[False] == {3}
    assert max(sizes[True]) > 3


# ---- evaluations, and an end that is reached


def test_checkpoints_on_the_way_are_evaluated_once_each():
    for seed in range(20):
        run_spec = downpour(3, 1, 1, eval_every=1, steps_per_round=2)
        simulation = simulate(run_spec, seed, schedule(seed))
        assert ledger_holds(simulation), f"seed {seed}"
        keys = [k for k in simulation.store if "/evaluations/" in k and k.endswith(".json")]
        assert len(keys) <= 3 * STEPS // 6
        for key in keys:
            values = json.loads(simulation.store[key].data)
            assert values["steps"] >= 6 * values["evaluation"]
        if not simulation.counts["crashes"] and not simulation.counts["handed over in time"]:
            assert keys


def test_a_worker_beats_and_leaves_in_time_in_the_middle_of_an_evaluation():
    """Which takes seven seconds and more; the invocation lasts nine, the lease four."""
    evaluated = 0
    for seed in range(10):
        run_spec = downpour(3, 1, 1, eval_every=1, steps_per_round=2, hand_over_s=2.0, **QUICK)
        simulation = simulate(run_spec, seed, Faults(timeout_s=9.0))
        slow_evaluations(simulation, 1.2)
        assert ledger_holds(simulation), f"seed {seed}"
        assert simulation.counts["timeouts"] == 0, f"seed {seed}"
        leases = [json.loads(v.data) for k, v in simulation.store.items() if "/leases/0000" in k]
        assert all(lease["attempt"] == lease["since"] for lease in leases), f"seed {seed}"  # nobody was taken for dead
        evaluated += simulation.counts["Evaluate"]
    assert evaluated > 40


QUICK = {"lease_ttl_s": 4.0, "straggler_timeout_s": 1.0}


def slow_evaluations(simulation, seconds):
    plain = simulation._pace.after_s

    def after_s(effect, answer, learner, now_s, slowness):
        return seconds if isinstance(effect, Evaluate) else plain(effect, answer, learner, now_s, slowness)

    simulation._pace.after_s = after_s


def test_a_reached_target_ends_the_run_in_good_order():
    """The toy's accuracy grows with its first weight; few take all steps, and what was pushed is in the end."""
    early = 0
    for seed in range(20):
        run_spec = downpour(3, 1, 1, eval_every=1, steps_per_round=1, target_accuracy=0.25)
        simulation = simulate(run_spec, seed, schedule(seed))
        found = final(simulation)
        assert np.array_equal(found, pushed(simulation)), f"seed {seed}"
        head = json.loads(simulation.store[simulation.keys.head].data)
        reached = "reached test accuracy" in head["reason"]
        assert reached or sum(head["steps"]) == 3 * STEPS, f"seed {seed}"
        early += reached and sum(head["steps"]) < 3 * STEPS
    assert early > 5


# ---- in several invocations


def test_two_rounds_per_invocation():
    """The toy takes 7 steps, a round is one of them: 2 + 2 + 2 + 1."""
    run_spec = replace(downpour(2, 1, 1), num_rounds=STEPS, rounds_per_invocation=2)
    simulation = simulate(run_spec)
    assert ledger_holds(simulation)
    assert simulation.counts["invocations"] == 2 * 4


def test_workers_hand_over_before_their_deadline():
    for seed in range(20):
        simulation = simulate(downpour(3, 2, 3, hand_over_s=2.0), seed, Faults(timeout_s=4.0, slice_s=0.3))
        assert ledger_holds(simulation), f"seed {seed}"
        assert simulation.counts["handed over in time"] > 0, f"seed {seed}"


def test_a_run_that_is_closing_does_not_go_on_in_new_invocations():
    of = replace(downpour(3, 1, 1, eval_every=1, steps_per_round=1, target_accuracy=0.25), num_rounds=STEPS)
    early = 0
    for seed in range(10):
        simulation = simulate(replace(of, rounds_per_invocation=2), seed)
        assert np.array_equal(final(simulation), pushed(simulation)), f"seed {seed}"
        head = json.loads(simulation.store[simulation.keys.head].data)
        early += "reached" in head["reason"] and sum(head["steps"]) < 3 * STEPS
    assert early > 2
