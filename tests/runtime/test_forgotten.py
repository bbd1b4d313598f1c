"""A run whose store has forgotten it goes on from its checkpoint store."""

import pytest

from nnlite.errors import RunError, RunNotFound, UsageError
from nnlite.protocol.records.head import DONE, STOPPED
from nnlite.protocol.records.keys import LIFE, Keys
from nnlite.runs import lifecycle
from nnlite.store import open_store
from nnlite.store.memory import MemoryStore
from tests.runtime import small

ROWS = small.dataset(200)
KEYS = Keys("small")
PROTOCOLS = {
    "averaging": {"checkpoint_every": 2},
    "downpour": {"protocol": "downpour", "push_every": 1, "pull_every": 1, "eval_every": 0, "checkpoint_every": 4},
}


@pytest.fixture
def durable(tmp_path):
    return open_store(f"file://{tmp_path / 'durable'}")


def make(durable, protocol):
    return small.spec(ROWS, 2, 6, checkpoint_store=durable.url, **PROTOCOLS[protocol])


def interrupted(of, round, num_rounds=None):
    """A store with a run that was interrupted after so many rounds."""

    def tell(event, values):
        if event == "round" and values["round"] >= round:
            raise KeyboardInterrupt

    store = MemoryStore()
    with pytest.raises(KeyboardInterrupt):
        small.train(store, of, ROWS, tell=tell)
    return store


def forget(store, what):
    """Everything but the shards, which the runs of these tests keep in the same store; or one object."""
    if what != "all":
        store.delete({"spec": KEYS.spec, "head": KEYS.head}.get(what) or newest(store))
        return
    for key in [key for key in store._space.values if key.startswith("runs/")]:
        store.delete(key)


def newest(store):
    return max(key for key in store._space.values if "/ckpt/" in key)


@pytest.mark.parametrize("what", ["all", "spec", "head", "checkpoint", "nothing"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_interrupted_run_goes_on_whatever_is_forgotten(protocol, what, durable):
    of = make(durable, protocol)
    store = interrupted(of, 2 if protocol == "averaging" else 10)
    if what != "nothing":
        forget(store, what)
    found = lifecycle.find(store, of.run, durable.url)
    assert found == of
    attempts, first = lifecycle.reopen(store, found)
    assert first >= (2 if protocol == "averaging" else 8)
    last = lifecycle.Driver(store, found, None, first).drive(attempts)
    assert last.status == DONE
    if protocol == "averaging":
        calm = MemoryStore()
        wanted = small.final(calm, small.spec(ROWS, 2, 6), small.train(calm, small.spec(ROWS, 2, 6), ROWS))
        assert small.final(store, of, last) == wanted
    else:
        assert last.steps == (6 * 13,) * 2
        assert (last.result >= LIFE) == (what in ("all", "head", "checkpoint"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_of_a_run_that_is_done_the_result_is_there(protocol, durable):
    of, store = make(durable, protocol), MemoryStore()
    last = small.train(store, of, ROWS)
    wanted = lifecycle.result(store, of, last)
    forget(store, "all")
    found = lifecycle.find(store, of.run, durable.url)
    assert lifecycle.last_known(store, found) == last
    assert (lifecycle.result(store, found, last).weights == wanted.weights).all()
    with pytest.raises(RunError, match="is done"):
        lifecycle.reopen(store, found)


def test_what_was_found_in_the_checkpoint_store_alone_is_looked_at_without_being_put_back(durable):
    of = make(durable, "averaging")
    store = interrupted(of, 2)
    forget(store, "all")
    assert lifecycle.last_known(store, lifecycle.find(store, of.run, durable.url)).round >= 2
    assert not small.exists(store, KEYS.spec)
    assert not small.exists(store, KEYS.head)


def test_who_names_no_checkpoint_store_or_another_one_is_told(durable, tmp_path):
    of = make(durable, "averaging")
    store = interrupted(of, 2)
    with pytest.raises(UsageError, match=r"keeps its checkpoints in file://.*durable.*not in file://.*other"):
        lifecycle.find(store, of.run, f"file://{tmp_path}/other")
    forget(store, "all")
    with pytest.raises(RunNotFound, match="checkpoint_store="):
        lifecycle.find(store, of.run)
    with pytest.raises(RunNotFound, match=r"no run 'small' in memory.* nor in file://.*other"):
        lifecycle.find(store, of.run, f"file://{tmp_path}/other")


def test_a_name_is_taken_once_in_the_checkpoint_store_too(durable):
    """Else the second run would go on from checkpoints of the first."""
    of, store = make(durable, "averaging"), MemoryStore()
    lifecycle.begin(store, store, of, ROWS)
    other = MemoryStore()
    with pytest.raises(RunError, match=r"a run 'small' in file://.*durable already"):
        lifecycle.begin(other, other, small.spec(ROWS, 2, 6, checkpoint_store=durable.url, checkpoint_every=2), ROWS)
    assert not small.exists(other, KEYS.spec)


def test_a_name_that_is_taken_in_the_store_takes_none_in_the_checkpoint_store(durable):
    store = MemoryStore()
    lifecycle.begin(store, store, small.spec(ROWS, 2, 6), ROWS)
    with pytest.raises(RunError, match=r"a run 'small' in memory:.* already"):
        lifecycle.begin(store, store, make(durable, "averaging"), ROWS)
    assert not small.exists(durable, KEYS.spec)


def test_both_may_be_the_same_store(durable):
    of = make(durable, "averaging")
    assert small.train(durable, of, ROWS).status == DONE


def test_who_died_while_it_was_put_back_changes_nothing(durable):
    """Reopening is done again and again, with a crash after every one of its requests."""
    of = make(durable, "downpour")
    store = interrupted(of, 10)
    forget(store, "all")
    count = 0
    while True:
        count += 1
        found, dying = lifecycle.find(store, of.run, durable.url), Dying(store, count)
        try:
            lifecycle.reopen(dying, found)
            break
        except ConnectionError:
            assert lifecycle.last_known(store, found).status in ("running", STOPPED)
    assert count > 5
    attempts, first = lifecycle.reopen(store, found)
    assert lifecycle.Driver(store, found, None, first).drive(attempts).steps == (6 * 13,) * 2


class Dying(MemoryStore):
    """Another store's objects, and an error at the n-th request."""

    def __init__(self, inner, at):
        super().__init__()
        self._space, self.left = inner._space, at

    def get(self, key):
        self._count()
        return super().get(key)

    def put(self, key, data, *, if_version=None):
        self._count()
        super().put(key, data, if_version=if_version)

    def _count(self):
        self.left -= 1
        if self.left <= 0:
            raise ConnectionError("died")
