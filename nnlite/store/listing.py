"""Listing: which runs a store holds, for people. Coordination never lists, and memcached cannot."""

from __future__ import annotations

from nnlite.store.base import Store
from nnlite.store.wrapper import Wrapper


def runs_in(store: Store) -> list[str] | None:
    """Ids of the runs in a store, sorted; None when it cannot tell. Raises StoreError when it fails."""
    while isinstance(store, Wrapper):
        store = store.inner
    names = getattr(store, "names", None)
    return sorted(names("runs/")) if names is not None else None


def known_runs(store: Store, most: int = 10) -> str:
    """A half sentence for people who asked for a run that is not there."""
    runs = runs_in(store)
    if runs is None:
        return "this store cannot list its runs"
    if not runs:
        return "there are no runs in it"
    more = f" and {len(runs) - most} more" if len(runs) > most else ""
    return f"there are {', '.join(runs[-most:])}{more}"
