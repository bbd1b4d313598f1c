"""Shards kept between invocations: right whoever asks, and never too many."""

import pytest

from nnlite.errors import NotFound
from nnlite.store.base import Version, Versioned
from nnlite.store.memory import MemoryStore
from nnlite.store.trace import Traced
from nnlite.store.warm import Shelf, Warm

SHARD, OTHER, HEAD = "datasets/d-0/train-of-2/00000", "datasets/d-0/train-of-2/00001", "runs/r/head.json"


def test_a_shard_is_read_once_and_everything_else_each_time():
    far, shelf = Traced(MemoryStore()), Shelf(1000)
    for key in (SHARD, OTHER, HEAD):
        far.put(key, key.encode())
    for _ in range(3):
        store = Warm(far, shelf)  # as each invocation opens it anew
        assert [store.get(key).data for key in (SHARD, OTHER, HEAD)] == [k.encode() for k in (SHARD, OTHER, HEAD)]
    assert far.totals["get"].num_requests == 2 + 3


def test_another_worker_s_shard_is_never_given():
    far, shelf = MemoryStore(), Shelf(1000)
    far.put(SHARD, b"mine")
    Warm(far, shelf).get(SHARD)
    with pytest.raises(NotFound):
        Warm(far, shelf).get(OTHER)


def test_no_more_than_fits_the_oldest_use_goes_first():
    shelf = Shelf(10)
    for name in ("a", "b"):
        shelf.keep(name, Versioned(b"12345", Version("1")))
    shelf.get("a")
    shelf.keep("c", Versioned(b"12345", Version("1")))
    assert [shelf.get(name) is not None for name in ("a", "b", "c")] == [True, False, True]
    shelf.keep("large", Versioned(b"12345678901", Version("1")))
    assert shelf.get("large") is None
    assert shelf.get("a") is not None


def test_what_is_forgotten_is_read_again():
    far, shelf = MemoryStore(), Shelf(1000)
    far.put(SHARD, b"damaged")
    store = Warm(far, shelf)
    store.get(SHARD)
    far.put(SHARD, b"sound")
    store.forget(SHARD)
    assert store.get(SHARD).data == Warm(far, shelf).get(SHARD).data == b"sound"
