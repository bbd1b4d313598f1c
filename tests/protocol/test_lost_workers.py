"""Downpour: a worker that dies unseen is replaced while the others still train, at few requests."""

import contextlib
import json

import pytest

from nnlite.protocol.downpour.watcher import DownpourWatcher
from nnlite.protocol.effects import GetMany, Invoke, Now, Sleep, Swap
from nnlite.protocol.records.head import DONE
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.roles.repairer import Repairer
from tests.protocol import toy
from tests.protocol.test_downpour import downpour, expected
from tests.protocol.test_faults import BOUND_S
from tests.protocol.toy import simulate

NUM_STEPS = 600  # some two minutes


@pytest.fixture(autouse=True)
def many_steps(monkeypatch):
    monkeypatch.setattr(toy, "STEPS", NUM_STEPS)


def losing_one(seed):
    """A run whose first invocation of worker 1 never begins; with the times of all invocations, and of the end of
    the others' training."""
    simulation = simulate(downpour(3, 5, 5), seed)
    plain, begin, invoked_s = simulation.perform, simulation.invoke, {}

    def invoke(worker, attempt):
        if (worker, attempt) != (1, 1):
            begin(worker, attempt)

    def perform(effect, invocation=None):
        if isinstance(effect, Invoke):
            invoked_s[effect.worker, effect.attempt] = simulation.now_s
        return plain(effect, invocation)

    simulation.invoke, simulation.perform = invoke, perform
    return simulation, invoked_s


def test_a_lost_worker_is_replaced_while_the_others_train():
    for seed in range(5):
        simulation, invoked_s = losing_one(seed)
        last = simulation.run(BOUND_S)
        assert last.status == DONE
        of = simulation.spec
        assert invoked_s[1, 2] < of.lease_ttl_s + 3 * of.straggler_timeout_s < 0.4 * simulation.now_s, f"seed {seed}"
        assert (1, 3) not in invoked_s, f"seed {seed}"
        assert not {(0, 2), (2, 2)} & invoked_s.keys(), f"seed {seed}"
        where = simulation.keys.checkpoint(last.result)
        found = toy.vector_of(simulation.store[where].data, where)
        assert (found == expected(3, NUM_STEPS)).all()


def test_watching_costs_one_request_a_straggler_timeout():
    simulation = simulate(downpour(3, 5, 5), 1)
    simulation.run(BOUND_S)
    looks = [e for i, e in simulation.performed if isinstance(e, GetMany) and "/leases/" in e.keys[0]]
    assert 3 < len(looks) <= simulation.now_s / simulation.spec.straggler_timeout_s


def test_without_looking_it_is_replaced_when_the_others_are_through(monkeypatch):
    monkeypatch.setattr(DownpourWatcher, "look_after", lambda self, now_head: iter(()))
    simulation, invoked_s = losing_one(0)
    simulation.run(BOUND_S)
    assert invoked_s[1, 2] > 60.0


def test_a_visit_to_a_run_that_nobody_watches_starts_the_lost_while_the_head_moves():
    """As the stack's schedule does on Lambda."""
    of = downpour(3, 5, 5)
    simulation = simulate(of)
    keys, invoked = simulation.keys, []
    program, now_s = Repairer(of).program(50.0), 0.0
    for worker in (0, 2):
        simulation.perform(Swap(keys.lease(worker), Lease(1, "alive").to_json(keys.lease(worker)), None))
    effect = next(program)
    with contextlib.suppress(StopIteration):
        while True:
            answer = None
            if isinstance(effect, Sleep):
                now_s += effect.seconds
                beat(simulation, now_s)
            elif isinstance(effect, Invoke):
                invoked.append((effect.worker, effect.attempt))
            else:
                answer = now_s if isinstance(effect, Now) else simulation.perform(effect)
            effect = program.send(answer)
    assert invoked == [(1, 2)]


def beat(simulation, now_s):
    """Those who live move their leases, and the head."""
    for key in (simulation.keys.lease(0), simulation.keys.lease(2), simulation.keys.head):
        found = simulation.store[key]
        values = json.loads(found.data)
        values["counter" if key.endswith("head.json") else "beat"] = int(now_s * 10)
        simulation.perform(Swap(key, json.dumps(values).encode(), found))
