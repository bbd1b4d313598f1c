"""Stores that are wrong, away, foreign, damaged or forgetful: one clear line each, and nothing is lost."""

from dataclasses import replace

import pytest

from nnlite.commands import report, status, stop
from nnlite.commands.program import run
from nnlite.errors import NotFound
from nnlite.protocol.records.head import FAILED, Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.roles import watcher
from nnlite.runs import lifecycle
from nnlite.runtime.performer import Performer, perform
from nnlite.runtime.workers import read_spec
from nnlite.store import open_store
from tests.servers import BUCKET, Memcached, free_ports, need_memcached
from tests.tools.conftest import Done
from tests.tools.test_train_bad_input import QUICK, check

CASE = ("--case", "c", "--dataset", "fashion-sample", "--workers", 2, "--processes", 0)
SOME = (*CASE, "--rounds", 2, "--steps-per-round", 2)


@pytest.fixture
def call(capfd):
    """call(module of a tool, *argv)"""

    def made(module, *argv: object) -> Done:
        capfd.readouterr()
        code = run(module.main, module._parser(), [str(a) for a in argv])
        return Done(code, *capfd.readouterr())

    return made


@pytest.fixture
def nobody():
    """An address where nobody listens."""
    return f"127.0.0.1:{free_ports(1)[0]}"


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
def test_memcached_is_not_there(train, nobody, protocol):
    store = f"memcached://{nobody}/x?attempts=1"
    check(train(*CASE, *QUICK, "--protocol", protocol, "--store", store), 1, nobody, "--store", "cannot be reached")


def test_the_checkpoint_store_is_not_there(train, nobody, tmp_path):
    store = f"memcached://{nobody}/x?attempts=1"
    check(train(*CASE, *QUICK, "--checkpoint-store", store), 1, nobody, "cannot be reached")


def test_s3_is_not_there(train, nobody, credentials):
    store = f"s3://{BUCKET}/x?endpoint=http://{nobody}&attempts=1"
    check(train(*CASE, *QUICK, "--store", store), 1, f"http://{nobody}", "cannot be reached", "--store")


def test_access_denied_is_not_not_there_and_no_secret_is_shown(start, s3):
    store = f"s3://{BUCKET}/x?endpoint={s3}"
    process = start(*CASE, *QUICK, "--store", store, AWS_SECRET_ACCESS_KEY="very-secret-word")
    out, err = process.communicate(timeout=180)
    check(Done(process.returncode, out, err), 1, "credentials", "AWS_PROFILE")
    assert "very-secret-word" not in out + err


def test_a_value_over_the_limits(train, monkeypatch):
    """Keys have limits; a run's id is part of them, and is refused at the door."""
    check(train(*CASE, *QUICK, "--run", "x" * 65), 2, "use 1 to 64 of a-z")


def test_two_runs_of_one_name(train, tmp_path):
    first = train(*SOME, "--run", "mine", "--store", tmp_path / "s")
    assert first.code == 0
    before = open_store(str(tmp_path / "s")).get(Keys("mine").spec)
    check(train(*SOME, "--run", "mine", "--seed", 5, "--store", tmp_path / "s"), 1, "'mine'", "--resume mine", "--run")
    assert open_store(str(tmp_path / "s")).get(Keys("mine").spec) == before


DAMAGE = {
    "foreign head": ("head", b"<html>not ours</html>", "is not the head of a run (damaged, or not ours)"),
    "damaged spec": ("spec", b"{", "is not a run's specification"),
    "foreign checkpoint": ("checkpoint", b"\x89PNG", "is not a sound safetensors file"),
    "gone checkpoint": ("checkpoint", None, "is missing in the store"),
    "foreign lease": ("lease", b"[]", "is not a lease (damaged, or not ours)"),
}


@pytest.mark.parametrize("protocol", ["averaging", "downpour"])
@pytest.mark.parametrize("what", DAMAGE)
def test_foreign_or_damaged_objects_under_our_keys(what, protocol, train, tmp_path, stopped):
    place, data, words = DAMAGE[what]
    store, keys = stopped(protocol), Keys("mine")
    with open_store(store) as opened:
        round = 0
        key = {"head": keys.head, "spec": keys.spec, "checkpoint": keys.checkpoint(round), "lease": keys.lease(1)}[
            place
        ]
        opened.delete(key) if data is None else opened.put(key, data)
        check(train("--resume", "mine", "--store", store, "--processes", 0), 1, key, words)
        if data is not None:
            assert opened.get(key).data == data  # nothing of what may be somebody's was overwritten


@pytest.fixture
def stopped(train, tmp_path):
    """stopped(protocol): a store with a run that was begun, and stopped before its first step."""

    def begin(protocol):
        store = str(tmp_path / "store")
        assert train(*SOME, "--run", "other", "--protocol", protocol, "--store", store).code == 0
        with open_store(store) as opened:
            keys, mine = Keys("other"), Keys("mine")
            spec = opened.get(keys.spec).data.replace(b'"run": "other"', b'"run": "mine"')
            opened.put(mine.spec, spec)
            with pytest.raises(NotFound):
                opened.get(mine.head)
            of = read_spec(opened, "mine")
            lifecycle.complete(opened, of)
            perform(watcher.stop(of.run, "interrupted"), Performer(opened))
        return store

    return begin


def test_a_memcached_that_forgot_a_run_that_is_to_go_on(train):
    need_memcached()
    with Memcached() as server:
        store = f"memcached://{server.address}/x"
        assert train(*SOME, "--run", "mine", "--store", store).code == 0
        server.restart()
        check(train("--resume", "mine", "--store", store), 1, "no run 'mine'", server.address, "--store")


def test_of_a_run_that_its_store_has_forgotten_nothing_is_said_to_stay(train, tmp_path, monkeypatch):
    url, drive = str(tmp_path / "s"), lifecycle.Driver.drive

    def forgetful(driver, attempts):
        drive(driver, attempts)
        driver.store.delete(Keys("mine").head)
        return Head(status=FAILED, reason="the run mine is no longer in the store")

    monkeypatch.setattr(lifecycle.Driver, "drive", forgetful)
    done = train(*SOME, "--run", "mine", "--store", url)
    assert done.code == 1
    assert done.err.splitlines()[-1] == "error: run mine failed: the run mine is no longer in the store"


def test_a_memcached_that_forgot_a_run_that_has_a_checkpoint_store(train, call, tmp_path):
    """From what is left one can see where the run stood, go on with it, and fetch the weights of a run that is done."""
    need_memcached()
    copies = str(tmp_path / "copies")
    both = (*SOME, "--run", "mine", "--checkpoint-store", copies)
    with Memcached() as server:
        store = f"memcached://{server.address}/x"
        assert train(*both, "--store", store).code == 0
        with open_store(copies) as durable:  # as if it had been interrupted, at its last copy
            head = Head.from_json(durable.get(Keys("mine").head).data, Keys("mine").head)
            durable.put(Keys("mine").head, replace(head.reopened(), counter=9).to_json(Keys("mine").head))
        server.restart()
        assert "mine  running when it was copied here" in call(status, "mine", "--store", copies).out
        assert '"copy": true' in call(status, "mine", "--store", copies, "--json").out
        assert "has copies of head and weights" in call(report, "mine", "--store", copies, "--json").err
        check(call(stop, "mine", "--store", copies), 1, "copies", "own --store")
        check(train("--resume", "mine", "--store", store), 1, "no run 'mine'", "--checkpoint-store")
        going_on = ("--resume", "mine", "--store", store, "--checkpoint-store", copies, "--processes", 0)
        assert train(*going_on, "--dry-run").code == 0
        check(call(status, "mine", "--store", store), 1, "no run 'mine'")  # a plan changes nothing
        assert "test accuracy" in train(*going_on).out
        server.restart()
        (tmp_path / "w.st").unlink(missing_ok=True)
        assert train(*going_on, "--out", tmp_path / "w.st").code == 0
        assert (tmp_path / "w.st").exists()
