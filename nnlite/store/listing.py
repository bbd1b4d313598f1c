"""Listing: the runs that a store holds, for people. Programs never list, and not every store can."""

from __future__ import annotations

import os

from nnlite.errors import UsageError
from nnlite.store.base import Store
from nnlite.store.wrapper import Wrapper

FOLDER = "runs/"


def run_ids(store: Store) -> list[str]:
    """Ids of all runs in a store of files or in S3, sorted. Raises UsageError for any other store."""
    while isinstance(store, Wrapper):
        store = store.inner
    scheme = store.url.partition("://")[0]
    if scheme == "file":
        from nnlite.store.file import FileStore

        assert isinstance(store, FileStore)
        folder = store.path_of(FOLDER.rstrip("/"))
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()) if os.path.isdir(folder) else []
    if scheme == "s3":
        from nnlite.store.s3 import S3Store

        assert isinstance(store, S3Store)
        return store.folders(FOLDER)
    raise UsageError(f"{store.url} cannot be asked which runs it holds: name a RUN")
