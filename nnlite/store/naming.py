"""Names of stores: what a URL that a person wrote means for workers."""

from __future__ import annotations

from nnlite.store import open_store


def absolute(url: str | None) -> str | None:
    """The URL by which workers, wherever they start, find a store."""
    if url is None:
        return None
    with open_store(url) as store:
        return store.url


def is_seen_by_functions(url: str) -> bool:
    """Whether functions elsewhere reach a store: one behind a network."""
    return url.startswith(("s3://", "memcached://"))


def is_near(url: str) -> bool:
    """Whether a store is files or memory of this machine."""
    return "://" not in url or url.startswith(("file://", "memory://"))
