"""Detached runs: those that no command watches, so that somebody else can look after them.

They stand in one small object of the platform's own store, replaced by compare-and-swap.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from nnlite.errors import Conflict, NnliteError, NotFound, RunNotFound, StoreError
from nnlite.protocol.roles.repairer import Repairer
from nnlite.runs import trust
from nnlite.runtime.performer import Performer, Teller, perform, tell_nobody
from nnlite.runtime.workers import open_durable, read_spec
from nnlite.store import ABSENT, Condition, Store, open_store

KEY = "detached.json"


def runs(home: Store) -> dict[str, str]:
    """Run -> URL of its store, of all that are detached."""
    return _read(home)[0]


def add(home: Store, run: str, url: str) -> None:
    """Have it looked after."""
    _change(home, lambda runs: {**runs, run: url})


def remove(home: Store, run: str) -> None:
    """Nobody need look after it any more."""
    _change(home, lambda runs: {name: url for name, url in runs.items() if name != run})


def visit(
    home: Store, invoke: Callable[[str, str, int, int], None], patience_s: float, tell: Teller = tell_nobody
) -> int:
    """Look after each of them for at most `patience_s`, and forget those that are over. -> how many are left

    invoke(run, url, worker, attempt) starts an invocation.
    """
    for run, url in runs(home).items():
        try:
            trust.check_url(url, home.url)
            goes_on = _visit(run, url, invoke, patience_s, tell)
        except NnliteError as error:  # of this run: the others are to be looked after even so
            tell("unvisited", {"run": run, "reason": str(error)})
            continue
        if not goes_on:
            remove(home, run)
    return len(runs(home))


def _visit(run: str, url: str, invoke: Callable[[str, str, int, int], None], patience_s: float, tell: Teller) -> bool:
    """-> whether the run goes on"""
    with open_store(url) as store:
        try:
            spec = read_spec(store, run)
        except RunNotFound:  # its objects are gone
            return False
        trust.check_spec(spec, store.url)
        performer = Performer(store, durable=open_durable(spec), invoke=lambda w, a: invoke(run, url, w, a), tell=tell)
        return perform(Repairer(spec).program(patience_s), performer)


def _read(home: Store) -> tuple[dict[str, str], int, Condition]:
    """The runs, how often that changed, and the version to swap it by."""
    try:
        found = home.get(KEY)
    except NotFound:
        return {}, 0, ABSENT
    try:
        values = json.loads(found.data)
        return dict(values["runs"]), int(values["counter"]), found.version
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{KEY} in {home.url} is damaged, or not ours ({error}): delete it") from None


def _change(home: Store, how: Callable[[dict[str, str]], dict[str, str]]) -> None:
    while True:
        before, counter, version = _read(home)
        after = how(before)
        if after == before:
            return
        with suppress(Conflict):
            data = json.dumps({"runs": after, "counter": counter + 1}, sort_keys=True).encode()
            home.put(KEY, data, if_version=version)
            return
