"""`tools.status` and `tools.stop` on runs of this machine: from the store alone, whoever runs them."""

import json
import threading
from dataclasses import replace

import pytest

from nnlite.commands import status as status_tool
from nnlite.commands import stop as stop_tool
from nnlite.commands.program import run
from nnlite.errors import StoreUnavailable, UsageError
from nnlite.protocol.records import lease
from nnlite.protocol.records.head import STOPPED, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.usage import Usage
from nnlite.runs import lifecycle
from nnlite.runs.status import ALIVE, LATE, LOST, WAITING, Surveyor
from nnlite.runtime.performer import Performer, perform
from nnlite.store import open_store
from nnlite.store.file import FileStore
from nnlite.store.listing import run_ids
from tests.runtime import small
from tests.tools.conftest import Done

ROWS = small.dataset()


@pytest.fixture
def tool(capfd):
    """tool("status", *argv), tool("stop", *argv)"""

    def call(name: str, *argv: object) -> Done:
        module = {"status": status_tool, "stop": stop_tool}[name]
        capfd.readouterr()
        code = run(module.main, module._parser(), [str(a) for a in argv])
        return Done(code, *capfd.readouterr())

    return call


def test_runs_of_a_folder_are_listed_seen_and_stopped(train, start, case_file, tool):
    assert train("--case", case_file(), "--run", "first", "--rounds", 1).code == 0
    process = start("--case", case_file(), "--run", "second", "--rounds", 100_000, "--workers", 2)
    assert process.stdout.readline().startswith("round")
    lines = tool("status").out.splitlines()
    assert [line.split()[:2] for line in lines] == [["first", "done"], ["second", "running"]]
    assert "1/1" in lines[0]
    assert "$0.00" in lines[1]
    assert tool("stop", "second").out.startswith("second: stopped")
    _, err = process.communicate(timeout=180)
    assert (process.returncode, "stopped by tools.stop" in err) == (1, True)
    seen = json.loads(tool("status", "second", "--json").out)
    assert (seen["status"], seen["reason"], seen["workers"]["left"]) == ("stopped", "stopped by tools.stop", 2)
    assert seen["attempts"] == seen["cost"]["invocations"] == 2
    assert tool("stop", "--all").out == ""  # neither of them runs
    assert "run second is stopped: there is nothing to stop" in tool("stop", "second").err


def test_bad_input_is_one_line_with_the_next_step(tool, train, case_file):
    for argv, code, says in (
        (("status",), 0, "there are no runs in file://"),
        (("status", "--json"), 0, "there are no runs in file://"),
        (("stop", "--all"), 0, "there are no runs in file://"),
        (("status", "--follow"), 2, "--follow follows one run: name a RUN"),
        (("status", "nobody"), 1, "no run 'nobody' in file://"),
        (("status", "../x"), 2, "run id '../x'"),
        (("status", "--store", "memcached://127.0.0.1:1/x"), 2, "cannot be asked which runs it holds: name a RUN"),
        (("status", "--region", "eu-west-1"), 2, "--region is for --platform lambda"),
        (("stop", "x", "--stack-name", "mine"), 2, "--stack-name is for --platform lambda"),
        (("status", "--platform", "openfaas"), 2, "name its --store"),
        (
            ("stop", "--force", "--store", "x"),
            2,
            "--force is for all functions of a stack on AWS Lambda: leave --store",
        ),
        (("stop", "--release", "--platform", "openfaas"), 2, "leave --platform openfaas out"),
        (("stop",), 2, "stop what? Name a RUN, or say --all, or --force"),
        (("stop", "x", "--all"), 2, "stop what?"),
        (("stop", "nobody"), 1, "no run 'nobody'"),
    ):
        done = tool(*argv)
        assert (done.code, says in done.err, done.err.count("\n"), done.out) == (code, True, 1, ""), (argv, done.err)


@pytest.mark.parametrize("damage", ["spec gone", "spec damaged", "head damaged", "lease damaged"])
def test_one_damaged_run_keeps_no_other_from_being_seen_and_stopped(tool, tmp_path, damage):
    """All runs of a store are stopped because they cost money: the damaged one is named, and the exit code is 1. It is
    stopped as well, as far as its head can be read."""
    store = FileStore(tmp_path / "s")
    for name in ("first", "second", "third"):
        lifecycle.begin(store, store, replace(small.spec(ROWS, 1, 3), run=name), ROWS)
        perform(lease.acquire(Keys(name).lease(0), 1, "h"), Performer(store))
    keys = Keys("second")
    if damage == "spec gone":
        store.delete(keys.spec)
    else:
        key = {"spec damaged": keys.spec, "head damaged": keys.head, "lease damaged": keys.lease(0)}[damage]
        store.put(key, b"{")
    seen = tool("status", "--store", store.url)
    assert (seen.code, [line.split()[0] for line in seen.out.splitlines()]) == (1, ["first", "third"])
    stopped = tool("stop", "--all", "--store", store.url)
    named = {line.split(";")[0] for line in stopped.out.splitlines()}
    assert {"first: stopped", "third: stopped"} <= named
    for done in [seen] if damage == "lease damaged" else [seen, stopped]:
        (line,) = done.err.splitlines()
        assert line.startswith("second: ")
    assert (stopped.code, "second: stopped" in named) == ((0, True) if damage == "lease damaged" else (1, False))
    if damage != "head damaged":
        assert Head.from_json(store.get(keys.head).data, keys.head).status == STOPPED
        if damage != "lease damaged":
            assert "by its head, it is stopped" in stopped.err


def test_a_store_that_is_not_reached_is_said_once_for_all_runs(tool, tmp_path, monkeypatch):
    """Each of them would be waited for, and none stopped."""
    store, asked = FileStore(tmp_path / "s"), []
    for name in ("first", "second"):
        lifecycle.begin(store, store, replace(small.spec(ROWS, 1, 3), run=name), ROWS)

    def unreached(self, key):
        asked.append(key)
        raise StoreUnavailable("nobody is there")

    monkeypatch.setattr(FileStore, "get", unreached)
    done = tool("stop", "--all", "--store", store.url)
    assert (done.code, done.out, done.err) == (1, "", "error: nobody is there\n")
    assert not [key for key in asked if "second" in key]


def test_copies_of_a_run_are_not_taken_for_it(tool, tmp_path):
    """To stop what stands in the checkpoint store stops nobody, and spoils what the run goes on from."""
    store, copies = FileStore(tmp_path / "s"), FileStore(tmp_path / "copies")
    spec = small.spec(ROWS, 1, 3, checkpoint_store=copies.url, checkpoint_every=1)
    lifecycle.begin(store, store, spec, ROWS)
    keys = Keys(spec.run)
    copies.put(keys.spec, store.get(keys.spec).data)
    copies.put(keys.head, store.get(keys.head).data)
    one = tool("stop", spec.run, "--store", copies.url)
    assert (one.code, one.out) == (1, "")
    assert f"has copies of run {spec.run}, and not the run: name its own --store" in one.err
    every = tool("stop", "--all", "--store", copies.url)
    assert (every.code, every.out, every.err) == (0, "", "")
    assert copies.get(keys.head).data == store.get(keys.head).data
    assert tool("stop", "--all", "--store", store.url).out.startswith(f"{spec.run}: stopped")


# ---- who lives


@pytest.fixture
def watched(tmp_path):
    """A store with a run of three workers, a clock, and somebody who looks by it."""
    store, now = FileStore(tmp_path / "s"), [0.0]
    of = small.spec(ROWS, 3, 100, lease_ttl_s=10.0, beat_s=2.0, slice_s=0.5)
    lifecycle.begin(store, store, of, ROWS)
    return store, of, now, Surveyor(store, of, clock=lambda: now[0])


def test_only_a_lease_that_moves_is_alive(watched):
    store, of, now, surveyor = watched
    keys, performer = Keys(of.run), Performer(store)
    held = {w: perform(lease.acquire(keys.lease(w), 1, "h"), performer) for w in (0, 1)}  # the third never came
    assert surveyor.look().workers == (WAITING,) * 3
    now[0] = 2.0
    held[0] = perform(lease.renew(keys.lease(0), held[0]), performer)
    assert surveyor.look().workers == (ALIVE, WAITING, WAITING)
    now[0] = 4.0
    held[0] = perform(lease.renew(keys.lease(0), held[0]), performer)
    assert surveyor.look().workers == (ALIVE, LATE, LATE)
    now[0] = 11.0
    assert surveyor.look().workers == (LATE, LOST, LOST)
    perform(lease.renew(keys.lease(1), held[1]), performer)
    assert surveyor.look().workers == (LATE, ALIVE, LOST)


def test_what_was_used_is_what_the_leases_say(watched):
    store, of, _, surveyor = watched
    for worker in (0, 2):
        key = Keys(of.run).lease(worker)
        held = perform(lease.acquire(key, 3, "h"), Performer(store))
        perform(lease.renew(key, replace(held, own=Usage(10.0, num_reads=7))), Performer(store))
    account = surveyor.look().account
    assert (account.attempts, account.used.seconds, account.used.num_reads) == (6, 20.0, 14)


def test_following_ends_with_the_run(tool, tmp_path, monkeypatch):
    store = FileStore(tmp_path / "s")
    of = small.spec(ROWS, 1, 3)
    lifecycle.begin(store, store, of, ROWS)
    seen, look = threading.Event(), Surveyor.look

    def looking(surveyor):
        found = look(surveyor)
        seen.set()
        return found

    monkeypatch.setattr(Surveyor, "look", looking)
    driver = threading.Thread(target=lambda: (seen.wait(), lifecycle.Driver(store, of).drive({0: 1})))
    driver.start()
    lines = tool("status", of.run, "--store", store.url, "--follow").out.splitlines()
    driver.join()
    assert "running" in lines[0]
    assert "done (all rounds done)  round 3/3" in lines[-1]


def test_a_memcached_cannot_be_listed():
    with pytest.raises(UsageError, match="name a RUN"):
        run_ids(open_store("memcached://127.0.0.1:1/x"))
