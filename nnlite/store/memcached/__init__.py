"""The store in memcached: the store, one server of it, and the manifest under each key."""

from nnlite.store.memcached.store import MemcachedStore

__all__ = ["MemcachedStore"]
