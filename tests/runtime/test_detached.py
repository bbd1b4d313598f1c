"""Detached runs: looked after when all of their workers were lost, left alone while one lives."""

import threading

import pytest

from nnlite.protocol.records import lease
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.roles import watcher
from nnlite.protocol.roles.repairer import Repairer
from nnlite.runs import detached, lifecycle
from nnlite.runtime.performer import Performer, perform
from nnlite.runtime.workers import Workers
from tests.runtime import small

ROWS = small.dataset()
PACES = {"lease_ttl_s": 0.3, "straggler_timeout_s": 0.2, "beat_s": 0.1}


@pytest.fixture
def home(tmp_path):
    """Where detached runs are listed: beside the runs, as in a stack's bucket."""
    from nnlite.store.file import FileStore

    return FileStore(tmp_path / "store")


@pytest.fixture
def store(tmp_path):
    from nnlite.store.file import FileStore

    return FileStore(tmp_path / "store")


def begin(store, **more):
    of = small.spec(ROWS, 3, 2, **(PACES | more))
    lifecycle.begin(store, store, of, ROWS)
    return of


def visit(home, patience_s=5.0):
    """-> (how many are left, whom it started)"""
    started = []
    left = detached.visit(home, lambda *who: started.append(who), patience_s)
    return left, started


def test_all_that_were_lost_are_started_again_and_the_run_gets_to_its_end(home, store):
    of = begin(store)
    detached.add(home, of.run, store.url)
    left, started = visit(home)
    assert left == 1
    assert started == [(of.run, store.url, worker, 2) for worker in range(3)]
    workers = Workers(store, of.run)
    for _, _, worker, attempt in started:
        workers.add(worker, attempt)
    workers.scheduler.run()
    assert lifecycle.standing(store, of).status == "done"
    assert visit(home) == (0, [])
    assert detached.runs(home) == {}


def test_while_one_lives_the_others_are_started(home, store):
    """It may have too little time in an invocation of its own to see that they are dead."""
    of = begin(store)
    detached.add(home, of.run, store.url)
    held = perform(lease.acquire(Keys(of.run).lease(1), 1, "somebody"), Performer(store))
    done = threading.Event()

    def beat():
        mine = held
        while not done.wait(0.02):
            mine = perform(lease.renew(Keys(of.run).lease(1), mine), Performer(store))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        left, invoked = visit(home)
        assert left == 1
        assert [(worker, attempt) for _, _, worker, attempt in invoked] == [(0, 2), (2, 2)]
    finally:
        done.set()
        thread.join()


def test_while_all_live_nobody_is_started(home, store):
    of = begin(store)
    detached.add(home, of.run, store.url)
    leases = [Keys(of.run).lease(worker) for worker in range(of.num_workers)]
    held = [perform(lease.acquire(key, 1, "somebody"), Performer(store)) for key in leases]
    done = threading.Event()

    def beat():
        while not done.wait(0.02):
            for n, key in enumerate(leases):
                held[n] = perform(lease.renew(key, held[n]), Performer(store))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert visit(home) == (1, [])
    finally:
        done.set()
        thread.join()


def test_a_visit_that_has_no_time_to_be_sure_starts_nobody(home, store):
    of = begin(store, lease_ttl_s=100.0)
    detached.add(home, of.run, store.url)
    assert visit(home, patience_s=0.2) == (1, [])


def test_a_stopped_run_and_one_that_is_gone_are_forgotten(home, store):
    of = begin(store)
    detached.add(home, of.run, store.url)
    detached.add(home, "gone", store.url)
    perform(watcher.stop(of, "enough"), Performer(store))
    assert visit(home) == (0, [])


def test_too_many_deaths_end_it(home, store):
    of = begin(store, max_attempts=1)
    detached.add(home, of.run, store.url)
    visit(home)
    assert visit(home)[0] == 0
    last = lifecycle.standing(store, of)
    assert (last.status, "attempts" in last.reason) == ("failed", True)


def test_of_many_who_add_at_once_none_is_lost(home):
    threads = [threading.Thread(target=detached.add, args=(home, f"r{n}", "memory://x")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(detached.runs(home)) == [f"r{n}" for n in range(8)]
    for n in range(8):
        detached.remove(home, f"r{n}")
    assert detached.runs(home) == {}


def test_a_dead_lease_is_not_taken_twice(store):
    """Two visits at the same time: one of them wins each lease."""
    of = begin(store)
    started: list = []
    performer = lambda: Performer(store, invoke=lambda w, a: started.append((w, a)))  # noqa: E731
    one, two = Repairer(of).program(5.0), Repairer(of).program(5.0)
    threads = [threading.Thread(target=perform, args=(p, performer())) for p in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == len(set(started))
