"""The store in memory: the contract, and what a name means."""

import time
import uuid
from typing import Any

import pytest

from nnlite.errors import NotFound, UsageError
from nnlite.store import open_store
from nnlite.store.memory import MemoryStore

from .contract import OpenAgain, StoreContract, in_threads, swap_counter


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def open_again(self) -> OpenAgain:
        name = uuid.uuid4().hex
        return lambda: MemoryStore(name)


class SlowDict(dict[str, Any]):
    """A dictionary that lets other threads in after each look, which the interpreter alone rarely does."""

    def get(self, key: str, default: Any = None) -> Any:
        value = super().get(key, default)
        time.sleep(0.001)
        return value


def test_threads_that_meet_between_looking_and_writing() -> None:
    store = MemoryStore()
    store._space.values = SlowDict()
    store.put("counter", b"0")
    in_threads(lambda _: swap_counter(store, "counter", 10), 5)
    assert store.get("counter").data == b"50"


def test_a_name_is_one_store_and_another_name_another() -> None:
    name = uuid.uuid4().hex
    open_store(f"memory://{name}").put("a", b"one")
    assert open_store(f"memory://{name}").get("a").data == b"one"
    with pytest.raises(NotFound):
        open_store(f"memory://{name}2").get("a")


def test_without_a_name_every_handle_is_a_store_of_its_own() -> None:
    one, other = open_store("memory://"), open_store("memory://")
    one.put("a", b"one")
    with pytest.raises(NotFound):
        other.get("a")


def test_any_name_survives_its_url() -> None:
    name = f"{uuid.uuid4().hex} ä/%41"
    MemoryStore(name).put("a", b"one")
    assert open_store(MemoryStore(name).url).get("a").data == b"one"


def test_the_url_of_another_store_is_refused() -> None:
    with pytest.raises(UsageError, match="expected memory://"):
        MemoryStore.from_url("file:///tmp")
