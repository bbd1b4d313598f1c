"""Which runs a store holds: for people, and only where a store can tell."""

import errno
import os
import uuid

import pytest

from nnlite.errors import StoreError, UsageError
from nnlite.store.faults import Faulty
from nnlite.store.file import FileStore
from nnlite.store.listing import known_runs, run_ids
from nnlite.store.memcached import MemcachedStore
from nnlite.store.memory import MemoryStore
from nnlite.store.retry import Retrying
from nnlite.store.s3 import S3Store
from tests.servers import BUCKET


def filled(store, count=3):
    for n in range(count):
        store.put(f"runs/r{n:04}/spec.json", b"")
        store.put(f"runs/r{n:04}/ckpt/0", b"")
    store.put("runs/no-folder", b"")
    store.put("runsx/other/spec.json", b"")
    store.put("datasets/d/0", b"")
    return store


def test_in_memory_and_in_files(tmp_path):
    for store in (MemoryStore(), FileStore(tmp_path / "s")):
        assert run_ids(store) == []
        assert known_runs(store) == "there are no runs in it"
        assert run_ids(filled(store)) == ["r0000", "r0001", "r0002"]
        assert known_runs(store) == "there are r0000, r0001, r0002"
        assert known_runs(store, 2) == "there are r0001, r0002 and 1 more"
        assert run_ids(Retrying(Faulty(store, None))) == ["r0000", "r0001", "r0002"]


def test_in_s3(s3):
    with S3Store.from_url(f"s3://{BUCKET}/{uuid.uuid4().hex}?endpoint={s3}") as store:
        assert run_ids(store) == []
        assert run_ids(filled(store)) == ["r0000", "r0001", "r0002"]


def test_in_s3_beyond_one_page():
    """A page of S3 ends after 1,000 names."""

    class Client:
        def get_paginator(self, _):
            return self

        def paginate(self, **_):
            for first in (0, 1000, 2000):
                yield {"CommonPrefixes": [{"Prefix": f"p/runs/r{n:04}/"} for n in range(first, first + 1000)]}
            yield {}

    runs = run_ids(S3Store("bucket", "p", client=Client()))
    assert (len(runs), runs[0], runs[-1]) == (3000, "r0000", "r2999")


def test_memcached_cannot_tell():
    store = MemcachedStore.from_url("memcached://127.0.0.1:1/x")
    with pytest.raises(UsageError, match="cannot be asked which runs it holds"):
        run_ids(store)
    assert known_runs(store) == "this store cannot list its runs"


def refuse(path):
    raise PermissionError(errno.EACCES, "denied", path)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    store = FileStore(tmp_path)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(StoreError, match="cannot list"):
        run_ids(store)
