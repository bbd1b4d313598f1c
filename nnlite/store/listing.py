"""Listing: the runs that a store holds, for people. Programs never list, and not every store can."""

from __future__ import annotations

from collections.abc import Callable

from nnlite.errors import UsageError
from nnlite.store.base import Store
from nnlite.store.wrapper import Wrapper


def run_ids(store: Store) -> list[str]:
    """Ids of all runs in a store of files, of memory or in S3, sorted. Raises UsageError for any other store."""
    while isinstance(store, Wrapper):
        store = store.inner
    folders: Callable[[str], list[str]] | None = getattr(store, "folders", None)  # no part of a store's contract
    if folders is None:
        raise UsageError(f"{store.url} cannot be asked which runs it holds: name a RUN")
    return folders("runs/")


def known_runs(store: Store, most: int = 10) -> str:
    """Half a sentence for people who asked for a run that is not there."""
    try:
        runs = run_ids(store)
    except UsageError:
        return "this store cannot list its runs"
    if not runs:
        return "there are no runs in it"
    more = f" and {len(runs) - most} more" if len(runs) > most else ""
    return f"there are {', '.join(runs[-most:])}{more}"
