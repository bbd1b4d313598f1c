"""Shards in a store: the right ones, sent once, and again when they are lost, damaged or another one."""

import re
import threading

import numpy as np
import pytest

from nnlite.data import shards
from nnlite.errors import DataError, DataNotFound
from nnlite.runtime import shard_store
from nnlite.store import open_store
from nnlite.store.cache import Caching
from nnlite.store.memory import MemoryStore
from nnlite.store.trace import Traced
from nnlite.store.warm import Shelf, Warm
from tests.runtime import small
from tests.servers import Memcached, need_memcached

ROWS = small.dataset(12, num_test=6)
OF = small.spec(ROWS, 2)
MARK, FIRST, SECOND = shard_store.keys(OF)[:3]


def uploaded() -> Traced:
    store = Traced(MemoryStore())
    shard_store.upload(store, OF, ROWS)
    return store


def values(store: Traced) -> list[bytes]:
    return [store.inner.get(key).data for key in shard_store.keys(OF)]


def flipped(data: bytes) -> bytes:
    """One bit of the last pixel but some."""
    return data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]


def test_the_shards_of_a_part_are_the_split() -> None:
    store, keys = uploaded(), [key for key in shard_store.keys(OF) if "train" in key and not key.endswith("complete")]
    splits = [shard_store.read(store, key) for key in keys]
    rows = np.concatenate(shards.assign(len(ROWS.train), len(keys)))
    assert len(keys) == 2
    assert np.array_equal(np.concatenate([split.x for split in splits]), ROWS.train.x[rows])
    assert np.array_equal(np.concatenate([split.y for split in splits]), ROWS.train.y[rows])


def test_what_is_there_is_not_sent_again_nor_read() -> None:
    store = uploaded()
    writes, bytes_read = store.totals["put"].num_requests, store.totals["get"].num_bytes
    shard_store.upload(store, OF, ROWS)
    assert store.totals["put"].num_requests == writes
    assert store.totals["get"].num_bytes == bytes_read


def test_one_that_is_lost_behind_its_mark_is_sent_again_and_no_other() -> None:
    store = uploaded()
    before, writes = values(store), store.totals["put"].num_requests
    store.delete(SECOND)
    shard_store.upload(store, OF, ROWS)
    assert values(store) == before
    assert store.totals["put"].num_requests == writes + 1


@pytest.mark.parametrize("how", ["flipped", "another", "foreign", "empty"])
def test_one_that_is_not_what_it_should_be_is_refused_and_sent_again(how: str) -> None:
    store = uploaded()
    before = values(store)
    sound, other = store.get(FIRST).data, store.get(SECOND).data
    wrong = {"flipped": flipped(sound), "another": other, "foreign": b"<html>", "empty": b""}[how]
    store.put(FIRST, wrong)
    with pytest.raises(DataError, match=f"{re.escape(FIRST)}: .*a new run or search of the same kind sends it again"):
        shard_store.read(store, FIRST)
    assert store.get(FIRST).data == wrong  # a reader that is lied to takes nothing from others
    shard_store.upload(store, OF, ROWS)
    assert values(store) == before


def test_one_that_is_gone_is_one_line() -> None:
    store = uploaded()
    store.delete(FIRST)
    with pytest.raises(DataNotFound, match=f"shard {re.escape(FIRST)} is gone from memory://.*a new run") as caught:
        shard_store.read(store, FIRST)
    assert "\n" not in str(caught.value)


def test_one_that_a_memcached_has_forgotten_is_said_with_what_to_do() -> None:
    """Sending it again makes the same memcached forget another one."""
    need_memcached()
    forgotten = pytest.raises(DataNotFound, match=r"is gone from memcached://.*more memory \(-m\).*data_store=")
    with Memcached() as server, open_store(f"memcached://{server.address}/small") as store, forgotten:
        shard_store.read(store, FIRST)


def test_a_nearer_copy_that_is_damaged_is_passed_by() -> None:
    far, near, shelf = uploaded(), MemoryStore(), Shelf(1_000_000)
    store = Warm(Caching(far, near), shelf)
    sound = far.get(FIRST)
    far.put(FIRST, flipped(sound.data))  # as a server answered, once
    store.get(FIRST)
    far.put(FIRST, sound.data)
    assert len(shard_store.read(store, FIRST)) == 6
    assert not store.missing([MARK])
    assert len(shard_store.read(Warm(Caching(MemoryStore(), MemoryStore()), shelf), FIRST)) == 6  # and stays so


def test_commands_that_send_at_the_same_time_send_the_same() -> None:
    store = uploaded()
    before = values(store)
    store.put(FIRST, b"damaged")
    store.delete(MARK)
    store.delete(SECOND)
    threads = [threading.Thread(target=shard_store.upload, args=(store, OF, ROWS)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(store) == before
