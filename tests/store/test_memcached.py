"""The store in memcached: the contract on one server and on three, in one item and in chunks."""

import uuid

import pytest

from nnlite.store.memcached import MemcachedStore
from tests.servers import Memcached

from .contract import OpenAgain, SharedStoreContract, StoreContract


def prefix() -> str:
    return uuid.uuid4().hex[:8]


class TestOneServer(SharedStoreContract):
    @pytest.fixture
    def open_again(self, memcached: Memcached) -> OpenAgain:
        url = f"memcached://{memcached.address}/{prefix()}"
        return lambda: MemcachedStore.from_url(url)


class TestThreeServersInSmallChunks(SharedStoreContract):
    """4 KB a chunk, so most values of the contract have many."""

    @pytest.fixture
    def open_again(self, three_memcached: list[Memcached]) -> OpenAgain:
        url = f"memcached://{','.join(server.address for server in three_memcached)}/{prefix()}?chunk_bytes=4096"
        return lambda: MemcachedStore.from_url(url)
