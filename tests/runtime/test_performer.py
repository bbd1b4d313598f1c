"""The performer and the scheduler: what effects are answered, and that programs take turns."""

import time

import pytest

from nnlite.errors import StoreError, StoreUnavailable, UsageError
from nnlite.protocol import effects as fx
from nnlite.runtime.performer import Performer, Scheduler, perform
from nnlite.store.memory import MemoryStore


def ask(effect: fx.Effect, store: MemoryStore):
    def program():
        return (yield effect)

    return perform(program(), Performer(store))


def test_the_store_verbs():
    store = MemoryStore()
    assert ask(fx.Get("a"), store) is None
    assert ask(fx.Create("a", b"one"), store) is True
    assert ask(fx.Create("a", b"two"), store) is False
    found = ask(fx.Get("a"), store)
    assert found.data == b"one"
    assert ask(fx.Swap("a", b"two", found), store) is True
    assert ask(fx.Swap("a", b"three", found), store) is False
    assert ask(fx.Swap("b", b"new", None), store) is True
    assert ask(fx.Swap("b", b"newer", None), store) is False
    assert [f and f.data for f in ask(fx.GetMany(("a", "x", "b")), store)] == [b"two", None, b"new"]
    assert ask(fx.Delete("a"), store) is None
    assert ask(fx.Swap("a", b"four", found), store) is False
    assert ask(fx.Get("a"), store) is None


@pytest.mark.parametrize("effect", [fx.Get("a"), fx.Create("a", b""), fx.Swap("a", b"", None)])
def test_a_store_that_fails_is_never_an_answer(effect):
    class Broken(MemoryStore):
        def get(self, key):
            raise StoreError("broken")

        def put(self, key, data, *, if_version=None):
            raise StoreError("broken")

    with pytest.raises(StoreError, match="broken"):
        ask(effect, Broken())


@pytest.mark.parametrize("error", [StoreError("refused"), StoreUnavailable("no answer")])
def test_a_store_that_does_not_delete_is_told_of_once(error):
    """Programs delete what nobody needs any more, so they go on."""

    class Keeping(MemoryStore):
        def delete(self, key):
            raise error

    def program():
        yield fx.Delete("a")
        yield fx.DeleteMany(("a", "b"))
        yield fx.Delete("a", durable=True)
        return "done"

    told = []
    performer = Performer(Keeping(), durable=Keeping(), tell=lambda event, values: told.append((event, values)))
    assert perform(program(), performer) == "done"
    assert told == [("uncleaned", {"reason": str(error)})]


def test_an_error_of_ours_in_deleting_is_no_refusal_of_the_store():
    with pytest.raises(UsageError):
        ask(fx.Delete("No Key"), MemoryStore())


def test_an_effect_that_nobody_knows():
    class Strange(fx.Effect):
        pass

    with pytest.raises(TypeError, match=r"no performer for .*Strange"):
        ask(Strange(), MemoryStore())


def test_sleepers_wake_in_order_and_on_time():
    woken = []

    def sleeper(name, seconds):
        began = yield fx.Now()
        yield fx.Sleep(seconds)
        woken.append(name)
        return (yield fx.Now()) - began

    scheduler = Scheduler()
    performer = Performer(MemoryStore())
    keys = [scheduler.add(sleeper(name, s), performer) for name, s in (("c", 0.09), ("a", 0.03), ("b", 0.06))]
    scheduler.run()
    assert woken == ["a", "b", "c"]
    assert all(scheduler.results[key] >= s for key, s in zip(keys, (0.09, 0.03, 0.06), strict=True))


def test_who_trains_lets_others_have_a_turn():
    """Training comes in slices; a sleeper whose time has come does not wait for the end of all of them."""

    class Slow:
        def train(self, *_):
            time.sleep(0.01)
            return fx.TrainingSums(False, 0, 0.0)

    order = []

    def trains(name):
        for _ in range(10):
            yield fx.Train(0.01)
            order.append(name)

    def sleeps():
        yield fx.Sleep(0.02)
        order.append("sleeper")

    scheduler, performer = Scheduler(), Performer(MemoryStore(), trainer=Slow())
    for program in (trains("a"), trains("b"), sleeps()):
        scheduler.add(program, performer)
    scheduler.run()
    assert order[:2] == ["a", "b"]
    assert order.index("sleeper") < 8


def test_it_stops_when_the_one_that_matters_is_through():
    def endless():
        while True:
            yield fx.Sleep(0.001)

    def short():
        yield fx.Sleep(0.01)
        return "over"

    scheduler, performer = Scheduler(), Performer(MemoryStore())
    scheduler.add(endless(), performer)
    key = scheduler.add(short(), performer)
    scheduler.run(until=key)
    assert scheduler.results == {key: "over"}
