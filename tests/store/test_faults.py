"""Faulty: the faults it was asked for, in the same places for the same seed."""

import random
import uuid
from typing import Any

import pytest

from nnlite.errors import NotFound, StoreUnavailable, UsageError
from nnlite.store import ABSENT, open_store
from nnlite.store.faults import Faulty
from nnlite.store.memory import MemoryStore
from nnlite.store.retry import Retrying

from .contract import OpenAgain, StoreContract


class TestFaultyWithoutFaults(StoreContract):
    @pytest.fixture
    def open_again(self) -> OpenAgain:
        name = uuid.uuid4().hex
        return lambda: Faulty(MemoryStore(name), random.Random(1))


def faulty(**options: Any) -> tuple[Faulty, MemoryStore]:
    truth = MemoryStore()
    return Faulty(truth, random.Random(3), **options), truth


def test_a_lost_request_was_not_done() -> None:
    store, truth = faulty(lost_request_rate=1.0)
    truth.put("a", b"one")
    for verb in (lambda: store.put("a", b"two"), lambda: store.delete("a"), lambda: store.get("a")):
        with pytest.raises(StoreUnavailable, match="injected fault, the request was lost"):
            verb()
    assert truth.get("a").data == b"one"


def test_a_lost_reply_was_done() -> None:
    store, truth = faulty(lost_reply_rate=1.0)
    with pytest.raises(StoreUnavailable, match="injected fault, the reply was lost"):
        store.put("a", b"one", if_version=ABSENT)
    assert truth.get("a").data == b"one"
    with pytest.raises(StoreUnavailable):
        store.delete("a")
    assert truth.get_many(["a"]) == [None]


def test_an_evicted_value_is_gone_for_all() -> None:
    store, truth = faulty(evict_rate=1.0, evictable=lambda key: key != "head")
    for key in ("a", "b", "head"):
        truth.put(key, b"one")
    with pytest.raises(NotFound):
        store.get("a")
    assert [value is None for value in store.get_many(["b", "head"])] == [True, False]
    assert truth.get_many(["a", "b"]) == [None, None]


def test_rates_and_seeds() -> None:
    def faults(seed: int) -> list[bool]:
        truth = MemoryStore()
        truth.put("a", b"")
        store, found = Faulty(truth, random.Random(seed), lost_request_rate=0.1, lost_reply_rate=0.1), []
        for _ in range(2000):
            try:
                store.get("a")
                found.append(False)
            except StoreUnavailable:
                found.append(True)
        return found

    assert faults(1) == faults(1)
    assert faults(1) != faults(2)
    assert 300 < sum(faults(1)) < 460
    with pytest.raises(UsageError, match="lost_reply_rate=5: expected a fraction"):
        faulty(lost_reply_rate=5)


def test_delays() -> None:
    waits: list[float] = []
    store, _ = faulty(delay_s=2.0, sleep=waits.append)
    for _ in range(100):
        store.get_many(["a"])
    assert 0 <= min(waits) < 0.2
    assert 1.8 < max(waits) <= 2


def test_faults_by_url_lie_below_the_retries_and_reach_other_processes() -> None:
    url = "memcached://127.0.0.1:1/r?fault_rate=0.5&fault_seed=7&attempts=3&chunk_bytes=4096"
    store = open_store(url)
    assert type(store) is Retrying
    assert type(store.inner) is Faulty
    assert store.url == url
    assert open_store(store.url).url == url
    assert store.inner.inner.url == "memcached://127.0.0.1:1/r?chunk_bytes=4096"
    for wrong in ("fault_rate=2", "fault_rate=x", "attempts=0", "cach=x"):
        with pytest.raises(UsageError, match=wrong.partition("=")[0]):
            open_store(f"memcached://127.0.0.1:1/r?{wrong}")
