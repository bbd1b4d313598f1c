"""Promises: whether a server keeps those that all coordination rests on, tried out before a run is begun there.

There are S3 servers, and proxies before them, that ignore If-None-Match or If-Match: with them a run trains without a
word, and updates are lost. So on a server that is not AWS a fresh name is created twice and swapped twice, of which the
second must be refused each time.
"""

from __future__ import annotations

import secrets
from contextlib import suppress

from nnlite.errors import Conflict, StoreError
from nnlite.store.base import ABSENT, Store
from nnlite.store.retry import Retrying
from nnlite.store.wrapper import Wrapper


def check(store: Store) -> None:
    """Raise StoreError if the server of `store` breaks a promise. Costs seven requests, unless it is AWS or no S3."""
    while isinstance(store, Wrapper):
        store = store.inner
    if getattr(store, "is_foreign", bool)():
        try_out(Retrying(store))


def try_out(store: Store) -> None:
    """Raise StoreError unless conditional writes hold under a fresh name, which is free again afterwards."""
    key = f"checks/{secrets.token_hex(8)}"
    try:
        _try_out(store, key)
    finally:
        with suppress(StoreError):  # a server that refuses to delete does for a run, which says so when it meets it
            store.delete(key)


def _try_out(store: Store, key: str) -> None:
    broken = f"{store.url} is no store for a run: the server"
    other = "use another server, or have the proxy before it hand on conditional headers"
    try:
        store.put(key, b"created", if_version=ABSENT)
    except Conflict:
        raise StoreError(f"{broken} refuses to create what is not there (If-None-Match: *); {other}") from None
    with suppress(Conflict):
        store.put(key, b"created again", if_version=ABSENT)
        raise StoreError(f"{broken} ignores If-None-Match: it creates what is there already; {other}")
    first = store.get(key).version
    try:
        store.put(key, b"swapped", if_version=first)
    except Conflict:
        raise StoreError(f"{broken} refuses to swap what has just been read (If-Match); {other}") from None
    with suppress(Conflict):
        store.put(key, b"swapped late", if_version=first)
        raise StoreError(f"{broken} ignores If-Match: it overwrites a newer value, so updates would be lost; {other}")
