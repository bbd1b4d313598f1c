"""What cannot go on ends with one clear error, and keeps its last checkpoint."""

import subprocess
import threading
import time
from dataclasses import replace

import pytest

from nnlite import data, nn, weights
from nnlite.errors import DataNotFound, NnliteError, RunError, StoreError, StructureError, WeightsError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.records.head import Head
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.spec import FORMAT
from nnlite.protocol.roles import watcher
from nnlite.runs import lifecycle
from nnlite.runtime import trainer
from nnlite.runtime.performer import Performer, perform
from nnlite.runtime.workers import Workers, read_spec
from nnlite.store import Versioned
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from tests.runtime import small

ROWS = small.dataset(60)
OF = small.spec(ROWS, 2, 5)
KEYS = Keys(OF.run)


def head(store) -> Head:
    return Head.from_json(store.get(KEYS.head).data, KEYS.head)


@pytest.mark.parametrize("num_processes", [0, 2])
def test_a_loss_that_is_no_number_says_where_and_what_to_try(num_processes, tmp_path):
    store = FileStore(tmp_path)
    of = small.spec(ROWS, 2, 50, optimizer=nn.SGD(1e38))
    last = small.train(store, of, ROWS, num_processes)
    assert last.status == "failed"
    assert "the loss is no longer a number (round " in last.reason
    assert "worker " in last.reason
    assert "try a smaller learning_rate=" in last.reason
    assert last.round <= 2
    assert small.exists(store, KEYS.checkpoint(last.round))
    with pytest.raises(RunError, match=r"run small failed: .*no longer a number"):
        lifecycle.result(store, of, last)


def test_the_worker_that_diverges_is_the_one_named():
    """Only worker 1 has a row that breaks: numbers so large that sums of them overflow."""
    x, test = (split.x.reshape(len(split), 25).astype("float32") for split in (ROWS.train, ROWS.test))
    train_split, test_split = data.Split(x, ROWS.train.y), data.Split(test, ROWS.test.y)
    broken = data.Dataset("tiny", train_split, test_split, small.CLASSES, (), (0.0,), (1.0,))
    mine = data.shards.assign(60, 2)[1]
    x[mine[0]] = 3e38
    of = small.spec(broken, 2, network=nn.Sequential([nn.Dense(4)], (25,)), optimizer=nn.SGD(1e-4))
    last = small.train(MemoryStore(), of, broken)
    assert last.reason.startswith("the loss is no longer a number (round 0, worker 1): try")


class Damaging(MemoryStore):
    """Hands out a checkpoint with one bit flipped."""

    damaged = ""

    def get(self, key: str) -> Versioned:
        found = super().get(key)
        if key != self.damaged:
            return found
        return Versioned(found.data[:-1] + bytes([found.data[-1] ^ 1]), found.version)


class Mixing(MemoryStore):
    """Hands out the object of another key in place of one."""

    asked = answered = ""

    def get(self, key: str) -> Versioned:
        return super().get(self.answered if key == self.asked else key)

    def get_many(self, keys):
        return super().get_many([self.answered if key == self.asked else key for key in keys])


@pytest.mark.parametrize("name", ["ckpt/00000002", "rounds/000001/1/00001"])
def test_an_object_of_another_run_ends_the_run_and_is_never_taken_for_its_own(name):
    store = Mixing()
    store.asked, store.answered = f"runs/small/{name}", f"runs/other/{name}"
    small.train(store, replace(OF, run="other", seed=2, num_rounds=2, checkpoint_every=1), ROWS)
    if "rounds" in name:  # a contribution, which that run has deleted: the same round of the same network
        checkpoint = weights.decode(store.get("runs/other/ckpt/00000001").data)
        store.put(store.answered, contribution.under(checkpoint, store.answered))
    with pytest.raises(StoreError, match=rf"{store.asked}: what the store answers says that it is '{store.answered}'"):
        small.train(store, OF, ROWS)
    assert head(store).status == "failed"
    assert store.answered in head(store).reason


def test_a_damaged_checkpoint_and_back():
    store = Damaging()
    store.damaged = KEYS.checkpoint(2)
    with pytest.raises(WeightsError, match=r"runs/small/ckpt/00000002.*content hash"):
        small.train(store, OF, ROWS)
    assert (head(store).status, head(store).round) == ("failed", 2)
    store.damaged = ""
    calm = MemoryStore()
    assert small.final(store, OF, small.resume(store, OF)) == small.final(calm, OF, small.train(calm, OF, ROWS))


@pytest.mark.parametrize("num_processes", [0, 2])
def test_a_checkpoint_of_another_network(num_processes, tmp_path):
    store = FileStore(tmp_path)
    lifecycle.begin(store, store, OF, ROWS)
    other = trainer.initial(small.spec(ROWS, network=small.mlp(hidden=9)))
    store.put(KEYS.checkpoint(0), contribution.encode(other, Tally(), KEYS.checkpoint(0)))
    kind = RunError if num_processes else StructureError
    with pytest.raises(kind, match=r"ckpt/00000000 has .*another network or optimizer"):
        small.resume(store, OF, num_processes)
    assert head(store).status == "failed"
    assert "another network" in head(store).reason


@pytest.mark.parametrize("num_processes", [0, 2])
def test_a_shard_that_is_gone(num_processes, tmp_path):
    store = FileStore(tmp_path)
    lifecycle.begin(store, store, OF, ROWS)
    (shard,) = (tmp_path / "datasets").glob("*/train-of-2/00001")
    shard.unlink()
    with pytest.raises(RunError if num_processes else DataNotFound, match=r"shard datasets/tiny-.*/train-of-2/00001"):
        small.resume(store, OF, num_processes)
    assert head(store).status == "failed"


def test_a_checkpoint_that_is_gone():
    store = MemoryStore()
    lifecycle.begin(store, store, OF, ROWS)
    store.delete(KEYS.checkpoint(0))
    last = small.resume(store, OF)
    assert last.status == "failed"
    assert last.reason.startswith("checkpoint runs/small/ckpt/00000000 is missing in the store: ")


class Failing(MemoryStore):
    """Refuses to write after a number of writes, as a store that became full or read-only does."""

    left = 10**9

    def put(self, key, data, *, if_version=None):
        self.left -= 1
        if self.left < 0:
            raise StoreError(f"cannot write {key!r}: no space left")
        super().put(key, data, if_version=if_version)


@pytest.mark.parametrize("writes", [8, 15, 16, 17, 18, 19, 20, 30])
def test_a_store_that_fails_in_mid_run_and_back(writes):
    store, story = Failing(), small.Story()
    lifecycle.begin(store, store, OF, ROWS)
    store.left = writes
    with pytest.raises(StoreError, match="no space left"):
        small.resume(store, OF, tell=story)
    assert small.exists(store, KEYS.checkpoint(head(store).round))
    assert story.all("unsaved") == [{"reason": story.all("unsaved")[0]["reason"]}]
    store.left = 10**9
    calm = MemoryStore()
    assert small.final(store, OF, small.resume(store, OF)) == small.final(calm, OF, small.train(calm, OF, ROWS))


def test_a_disk_that_fills_up_under_the_workers(small_disk):
    """Every checkpoint is kept, in 1 MB: with room made, the run goes on from where it stood."""
    of = small.spec(ROWS, 2, 60, checkpoint_every=1, network=small.mlp(hidden=150), optimizer=nn.Adam(0.001))
    store = FileStore(small_disk / "store")
    with pytest.raises(NnliteError, match=r"No space left on device: [\d,]+ bytes wanted"):
        small.train(store, of, ROWS, 2)
    reached = head(store).round
    assert 0 < reached < 60
    assert small.exists(store, KEYS.checkpoint(reached))
    for version in range(reached - 2):
        store.delete(KEYS.checkpoint(version))
    shorter = read_spec(store, of.run)
    assert shorter == of
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    last = small.resume(store, of, 2)
    calm = MemoryStore()
    assert small.final(store, of, last) == small.final(calm, of, small.train(calm, of, ROWS))


def test_a_spec_that_is_not_ours(tmp_path):
    store = MemoryStore()
    with pytest.raises(RunError, match=r"no run 'nothing' in memory:.*store="):
        read_spec(store, "nothing")
    store.put(Keys("odd").spec, b"{}")
    with pytest.raises(StoreError, match=r"runs/odd/spec\.json is not a run's specification"):
        read_spec(store, "odd")
    store.put(Keys("odd").spec, OF.to_json().replace(f'"format": {FORMAT}'.encode(), b'"format": 7'))
    with pytest.raises(StoreError, match=f"format: expected a whole number, {FORMAT} .*, found 7"):
        read_spec(store, "odd")


@pytest.mark.parametrize("num_processes", [0, 1])
def test_a_run_that_vanishes(num_processes, tmp_path):
    store = FileStore(tmp_path)

    def tell(event, values):
        if event == "round" and values["round"] == 1:
            store.delete(KEYS.head)

    last = small.train(store, small.spec(ROWS, 2, 5000), ROWS, num_processes, tell=tell)
    assert last.status == "failed"
    assert last.reason.startswith("the run small is no longer in the store: ")


def test_it_ends_at_the_step_that_broke_and_not_after_the_round(monkeypatch):
    calls, original = [], trainer.Trainer.train

    def train(self, *more):
        calls.append(self.worker)
        return original(self, *more)

    monkeypatch.setattr(trainer.Trainer, "train", train)
    of = small.spec(ROWS, 1, 2, optimizer=nn.SGD(1e38), steps_per_round=1000, slice_s=60.0)
    last = small.train(MemoryStore(), of, ROWS)
    assert (last.status, last.round, calls) == ("failed", 0, [0])


def test_weights_that_broke_in_the_last_step_are_never_averaged():
    """The loss of that step was still a number; what it made of the weights is not."""
    last = small.train(MemoryStore(), small.spec(ROWS, 2, 5, optimizer=nn.SGD(1e39), steps_per_round=1), ROWS)
    assert (last.status, last.round) == ("failed", 0)
    assert "(round 0, worker 0)" in last.reason


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_of_rounds_too_short_to_look_up_in_see_that_their_run_was_stopped(num_workers, tmp_path):
    """Nobody tells them: the next checkpoint is always there before it is time for a look at the head."""
    store = FileStore(tmp_path / "store")
    of = small.spec(ROWS, num_workers, 10**6, look_s=0.3)
    lifecycle.begin(store, store, of, ROWS)
    reasons = []

    def work(worker):
        workers = Workers(store, of.run)
        key = workers.add(worker, 1)
        workers.scheduler.run(until=key)
        reasons.append(workers.scheduler.results[key].reason)

    threads = [threading.Thread(target=work, args=(worker,), daemon=True) for worker in range(num_workers)]
    for thread in threads:
        thread.start()
    while lifecycle.standing(store, of).round < 3:
        time.sleep(0.01)
    perform(watcher.stop(of.run, "enough"), Performer(store))
    for thread in threads:
        thread.join(20)
    assert reasons == ["the run is stopped: enough"] * num_workers
