"""The last account of a run: those that live are waited for, the dead are not, and there is one answer after that."""

import pytest

from nnlite.protocol.records.keys import Keys
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.usage import Usage
from nnlite.store.memory import MemoryStore
from nnlite.telemetry.account import last_account
from tests.runtime import small

OF = small.spec(small.dataset(), 3, lease_ttl_s=30.0)


class World:
    """A store, and a clock that moves while somebody sleeps; then things happen that are due."""

    def __init__(self) -> None:
        self.store, self.now_s, self.due = MemoryStore(), 0.0, []

    def put(self, worker: int, seconds: float, is_final: bool, at_s: float = 0.0, attempt: int = 1) -> None:
        lease = Lease(attempt, "x", own=Usage(seconds), is_final=is_final)
        self.due.append((at_s, Keys(OF.run).lease(worker), lease))
        self.sleep(0.0)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        for entry in [entry for entry in self.due if entry[0] <= self.now_s]:
            self.store.put(entry[1], entry[2].to_json(entry[1]))
            self.due.remove(entry)

    def last(self, patience_s: float | None = None):
        return last_account(self.store, OF, patience_s, lambda: self.now_s, self.sleep)


def test_who_has_left_is_not_waited_for():
    world = World()
    for worker in range(3):
        world.put(worker, 1.0, is_final=True)
    assert (world.last().used.seconds, world.now_s) == (3.0, 0.0)


def test_who_is_about_to_leave_is_waited_for():
    world = World()
    world.put(0, 1.0, is_final=True)
    world.put(1, 1.0, is_final=False)
    world.put(1, 7.0, is_final=True, at_s=25.0)
    world.put(2, 2.0, is_final=False, at_s=29.0)  # it comes late, sees that all is over, and leaves
    world.put(2, 3.0, is_final=True, at_s=50.0)
    assert world.last().used.seconds == 1 + 7 + 3
    assert world.now_s == pytest.approx(50.0, abs=0.5)


def test_the_dead_are_waited_for_no_longer_than_they_live():
    world = World()
    world.put(0, 1.0, is_final=True)
    world.put(1, 5.0, is_final=False)
    account = world.last()
    assert (account.used.seconds, account.going) == (6.0, [1, 2])
    assert world.now_s == pytest.approx(OF.lease_ttl_s, abs=0.5)


def test_where_all_have_ended_nobody_is_waited_for():
    world = World()
    world.put(0, 1.0, is_final=False)
    assert (world.last(patience_s=0.0).used.seconds, world.now_s) == (1.0, 0.0)
