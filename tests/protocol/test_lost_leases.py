"""What a worker has used and survived is counted on though the store loses its lease: caps hold."""

import pytest

from nnlite.protocol.averaging.worker import AveragingWorker
from nnlite.protocol.downpour.updates import Ledger
from nnlite.protocol.downpour.worker import DownpourWorker
from nnlite.protocol.effects import Invoke, Note, Swap, Train
from nnlite.protocol.records import lease
from nnlite.protocol.records.head import FAILED, STOPPED, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import OPEN, Lease
from nnlite.protocol.records.spec import Rates
from nnlite.protocol.records.usage import NOTHING, Usage
from nnlite.protocol.roles.waiter import Waiter
from nnlite.protocol.roles.watcher import reopen
from nnlite.simulation.simulator import Faults
from tests.protocol.test_downpour import downpour
from tests.protocol.test_faults import BOUND_S
from tests.protocol.toy import followed, simulate, spec

RATES = Rates(worker_second_usd=0.001)
CAPS = [{"budget_usd": 0.01}, {"max_s": 10.0}]  # ten seconds each, of a lone worker
HURRY = Faults(timeout_s=4.0, cold_start_s=1.0)
DURABLE = {"checkpoint_store": "memory://durable", "checkpoint_every": 1}


def used(seconds):
    return Usage(seconds, seconds)


def losing(simulation, is_lost):
    """Every lease that is written so goes at once."""
    plain = simulation.perform

    def perform(effect, invocation=None):
        answer = plain(effect, invocation)
        is_lease = isinstance(effect, Swap) and "/leases/0" in effect.key
        if is_lease and is_lost(Lease.from_json(effect.data, effect.key)):
            simulation.store.pop(effect.key, None)
        return answer

    simulation.perform = perform
    return simulation


@pytest.mark.parametrize("caps", CAPS)
@pytest.mark.parametrize("make", [lambda **more: spec(1, 500, **more), lambda **more: downpour(1, 1, 1, **more)])
def test_caps_of_a_lone_worker_hold_though_its_lease_goes_whenever_it_hands_over(make, caps, monkeypatch):
    monkeypatch.setattr("tests.protocol.toy.STEPS", 500)
    for seed in range(5):
        simulation = losing(
            simulate(make(hand_over_s=1.0, rates=RATES, **caps), seed, HURRY), lambda one: one.holder == OPEN
        )
        assert simulation.run(BOUND_S).status == STOPPED, f"seed {seed}"
        assert simulation.counts["handed over in time"] > 2, f"seed {seed}"
        assert simulation.seconds < 13, f"seed {seed}"


@pytest.mark.parametrize("caps", CAPS)
@pytest.mark.parametrize("workers", [1, 3])
def test_caps_hold_though_the_store_is_flushed_again_and_again(workers, caps):
    for seed in range(5):
        faults = Faults(timeout_s=4.0, cold_start_s=1.0, wipe_at_s=tuple(2.0 + 3.0 * n for n in range(40)))
        total = {name: value * (workers if name == "budget_usd" else 1) for name, value in caps.items()}
        run_spec = spec(workers, 500, hand_over_s=1.0, rates=RATES, **DURABLE, **total)
        simulation = simulate(run_spec, seed, faults)
        last = simulation.run(BOUND_S)
        assert last.status == STOPPED, f"seed {seed}: {last}"
        assert simulation.seconds < 20 * workers, f"seed {seed}"


@pytest.mark.parametrize("workers", [1, 3])
def test_deaths_are_counted_though_leases_always_go(workers):
    """The watcher remembers what it has opened; one that comes later finds that of a lone worker in the head."""
    simulation = losing(simulate(spec(workers, 3, max_attempts=4), 0, Faults(crash_rate=0.9)), lambda one: True)
    last = simulation.run(BOUND_S)
    assert last.status == FAILED
    assert "allows 4 attempts" in last.reason
    assert simulation.counts["invocations"] <= 4 * workers


def test_a_worker_that_lives_on_after_a_flush_knows_what_it_has_survived():
    of = spec(2, 3)
    one = AveragingWorker(of, 0, 5, "me")
    one.lease, one.before = Lease(5, "me", since=2, before=used(6.0), own=used(3.0), round=1, forgotten=2), used(6.0)
    keys = Keys(of.run)
    there = {keys.head: Head(1).to_json(keys.head)}
    again = one._anew(1)
    followed(again.program(), there, [], lambda effect: isinstance(effect, Note))
    assert again.lease is not None
    assert (again.lease.deaths, again.lease.before, again.lease.forgotten) == (3, used(6.0), 2)


def test_deaths_are_counted_by_watchers_that_know_nothing_of_each_other():
    of = spec(1, 3, max_attempts=4)
    keys, there, attempts = Keys(of.run), {}, []
    there[keys.head] = Head().to_json(keys.head)
    while Head.from_json(there[keys.head], keys.head).status != FAILED:
        there.pop(keys.lease(0), None)
        invoked = followed(Waiter(of).replace(0, None), there, [], lambda effect: isinstance(effect, Invoke))
        attempts.append(getattr(invoked, "attempt", None))
        assert len(attempts) < 9
    assert attempts == [2, 3, 4, None]


def test_a_run_that_is_resumed_without_its_lease_counts_its_attempts_on():
    of = spec(1, 3)
    keys = Keys(of.run)
    there = {keys.head: Head(2, STOPPED, lease=Lease(5, "x", since=3, own=used(7.0))).to_json(keys.head)}
    followed(reopen(of), there, [])
    assert Lease.from_json(there[keys.lease(0)], keys.lease(0)) == Lease(6, OPEN, since=6, before=used(7.0))


def test_a_hand_over_whose_lease_has_gone_opens_the_next_attempt_all_the_same():
    mine, there = Lease(3, "me", since=2, own=used(5.0)), {}
    followed(lease.hand_over("k", mine, has_cursor=True), there, [])
    assert Lease.from_json(there["k"], "k") == Lease(4, OPEN, since=3, cursor=3, before=used(5.0))


# ---- what is supposed


def begun(run_spec, head, attempt=2, leases=()):
    """What a worker's lease says when it begins to train, on a store with that head, and those leases of others."""
    keys = Keys(run_spec.run)
    there = {keys.head: head.to_json(keys.head)}
    there.update({keys.lease(w): one.to_json(keys.lease(w)) for w, one in leases})
    worker = AveragingWorker(run_spec, 0, attempt, "me")
    followed(worker.program(), there, [], lambda effect: not hasattr(effect, "key") and isinstance(effect, Train))
    return worker.lease


def test_a_worker_whose_lease_has_gone_has_used_what_the_busiest_of_the_others_has():
    of = spec(3, 5, max_s=100.0)
    others = [(1, Lease(1, "x", own=used(7.0))), (2, Lease(1, "x", own=used(9.0)))]
    assert begun(of, Head(2), leases=others).before == used(9.0)
    assert begun(of, Head(2, lease=Lease(1, "x", own=used(11.0))), leases=others).before == used(11.0)
    assert begun(of, Head(2), attempt=1, leases=others).before == NOTHING


def test_a_worker_that_was_never_there_has_used_nothing():
    """Its first invocation was lost: the lease that a watcher has opened for it is empty, as one that was lost is."""
    of = spec(3, 5, max_s=100.0)
    others = [(0, Lease(2, OPEN)), (1, Lease(1, "x", own=used(7.0))), (2, Lease(1, "x", own=used(9.0)))]
    assert begun(of, Head(0), leases=others).before == NOTHING
    assert begun(of, Head(1), leases=others).before == used(9.0)


def test_in_downpour_the_ledger_tells_whether_a_worker_was_there():
    of, steps = downpour(2, max_s=100.0), Ledger((0, 3), (0, 6), (), (0, 0))
    head = Head(3).with_ledger(steps)
    assert not DownpourWorker(of, 0, 2, "me").has_worked(head)
    assert DownpourWorker(of, 1, 2, "me").has_worked(head)
