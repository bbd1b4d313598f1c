"""Which runs a store holds: for people, and only where a store can tell."""

import uuid

import pytest

from nnlite.errors import StoreError
from nnlite.store.faults import Faulty
from nnlite.store.file import FileStore
from nnlite.store.listing import known_runs, runs_in
from nnlite.store.memcached import MemcachedStore
from nnlite.store.memory import MemoryStore
from nnlite.store.retry import Retrying
from nnlite.store.s3 import S3Store
from tests.servers import BUCKET


def filled(store, count=3):
    for n in range(count):
        store.put(f"runs/r{n:04}/spec.json", b"")
        store.put(f"runs/r{n:04}/ckpt/0", b"")
    store.put("runsx/other/spec.json", b"")
    store.put("datasets/d/0", b"")
    return store


def test_in_memory_and_in_files(tmp_path):
    for store in (MemoryStore(), FileStore(tmp_path / "s")):
        assert runs_in(store) == []
        assert known_runs(store) == "there are no runs in it"
        assert runs_in(filled(store)) == ["r0000", "r0001", "r0002"]
        assert known_runs(store) == "there are r0000, r0001, r0002"
        assert known_runs(store, 2) == "there are r0001, r0002 and 1 more"
        assert runs_in(Retrying(Faulty(store, None))) == ["r0000", "r0001", "r0002"]


def test_in_s3(s3):
    with S3Store.from_url(f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint={s3}") as store:
        assert runs_in(store) == []
        assert runs_in(filled(store)) == ["r0000", "r0001", "r0002"]


def test_in_s3_beyond_one_page():
    """A page of S3 ends after 1,000 names."""

    class Client:
        def get_paginator(self, _):
            return self

        def paginate(self, **_):
            for first in (0, 1000, 2000):
                yield {"CommonPrefixes": [{"Prefix": f"p/runs/r{n:04}/"} for n in range(first, first + 1000)]}
            yield {}

    runs = runs_in(S3Store("bucket", "p", client=Client()))
    assert runs is not None
    assert (len(runs), runs[0], runs[-1]) == (3000, "r0000", "r2999")


def test_memcached_cannot_tell():
    store = MemcachedStore.from_url("memcached://127.0.0.1:1/x")
    assert runs_in(store) is None
    assert known_runs(store) == "this store cannot list its runs"


def test_a_folder_that_cannot_be_read(tmp_path):
    (tmp_path / "runs").write_text("no folder")
    with pytest.raises(StoreError, match="cannot list"):
        runs_in(FileStore(tmp_path))
