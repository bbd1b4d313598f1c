"""A run that was interrupted and taken up again is, byte for byte, one that was not."""

import time

import pytest

from nnlite import nn
from nnlite.errors import RunError
from nnlite.protocol.records import head
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.roles import watcher
from nnlite.runs import lifecycle
from nnlite.runtime.performer import Performer, perform
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from tests.runtime import small

ROWS = small.dataset(200)
OF = small.spec(ROWS, 3, 6, optimizer=nn.Adam(0.01), network=small.mlp(nn.Dropout(0.2)))


@pytest.fixture(scope="module")
def undisturbed() -> bytes:
    store = MemoryStore()
    return small.final(store, OF, small.train(store, OF, ROWS))


def interrupt_after(round: int):
    def tell(event, values):
        if event == "round" and values["round"] == round:
            raise KeyboardInterrupt

    return tell


@pytest.mark.parametrize("num_processes", [0, 2])
@pytest.mark.parametrize("round", [0, 3, 5])
def test_interrupted_and_resumed(num_processes, round, tmp_path, undisturbed):
    store, platforms = FileStore(tmp_path), []
    with pytest.raises(KeyboardInterrupt):
        small.train(store, OF, ROWS, num_processes, tell=interrupt_after(round), started=platforms.append)
    assert all(platform.pids() == [] for platform in platforms)
    stopped = Head.from_json(store.get(Keys(OF.run).head).data, Keys(OF.run).head)
    # with several processes the workers may have got through the last rounds meanwhile
    assert (stopped.status, stopped.reason) in {("stopped", "interrupted"), ("done", "all rounds done")}
    if stopped.status == "stopped":
        assert small.exists(store, Keys(OF.run).checkpoint(stopped.round))
        stopped = small.resume(store, OF, 2 - num_processes)
    assert small.final(store, OF, stopped) == undisturbed


def test_interrupted_again_and_again(undisturbed):
    store, last = MemoryStore(), None
    with pytest.raises(KeyboardInterrupt):
        small.train(store, OF, ROWS, tell=interrupt_after(0))
    for round in (1, 2, 4):
        with pytest.raises(KeyboardInterrupt):
            small.resume(store, OF, tell=interrupt_after(round))
    last = small.resume(store, OF)
    assert small.final(store, OF, last) == undisturbed


def test_interrupted_before_the_first_checkpoint_was_there(undisturbed):
    """The command died between creating the specification and all that follows from it."""
    store = MemoryStore()
    lifecycle.begin(store, store, OF, ROWS)
    store.delete(Keys(OF.run).head)
    store.delete(Keys(OF.run).checkpoint(0))
    assert small.final(store, OF, small.resume(store, OF)) == undisturbed


def test_a_finished_run_is_not_taken_up_again():
    store = MemoryStore()
    small.train(store, OF, ROWS)
    with pytest.raises(RunError, match=r"run small is done \(all rounds done\): there is nothing to resume"):
        lifecycle.reopen(store, OF)


def test_a_name_is_taken_once():
    store = MemoryStore()
    lifecycle.begin(store, store, OF, ROWS)
    with pytest.raises(RunError, match=r"a run 'small' in memory:.* already: go on with it \(resume=\'small\'\)"):
        lifecycle.begin(store, store, OF, ROWS)


def test_no_result_before_the_end():
    store = MemoryStore()
    lifecycle.begin(store, store, OF, ROWS)
    with pytest.raises(RunError, match=r"run small is running, at round 0/\d+: no result yet"):
        lifecycle.result(store, OF, Head())


def test_whoever_was_killed_while_combining_keeps_nobody_waiting():
    of, store = small.spec(ROWS, 2, 3, protocol="downpour", lease_ttl_s=20.0), MemoryStore()
    lifecycle.begin(store, store, of, ROWS)
    store.put(Keys(of.run).combine, Lease(1, "killed").to_json(Keys(of.run).combine))
    began_s = time.monotonic()
    assert small.resume(store, of).status == "done"
    assert time.monotonic() - began_s < 10


def test_a_run_that_ends_while_it_is_taken_up_again_stays_ended():
    store = MemoryStore()
    last = small.train(store, OF, ROWS)
    perform(watcher.reopen(OF), Performer(store))
    assert perform(head.read(OF), Performer(store))[0] == last


def test_an_error_that_nobody_foresaw_ends_the_run_as_well():
    def tell(event, values):
        raise BrokenPipeError("nobody reads this")

    store = MemoryStore()
    with pytest.raises(BrokenPipeError):
        small.train(store, OF, ROWS, tell=tell)
    assert perform(head.read(OF), Performer(store))[0].status == "failed"
