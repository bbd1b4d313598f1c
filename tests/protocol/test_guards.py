"""Each guard is needed: take one away, and some schedule of faults breaks a promise."""

import numpy as np

from nnlite.errors import RunError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally, encode
from nnlite.protocol.averaging.rounds import Rounds
from nnlite.protocol.effects import Create, Get, Model, Swap
from nnlite.protocol.records import head, lease
from nnlite.protocol.records.head import DONE
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.roles.waiter import Waiter
from nnlite.simulation.simulator import Faults
from tests.protocol.toy import simulate, spec

TROUBLE = Faults(crash_rate=0.02, lose_rate=0.1, double_rate=0.5, straggler_rate=0.3, cold_start_s=10.0)
BOUND_S = 5_000.0


def broken_promises(run_spec, seeds=60, faults=TROUBLE):
    """How many schedules did not end well, with the bytes of a run without faults, at a fair price."""
    simulation = simulate(run_spec)
    simulation.run(BOUND_S)
    expected = simulation.store[simulation.keys.checkpoint(run_spec.num_rounds)].data
    broken = 0
    for seed in range(seeds):
        simulation = simulate(run_spec, seed, faults)
        try:
            last = simulation.run(BOUND_S)
            found = simulation.store[simulation.keys.checkpoint(run_spec.num_rounds)].data
            fair = simulation.counts["invocations"] <= run_spec.num_workers + 3 * simulation.counts["crashes"] + 25
            broken += last.status != DONE or found != expected or not fair
        except (RunError, KeyError, ValueError):
            broken += 1
    return broken


def test_with_all_guards_no_promise_is_broken():
    assert broken_promises(spec()) == 0


def test_without_straggler_repair_a_lost_worker_is_waited_for_for_ever(monkeypatch):
    def no_repair(self):
        yield from ()

    monkeypatch.setattr(Waiter, "repair", no_repair)
    assert broken_promises(spec(), seeds=10) > 0


def test_without_merging_for_the_dead_a_dead_merger_is_waited_for_for_ever(monkeypatch):
    def look_at_leaves_only(self, round):
        missing = []
        for worker in range(self.spec.num_workers):
            if (yield Get(self.keys.node(round, self.tree.leaf_level, worker))) is None:
                missing.append(worker)
        return missing

    monkeypatch.setattr(Rounds, "missing", look_at_leaves_only)
    assert broken_promises(spec(), seeds=30) > 0


def test_without_beats_the_slow_are_taken_for_dead(monkeypatch):
    """Slow workers that beat are left in peace; without beats each of them is replaced, and paid for twice."""
    slow = spec(3, 6, lease_ttl_s=12.0, straggler_timeout_s=1.0)

    def replacements():
        total = 0
        for seed in range(10):
            simulation = simulate(slow, seed, Faults(slice_s=1.0))
            simulation.run(BOUND_S)
            total += simulation.counts["invocations"] - slow.num_workers
        return total

    assert replacements() == 0

    def no_beat(key, mine):
        yield from ()
        return mine

    monkeypatch.setattr(lease, "renew", no_beat)
    assert replacements() > 0


def holders_at_once(num_seeds=30):
    """The most invocations of one worker that trained in the same stretch of time, over some schedules."""
    most = 0
    for seed in range(num_seeds):
        simulation = simulate(spec(2, 2), seed, Faults(double_rate=1.0))
        simulation.run(BOUND_S)
        most = max(most, simulation.counts["Train"])
    return most


def test_without_duplicates_leaving_the_work_is_done_twice(monkeypatch):
    once = holders_at_once()

    def always_mine(key, attempt, holder, *known):
        yield from ()
        return Lease(attempt, holder)

    def never_lost(key, mine):
        yield from ()
        return mine

    monkeypatch.setattr(lease, "acquire", always_mine)
    monkeypatch.setattr(lease, "renew", never_lost)
    assert holders_at_once() >= 1.5 * once


def test_without_fencing_an_old_holder_goes_on_after_it_was_replaced(monkeypatch):
    """A holder that lost its lease must leave at its next beat."""

    def leavers():
        left = 0
        for seed in range(60):
            simulation = simulate(spec(3, 3, lease_ttl_s=3.0, straggler_timeout_s=1.0), seed, TROUBLE)
            simulation.run(BOUND_S)
            left += simulation.counts["another invocation has taken over"]
        return left

    assert leavers() > 0

    def never_lost(key, mine):
        yield from ()
        return mine

    monkeypatch.setattr(lease, "renew", never_lost)
    assert leavers() == 0  # nobody finds out: what the assertion above counts is the guard at work


def test_without_a_fixed_merge_order_the_bytes_depend_on_who_was_last(monkeypatch):
    order = np.random.default_rng(0)
    plain = contribution.merge

    def in_any_order(parts, key):
        keys = list(parts)
        return plain({keys[i]: parts[keys[i]] for i in order.permutation(len(keys))}, key)

    monkeypatch.setattr(contribution, "merge", in_any_order)
    assert broken_promises(fractions_spec(), seeds=20) > 0


def fractions_spec():
    """Five workers whose weighted sums round differently in different orders."""
    return spec(5, 3, (1, 5))


def test_without_weights_by_sample_the_mean_is_another(monkeypatch):
    simulation = simulate(spec())
    simulation.run(BOUND_S)
    expected = simulation.store[simulation.keys.checkpoint(3)].data
    plain = contribution.weighted_mean
    monkeypatch.setattr(contribution, "weighted_mean", lambda vectors, counts: plain(vectors, [1] * len(vectors)))
    simulation = simulate(spec())
    simulation.run(BOUND_S)
    assert simulation.store[simulation.keys.checkpoint(3)].data != expected


def test_without_the_round_in_its_check_a_zombie_moves_the_head_back(monkeypatch):
    """`close` of an old round, by somebody who slept through the ones after it, must change nothing."""
    run_spec = spec(2, 4)
    simulation = simulate(run_spec)
    simulation.run(BOUND_S)
    before = simulation.store[simulation.keys.head]
    root = encode(Model(np.zeros(6, np.float32), {"weight": (2, 3)}), Tally(5, 1.0), simulation.keys.node(0, 0, 0))
    close(simulation, run_spec, root)
    assert simulation.store[simulation.keys.head] == before

    def moved_by_force(key, how):
        found = yield Get(key)
        return (yield Swap(key, head.Head(1, counter=99).to_json(key), found)) and None

    monkeypatch.setattr(head, "change", moved_by_force)
    close(simulation, run_spec, root)
    assert simulation.store[simulation.keys.head] != before


def close(simulation, run_spec, root):
    program, answer = Rounds(run_spec).close(0, root), None
    while True:
        try:
            answer = simulation.perform(program.send(answer))
        except StopIteration:
            return


def test_without_create_once_a_late_writer_replaces_what_others_have_read(monkeypatch):
    """A contribution that was written stays as it was, whoever writes the name again, with whatever bytes."""
    simulation = simulate(spec())
    key = simulation.keys.node(0, 1, 2)
    assert simulation.perform(Create(key, b"first")) is True
    assert simulation.perform(Create(key, b"second")) is False
    assert simulation.store[key].data == b"first"
