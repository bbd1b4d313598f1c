"""Detached runs: looked after when all of their workers were lost, left alone while one lives."""

import json
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

SHA256 = "0" * 64  # of no specification
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
    left = detached.visit(home, lambda p: started.append((p.run, p.store, p.worker, p.attempt)), patience_s)
    return left, started


def test_all_that_were_lost_are_started_again_and_the_run_gets_to_its_end(home, store):
    of = begin(store)
    detached.add(home, of.run, store.url, of.sha256)
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
    detached.add(home, of.run, store.url, of.sha256)
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
    detached.add(home, of.run, store.url, of.sha256)
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
    detached.add(home, of.run, store.url, of.sha256)
    assert visit(home, patience_s=0.2) == (1, [])


def test_a_stopped_run_and_one_that_is_gone_are_forgotten(home, store):
    of = begin(store)
    detached.add(home, of.run, store.url, of.sha256)
    detached.add(home, "gone", store.url, of.sha256)
    perform(watcher.stop(of.run, "enough"), Performer(store))
    assert visit(home) == (0, [])


def test_too_many_deaths_end_it(home, store):
    of = begin(store, max_attempts=1)
    detached.add(home, of.run, store.url, of.sha256)
    visit(home)
    assert visit(home)[0] == 0
    last = lifecycle.standing(store, of)
    assert (last.status, "attempts" in last.reason) == ("failed", True)


def test_of_many_who_add_at_once_none_is_lost(home):
    threads = [threading.Thread(target=detached.add, args=(home, f"r{n}", "memory://x", "0" * 64)) for n in range(8)]
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


@pytest.mark.parametrize(
    "entry",
    ["memory://x", 7, None, [[]], {"store": 1, "spec": "0" * 64}, {"store": "x", "spec": "short"}, {"store": "x"}],
)
def test_an_entry_that_is_none_is_named_and_forgotten_and_the_others_are_looked_after(home, store, entry):
    of, told = begin(store), []
    detached.add(home, of.run, store.url, of.sha256)
    values = json.loads(home.get(detached.KEY).data)
    values["runs"] = {"a-first": entry, "Not A Run": entry, **values["runs"], "z-last": entry}
    home.put(detached.KEY, json.dumps(values).encode())
    assert detached.visit(home, lambda _: None, 5.0, lambda event, said: told.append((event, said["run"]))) == 1
    assert [one for one in told if one[0] == "forgotten"] == [("forgotten", run) for run in FORGOTTEN]
    assert list(detached.runs(home)) == [of.run]


FORGOTTEN = ("a-first", "Not A Run", "z-last")


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("head", b"[" * 5000), ("lease", b'{"attempt": "three"}'), ("spec", b"{}"), ("url", "memcached://[::1/x"),
        ("url", "s3://"), ("url", "file://a/b"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_with_one_run_the_others_are_looked_after(home, store, what, data):
    """It stays in the list, as it may be mended; each visit says what is wrong."""
    of, told = begin(store), []
    odd = begin(store, run="an-odd-one")
    detached.add(home, odd.run, store.url if what != "url" else data, odd.sha256)
    detached.add(home, of.run, store.url, of.sha256)
    if what != "url":
        key = {"head": Keys(odd.run).head, "lease": Keys(odd.run).lease(0), "spec": Keys(odd.run).spec}[what]
        store.put(key, data)
    started = []
    assert detached.visit(home, started.append, 5.0, lambda event, said: told.append((event, said.get("run")))) == 2
    assert ("unvisited", odd.run) in told or what == "lease"
    assert [p.run for p in started if p.run == of.run] == [of.run] * 3


def test_a_run_whose_specification_was_replaced_is_left_alone(home, store):
    """Its workers would only refuse."""
    of, told = begin(store), []
    detached.add(home, of.run, store.url, "0" * 64)
    assert (
        detached.visit(home, lambda _: pytest.fail("started"), 1.0, lambda event, said: told.append(said["reason"]))
        == 1
    )
    assert "somebody has replaced it" in told[0]
