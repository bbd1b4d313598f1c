"""Stores against a model: any sequence of verbs does to a store what it does to a dictionary."""

import shutil
import tempfile
import uuid

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from nnlite.errors import Conflict, NotFound
from nnlite.store import ABSENT, Condition, Store, Version
from nnlite.store.file import FileStore
from nnlite.store.memcached import MemcachedStore
from nnlite.store.memory import MemoryStore
from tests.servers import Memcached

KEYS = ["a", "b/c", "b/d/e", "b/d/f", "b.c"]
keys = st.sampled_from(KEYS)
values = st.binary(max_size=20) | st.sampled_from([b"", b"same"])


class StoreMachine(RuleBasedStateMachine):
    """Two handles on one store, `model`: key -> data, and the version of each value as it was first read."""

    versions = Bundle("versions")

    def open(self) -> Store:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.handles = [self.open(), self.open()]
        self.model: dict[str, bytes] = {}
        self.current: dict[str, Version] = {}
        self.past: dict[str, set[Version]] = {key: set() for key in KEYS}

    def wrote(self, key: str, data: bytes) -> None:
        self.model[key] = data
        version = self.handles[0].get(key).version
        assert version not in self.past[key], "a version came back"
        self.current[key] = version
        self.past[key].add(version)

    @rule(key=keys, data=values, handle=st.integers(0, 1))
    def overwrite(self, key: str, data: bytes, handle: int) -> None:
        self.handles[handle].put(key, data)
        self.wrote(key, data)

    @rule(key=keys, data=values, handle=st.integers(0, 1))
    def create(self, key: str, data: bytes, handle: int) -> None:
        self.conditional(key, data, handle, ABSENT, key not in self.model)

    @rule(target=versions, key=keys, handle=st.integers(0, 1))
    def remember(self, key: str, handle: int) -> Version:
        try:
            return self.handles[handle].get(key).version
        except NotFound:
            return Version("none")

    @rule(key=keys, data=values, handle=st.integers(0, 1), version=versions)
    def swap(self, key: str, data: bytes, handle: int, version: Version) -> None:
        self.conditional(key, data, handle, version, version == self.current.get(key))

    @rule(key=keys, data=values, handle=st.integers(0, 1))
    def swap_the_newest(self, key: str, data: bytes, handle: int) -> None:
        if key in self.current:
            self.conditional(key, data, handle, self.current[key], True)

    def conditional(self, key: str, data: bytes, handle: int, condition: Condition, holds: bool) -> None:
        try:
            self.handles[handle].put(key, data, if_version=condition)
        except Conflict:
            assert not holds
        else:
            assert holds
            self.wrote(key, data)

    @rule(key=keys, handle=st.integers(0, 1))
    def delete(self, key: str, handle: int) -> None:
        self.handles[handle].delete(key)
        self.model.pop(key, None)
        self.current.pop(key, None)

    @rule(handle=st.integers(0, 1))
    def reopen(self, handle: int) -> None:
        other = self.open()
        self.handles[handle].close()
        self.handles[handle] = other

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        for handle in getattr(self, "handles", []):
            for key, value in zip(KEYS, handle.get_many(KEYS), strict=True):
                assert (value.data if value else None) == self.model.get(key)
                assert (value.version if value else None) == self.current.get(key)


class MemoryMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.name = uuid.uuid4().hex

    def open(self) -> Store:
        return MemoryStore(self.name)


class FileMachine(StoreMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = tempfile.mkdtemp(prefix="nnlite-")

    def open(self) -> Store:
        return FileStore(self.root)

    def teardown(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


class MemcachedMachine(StoreMachine):
    """16 bytes a chunk, so longer values have two."""

    address = ""

    def __init__(self) -> None:
        super().__init__()
        self.prefix = uuid.uuid4().hex[:8]

    def open(self) -> Store:
        return MemcachedStore.from_url(f"memcached://{self.address}/{self.prefix}?chunk_bytes=16")

    def teardown(self) -> None:
        for handle in getattr(self, "handles", []):
            handle.close()


TestMemoryMachine = MemoryMachine.TestCase
TestMemoryMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestFileMachine = FileMachine.TestCase
TestFileMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


class TestMemcachedMachine(MemcachedMachine.TestCase):  # type: ignore[name-defined,misc]
    settings = settings(max_examples=40, stateful_step_count=40, deadline=None)

    @pytest.fixture(autouse=True)
    def server(self, memcached: Memcached) -> None:
        MemcachedMachine.address = memcached.address
