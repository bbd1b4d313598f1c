"""What a finished run leaves in its stores, wherever somebody died.

The head, the specification, a lease a worker and two more, a summary a round, and the newest two checkpoints, of which
the last is copied to the checkpoint store. Whoever still lives when the run is swept may leave one object more: a
contribution to a round that is closed already.
"""

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from nnlite.protocol.effects import Create, DeleteMany, Swap
from nnlite.protocol.records.head import DONE, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.roles import durable, waiter
from nnlite.protocol.roles.sweep import HANDFUL, MOST, sweep
from nnlite.simulation.simulator import WATCHER, Faults
from tests.protocol.test_downpour import downpour
from tests.protocol.test_faults import BOUND_S
from tests.protocol.toy import simulate, spec

COPIED = {"checkpoint_store": "memory://durable", "checkpoint_every": 2, "hand_over_s": 2.0, "beat_s": 3.0}
KINDS = ("/ckpt/", "/updates/", "/cursors/", "/rounds/", "/leases/", "/evaluations/")
MAKES = {
    "averaging": lambda: spec(2, 3, (1, 2), **COPIED),
    "downpour": lambda: downpour(2, 2, 3, **COPIED),
    "alone": lambda: downpour(1, 1, 3, **COPIED),
}
HURRY = Faults(timeout_s=5.0, slice_s=0.4)  # so that there are hand-overs, and cursors


def left(store):
    """How many objects of each kind there are; summaries apart."""
    kept = [key for key in store if not key.endswith("summary.json")]
    return Counter(next((kind for kind in KINDS if kind in key), "others") for key in kept)


def allowed(run_spec):
    return Counter({"/ckpt/": 2, "/leases/": run_spec.num_workers + 2, "others": 2})


def finished(make, faults, seed=3):
    simulation = simulate(make(), seed, faults)
    assert simulation.run(BOUND_S).status == DONE
    simulation.drain()
    return simulation


def most_left(make, every=1):
    """The most that was left of each kind, and in the checkpoint store, over a crash right after every effect of a run,
    which is right before the next."""
    most, copies = Counter(), 0
    for effect in itertools.count(1, every):
        simulation = finished(make, replace(HURRY, crash_at=effect, crash_after=True))
        most |= left(simulation.store)
        copies = max(copies, len(simulation.durable))
        if simulation.num_effects < effect:
            return most, copies


@pytest.mark.parametrize("name", MAKES)
def test_wherever_one_died_nothing_is_left_behind(name):
    most, copies = most_left(MAKES[name])
    alive = MAKES[name]().num_workers
    assert most - allowed(MAKES[name]()) <= Counter({"/rounds/": alive}), most
    assert copies == 2  # the head and the result


@pytest.mark.parametrize("name", MAKES)
def test_a_run_whose_worker_was_replaced_is_swept_of_nothing_that_never_was(name):
    """In a memcached each name is a request. Only of cursors nobody knows whether an attempt has left one."""
    swept = 0
    for effect in range(20, 80, 6):
        simulation = finished(MAKES[name], Faults(crash_at=effect))
        written = {effect.key for _, effect in simulation.performed if isinstance(effect, (Create, Swap))}
        written |= {simulation.keys.checkpoint(0)}
        deleted = {
            key
            for invocation, effect in simulation.performed
            if isinstance(effect, DeleteMany) and invocation.worker == WATCHER
            for key in effect.keys
            if "/cursors/" not in key
        }
        assert deleted <= written, f"killed at effect {effect}: {sorted(deleted - written)}"
        swept += len(deleted) if simulation.counts["crashes"] else 0
    assert swept > 10


def test_without_sweeping_the_dead_leave_something(monkeypatch):
    monkeypatch.setattr(waiter, "sweep", lambda run_spec, last: iter(()))
    most, _ = most_left(MAKES["downpour"], every=2)
    assert {"/updates/", "/cursors/"} <= set(most - allowed(MAKES["downpour"]()))


def test_without_looking_one_copy_further_back_a_dead_keeper_leaves_one(monkeypatch):
    plain, left_over = durable.superseded, []
    monkeypatch.setattr(durable, "superseded", lambda run_spec, version: [])
    for effect in range(1, 600, 3):
        simulation = finished(lambda: spec(2, 9, **COPIED), Faults(crash_at=effect, crash_after=True))
        left_over.append(len(simulation.durable) > 2)
    assert plain(spec(2, 9, **COPIED), 9) == [8, 6]
    assert any(left_over)


def test_of_many_deaths_each_leaves_little():
    """Under every fault at once: at most an object for each invocation that there was."""
    for seed in range(30):
        make = MAKES[("averaging", "downpour")[seed % 2]]
        faults = Faults(crash_rate=0.02, lose_rate=0.1, double_rate=0.5, straggler_rate=0.2, timeout_s=9.0)
        simulation = finished(make, faults, seed)
        extra = left(simulation.store) - allowed(simulation.spec)
        assert extra.total() <= len(simulation.invocations), f"seed {seed}: {extra}"
        assert len(simulation.durable) <= 2 + simulation.counts["crashes"], f"seed {seed}"


def test_of_a_very_long_run_only_the_newest_are_swept():
    run_spec = downpour(2)
    keys = Keys(run_spec.run)
    last = Head(40_000, DONE, applied=(100_000, 90_000), steps=(1, 1), finished=(0, 1), bases=(0, 0))
    program, deleted = sweep(run_spec, last), []
    effect = next(program)
    while True:
        deleted += effect.keys if isinstance(effect, DeleteMany) else ()
        assert len(effect.keys) <= HANDFUL
        answer = None if isinstance(effect, DeleteMany) else [_lease(keys.lease(0), 2), _lease(keys.lease(1), 1)]
        try:
            effect = program.send(answer)
        except StopIteration:
            break
    assert MOST <= len(deleted) <= MOST + 10
    assert {keys.update(0, 100_000), keys.update(1, 90_000), keys.cursor(0, 2), keys.checkpoint(39_000)} <= set(deleted)
    assert not {keys.checkpoint(40_000), keys.checkpoint(39_999)} & set(deleted)


class _Found:
    def __init__(self, data):
        self.data = data


def _lease(key, attempt):
    return _Found(Lease(attempt, "somebody").to_json(key))
