"""Caching: faster, and never anything else."""

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from nnlite.errors import NotFound, StoreError, StoreUnavailable
from nnlite.protocol.records.keys import Keys
from nnlite.store import ABSENT, Store, open_store
from nnlite.store.base import Version, Versioned
from nnlite.store.cache import Caching, is_immutable
from nnlite.store.file import FileStore
from nnlite.store.memory import MemoryStore
from nnlite.store.trace import Traced
from nnlite.store.wrapper import Wrapper
from tests.servers import Memcached

from .contract import OpenAgain, StoreContract

KEY = "runs/r1/ckpt/00000001"


class TestCaching(StoreContract):
    @pytest.fixture
    def open_again(self) -> OpenAgain:
        name = uuid.uuid4().hex
        return lambda: Caching(MemoryStore(name), MemoryStore(f"{name}-near"))


class TestCachingEverything(StoreContract):
    """By one handle, one after the other: a cache that forgets what is written through it."""

    @pytest.fixture
    def open_again(self) -> OpenAgain:
        name = uuid.uuid4().hex
        return lambda: Caching(MemoryStore(name), MemoryStore(f"{name}-near"), lambda key: True)

    # Values that others replace are not immutable.
    test_no_swap_is_lost = None  # type: ignore[assignment]
    test_no_swap_is_lost_on_one_handle = None  # type: ignore[assignment]
    test_a_reader_never_sees_a_torn_value = None  # type: ignore[assignment]


class Down(Wrapper):
    """A near store that fails at everything, now and then."""

    is_down = True

    def _check(self) -> None:
        if self.is_down:
            raise StoreUnavailable("down")

    def get(self, key: str) -> Any:
        self._check()
        return self.inner.get(key)

    def get_many(self, keys: Any) -> Any:
        self._check()
        return self.inner.get_many(keys)

    def put(self, key: str, data: Any, *, if_version: Any = None) -> None:
        self._check()
        self.inner.put(key, data)

    def delete(self, key: str) -> None:
        self._check()
        self.inner.delete(key)


def cached(near: Store | None = None, **options: Any) -> tuple[Caching, Traced, Store]:
    far, near = Traced(MemoryStore()), near or MemoryStore()
    return Caching(far, near, **options), far, near


def num_gets(far: Traced) -> int:
    return far.totals["get"].num_keys + far.totals["get_many"].num_keys


def test_which_keys_are_immutable() -> None:
    keys = Keys("r1")
    for key in (keys.checkpoint(3), keys.node(1, 2, 3), keys.summary(1), "datasets/mnist-0a/00000"):
        assert is_immutable(key)
    for key in (keys.spec, keys.head, keys.lease(1), "runs/r1/control.json", "runs/r1/traces/00000/0000.jsonl", "a"):
        assert not is_immutable(key)


def test_the_second_read_is_near() -> None:
    store, far, _ = cached()
    store.put(KEY, b"weights", if_version=ABSENT)
    first = store.get(KEY)
    assert [store.get(KEY), *store.get_many([KEY, KEY])] == [first] * 3
    assert num_gets(far) == 1
    assert first == far.get(KEY)


def test_another_handle_on_the_same_near_store_reads_near() -> None:
    store, far, near = cached()
    store.put(KEY, b"weights")
    store.get(KEY)
    assert Caching(far, near).get(KEY).data == b"weights"
    assert num_gets(far) == 1


def test_many_keys_and_only_the_missing_ones_are_far() -> None:
    store, far, near = cached()
    far.put("runs/r1/head.json", b"head")
    keys = [f"runs/r1/rounds/000001/1/{number:05d}" for number in range(4)]
    for key in keys[:3]:
        store.put(key, key.encode())
    store.get(keys[0])
    before = num_gets(far)
    found = store.get_many([*keys, keys[0], "runs/r1/head.json"])
    assert [value and value.data for value in found] == [
        *(key.encode() for key in keys[:3]),
        None,
        keys[0].encode(),
        b"head",
    ]
    assert len(near._space.values) == 3  # type: ignore[attr-defined]
    assert num_gets(far) - before == 4  # three that were not near, and the head
    before = num_gets(far)
    store.put(keys[3], b"late")
    assert store.get_many(keys)[3] is not None  # that it was missing was not kept
    assert num_gets(far) - before == 1


def test_a_copy_that_is_forgotten_is_read_anew() -> None:
    store, far, near = cached()
    store.put(KEY, b"damaged")
    store.get(KEY)
    far.put(KEY, b"sound")
    assert store.get(KEY).data == b"damaged"
    store.forget(KEY)
    assert store.get(KEY).data == Caching(far, near).get(KEY).data == b"sound"


def test_heads_are_always_far() -> None:
    store, far, near = cached()
    for number in range(3):
        far.put("runs/r1/head.json", b"%d" % number)
        assert store.get("runs/r1/head.json").data == b"%d" % number
    assert not near._space.values  # type: ignore[attr-defined]


def test_a_near_store_that_is_down_changes_nothing() -> None:
    near = Down(MemoryStore())
    store, far, _ = cached(near)
    for _ in range(2):
        store.put(KEY, b"weights")
        assert store.get(KEY).data == b"weights"
        assert store.get_many([KEY])[0] == far.get(KEY)
        store.delete(KEY)
        with pytest.raises(NotFound):
            store.get(KEY)
    near.is_down = False
    store.put(KEY, b"weights")
    store.get(KEY)
    before = num_gets(far)
    store.get(KEY)
    assert num_gets(far) == before


def test_a_near_store_that_was_emptied_changes_nothing() -> None:
    store, _, near = cached()
    store.put(KEY, b"weights")
    store.get(KEY)
    near._space.values.clear()  # type: ignore[attr-defined]
    assert store.get(KEY).data == b"weights"


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "header", "empty", "version"])
def test_a_damaged_copy_is_read_anew_and_replaced(damage: str) -> None:
    store, far, near = cached()
    store.put(KEY, b"weights")
    truth = store.get(KEY)
    (name,) = near._space.values  # type: ignore[attr-defined]
    copy = near.get(name).data
    damaged = {"flip": copy[:-1] + b"X", "cut": copy[:-1], "longer": copy + b"x", "header": b"x" + copy, "empty": b""}
    damaged["version"] = copy.replace(b"nnlite-copy ", b"nnlite-copy \xff", 1)
    near.put(name, damaged[damage])
    before = num_gets(far)
    assert store.get(KEY) == truth
    assert num_gets(far) == before + 1
    assert store.get(KEY) == truth
    assert num_gets(far) == before + 1


def test_far_failures_come_through() -> None:
    down = Down(MemoryStore())
    store = Caching(down, MemoryStore())
    for verb in (lambda: store.get(KEY), lambda: store.put(KEY, b""), lambda: store.delete(KEY)):
        with pytest.raises(StoreError, match="down"):
            verb()


def test_two_far_stores_share_a_near_one() -> None:
    near = MemoryStore()
    one, two = (Caching(MemoryStore(uuid.uuid4().hex), near) for _ in range(2))
    one.put(KEY, b"of one")
    two.put(KEY, b"of two")
    for _ in range(2):
        assert one.get(KEY).data == b"of one"
        assert two.get(KEY).data == b"of two"


def test_the_near_store_does_not_grow_for_ever(tmp_path: Path) -> None:
    near = FileStore(tmp_path / "near")
    store, far, _ = cached(near, max_bytes=10_000)
    for number in range(10):
        store.put(f"runs/r1/ckpt/{number:08d}", bytes(2_000))
        store.get(f"runs/r1/ckpt/{number:08d}")
    assert len(os.listdir(tmp_path / "near" / "copies")) == 4
    store.put(KEY, bytes(20_000))
    assert len(store.get(KEY).data) == 20_000
    assert len(os.listdir(tmp_path / "near" / "copies")) == 4
    before = num_gets(far)
    store.get("runs/r1/ckpt/00000009")
    assert num_gets(far) == before


def test_a_cache_by_url_reaches_other_processes(memcached: Memcached, tmp_path: Path) -> None:
    url = f"memcached://{memcached.address}/{uuid.uuid4().hex[:8]}?cache=file://{tmp_path}/near"
    with open_store(url) as store:
        assert type(store) is Caching
        assert store.url == url
        store.put(KEY, b"x" * 2_000_000)
        store.get(KEY)
        with open_store(store.url) as other:
            assert other.get(KEY).data == b"x" * 2_000_000
    assert len(os.listdir(tmp_path / "near" / "copies")) == 1


def test_a_copy_of_another_length_is_damaged_even_where_its_checksum_is_the_same() -> None:
    """Adler-32 of 65,521 zeros is that of none."""
    store, far, near = cached()
    far.put(KEY, bytes(65_521))
    store.get(KEY)
    name = store._name(KEY)
    whole = near.get(name).data
    near.put(name, whole[: whole.index(b"\n") + 1])
    assert store.get(KEY).data == bytes(65_521)


def test_what_could_not_be_read_again_is_not_kept() -> None:
    class Odd(Wrapper):
        def get(self, key: str) -> Versioned:
            return Versioned(b"data", Version("two words"))

    near = MemoryStore(uuid.uuid4().hex)
    store = Caching(Odd(MemoryStore(uuid.uuid4().hex)), near)
    assert store.get(KEY).data == b"data"
    assert near.get_many([store._name(KEY)]) == [None]


def test_many_that_are_deleted_leave_no_copy() -> None:
    store, far, near = cached()
    keys = [Keys("r1").checkpoint(number) for number in range(3)]
    for key in keys:
        far.put(key, b"data")
        store.get(key)
    store.delete_many(keys[:2])
    assert store.get_many(keys)[:2] == [None, None]
    assert near.get_many(map(store._name, keys[:2])) == [None, None]
    assert store.get(keys[2]).data == b"data"


def test_heads_are_not_even_looked_for_among_copies() -> None:
    near = Traced(MemoryStore(uuid.uuid4().hex))
    store, far, _ = cached(near)
    far.put("runs/r1/head", b"data")
    assert store.get_many(["runs/r1/head"]) != [None]
    assert num_gets(near) == 0


def test_a_cache_before_a_cache_forgets_in_both() -> None:
    far = MemoryStore(uuid.uuid4().hex)
    middle = Caching(far, MemoryStore(uuid.uuid4().hex))
    store = Caching(middle, MemoryStore(uuid.uuid4().hex))
    far.put(KEY, b"old")
    store.get(KEY)
    far.put(KEY, b"new")
    store.forget(KEY)
    assert store.get(KEY).data == b"new"


def test_what_was_kept_again_is_the_newest_copy() -> None:
    near = MemoryStore(uuid.uuid4().hex)
    a, b, c = (Keys("r1").checkpoint(number) for number in range(3))
    store, far, _ = cached(near, max_bytes=2_300)
    for key in (a, b, c):
        far.put(key, bytes(1_000))
    store.get_many([a, b])
    near.delete(store._name(a))  # another process emptied it
    store.get(a)
    store.get(c)
    found = near.get_many(map(store._name, (a, b, c)))
    assert [copy is not None for copy in found] == [True, False, True]


def test_closing_closes_both() -> None:
    class Closes(Wrapper):
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

    far, near = Closes(MemoryStore(uuid.uuid4().hex)), Closes(MemoryStore(uuid.uuid4().hex))
    Caching(far, near).close()
    assert far.is_closed
    assert near.is_closed
