"""Leases: one holder at a time, duplicates leave, and no clock is compared with another."""

from dataclasses import replace

import pytest

from nnlite.protocol.effects import Get, Swap
from nnlite.protocol.records import lease
from nnlite.protocol.records.lease import Lease, Watch
from nnlite.protocol.records.usage import NOTHING, Usage
from nnlite.simulation.simulator import Stored


def perform(program, store):
    """Run a lease program against a dict of Stored. -> its result."""
    answer = None
    while True:
        try:
            effect = program.send(answer)
        except StopIteration as end:
            return end.value
        if isinstance(effect, Get):
            answer = store.get(effect.key)
        else:
            assert isinstance(effect, Swap)
            answer = store.get(effect.key) == effect.found
            if answer:
                version = effect.found.version + 1 if effect.found else 1
                store[effect.key] = Stored(effect.data, version)


def holder_of(store):
    return Lease.from_json(store["k"].data, "k")


def test_the_first_invocation_becomes_the_holder_and_its_duplicate_leaves():
    store = {}
    assert perform(lease.acquire("k", 1, "me"), store) == Lease(1, "me")
    assert perform(lease.acquire("k", 1, "my double"), store) is None
    assert holder_of(store) == Lease(1, "me")


def test_a_write_whose_reply_was_lost_is_recognized():
    store = {}
    perform(lease.acquire("k", 1, "me"), store)
    assert perform(lease.acquire("k", 1, "me"), store) == Lease(1, "me")


def test_the_next_attempt_takes_the_lease_and_the_old_holder_finds_out():
    store = {}
    old = perform(lease.acquire("k", 1, "old"), store)
    assert perform(lease.take_over("k", store["k"]), store).attempt == 2
    assert perform(lease.renew("k", old), store) is None
    assert perform(lease.acquire("k", 1, "late"), store) is None
    new = perform(lease.acquire("k", 2, "new"), store)
    assert new == Lease(2, "new")
    assert perform(lease.renew("k", new), store) == Lease(2, "new", beat=1)


def test_of_two_who_take_over_what_they_saw_one_wins():
    store = {}
    perform(lease.acquire("k", 1, "me"), store)
    seen = store["k"]
    assert perform(lease.take_over("k", seen), store).attempt == 2
    assert perform(lease.take_over("k", seen), store) is None


def test_a_beat_saves_from_being_taken_over():
    store = {}
    mine = perform(lease.acquire("k", 1, "me"), store)
    seen = store["k"]
    perform(lease.renew("k", mine), store)
    assert perform(lease.take_over("k", seen), store) is None


def test_a_worker_that_never_came_is_replaced_by_its_second_attempt():
    store = {}
    assert perform(lease.take_over("k", None), store).attempt == 2
    assert perform(lease.acquire("k", 1, "late"), store) is None


def test_a_lease_is_dead_only_after_one_version_was_seen_for_longer_than_its_time():
    watch = Watch(ttl_s=10)
    first, second = Stored(b"1", 1), Stored(b"2", 2)
    assert not watch.is_dead("k", first, 1000.0)  # what was before we looked does not count
    assert not watch.is_dead("k", first, 1010.0)
    assert not watch.is_dead("k", second, 1011.0)  # a beat: the clock starts again
    assert not watch.is_dead("k", second, 1020.0)
    assert watch.is_dead("k", second, 1021.5)
    assert not watch.is_dead("other", second, 1021.5)
    assert not watch.is_dead("absent", None, 0.0)
    assert watch.is_dead("absent", None, 10.5)


def test_deaths_before_a_resume_do_not_count():
    store = {}
    for _ in range(4):
        assert perform(lease.take_over("k", store.get("k")), store).since == 1
    assert perform(lease.take_over("k", store["k"], anew=True), store) == Lease(6, "", since=6)
    assert perform(lease.acquire("k", 6, "me"), store) == Lease(6, "me", since=6)
    assert perform(lease.take_over("k", store["k"]), store) == Lease(7, "", since=6)


# ---- accounts


def used(seconds, invocations=1):
    return Usage(seconds, seconds, num_invocations=invocations)


def test_the_account_of_a_worker_goes_on_over_its_attempts():
    store = {}
    mine = perform(lease.acquire("k", 1, "a", used(1)), store)
    mine = perform(lease.renew("k", replace(mine, own=used(5))), store)
    assert holder_of(store).used == used(5)
    perform(lease.hand_over("k", replace(mine, own=used(7)), has_cursor=False), store)
    assert holder_of(store).used == used(7)
    perform(lease.acquire("k", 2, "b", used(1)), store)
    assert holder_of(store).used == used(8, 2)
    perform(lease.settle("k", 2, "b", used(3)), store)
    assert (holder_of(store).used, holder_of(store).is_final) == (used(10, 2), True)
    perform(lease.take_over("k", store["k"], unseen_s=9.0), store)
    assert (holder_of(store).before, holder_of(store).own) == (used(10, 2), NOTHING)
    assert not holder_of(store).is_final


def test_of_the_dead_the_last_account_stands_and_what_may_have_come_after_it_is_kept_apart():
    store = {}
    perform(lease.acquire("k", 1, "a", used(4)), store)
    perform(lease.take_over("k", store["k"], unseen_s=9.0), store)
    perform(lease.take_over("k", store["k"], unseen_s=9.0), store)  # that attempt never came: it used nothing
    assert (holder_of(store).used, holder_of(store).unseen_s) == (used(4), 9.0)


def test_who_has_given_its_last_account_was_seen_to_its_end():
    store = {}
    perform(lease.acquire("k", 1, "a", used(4)), store)
    perform(lease.settle("k", 1, "a", used(5)), store)
    perform(lease.take_over("k", store["k"], unseen_s=9.0), store)
    assert (holder_of(store).used, holder_of(store).unseen_s) == (used(5), 0.0)


@pytest.mark.parametrize(("attempt", "holder"), [(1, "a"), (2, "double"), (3, "b")])
def test_nobody_settles_an_account_that_is_not_its_own(attempt, holder):
    store = {}
    perform(lease.acquire("k", 1, "a", used(4)), store)
    perform(lease.take_over("k", store["k"]), store)
    perform(lease.acquire("k", 2, "b", used(1)), store)
    before = store["k"]
    perform(lease.settle("k", attempt, holder, used(100)), store)
    assert store["k"] == before
    perform(lease.settle("none", attempt, holder, used(100)), store)
    assert "none" not in store


def test_a_write_whose_reply_was_lost_is_not_counted_twice():
    store = {}
    mine = perform(lease.acquire("k", 1, "a", used(1)), store)
    for _ in range(3):
        perform(lease.renew("k", replace(mine, own=used(5))), store)
        perform(lease.settle("k", 1, "a", used(6)), store)
    assert holder_of(store).used == used(6)


@pytest.mark.parametrize(("attempt", "holder"), [(1, "a"), (2, "double"), (3, "b")])
def test_nobody_beats_or_hands_over_in_place_of_another_holder(attempt, holder):
    """Two invocations of one attempt tell each other apart by their holder alone."""
    store = {}
    perform(lease.acquire("k", 2, "b"), store)
    before, others = store["k"], Lease(attempt, holder)
    assert perform(lease.renew("k", others), store) is None
    assert perform(lease.hand_over("k", others, has_cursor=True), store) is None
    perform(lease.give_back("k", others), store)
    assert store["k"] == before


@pytest.mark.parametrize("attempt", [1, 3])
def test_an_invocation_leaves_for_which_the_lease_was_not_opened(attempt):
    store = {}
    perform(lease.take_over("k", None), store)
    before = store["k"]
    assert perform(lease.acquire("k", attempt, "x"), store) is None
    assert store["k"] == before
