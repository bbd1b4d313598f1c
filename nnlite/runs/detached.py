"""Detached runs: those that no command watches, so that somebody else can look after them.

They stand in one small object of the platform's own store, replaced by compare-and-swap.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from nnlite.errors import Conflict, NnliteError, NotFound, RunNotFound, StoreError
from nnlite.protocol.records.spec import check_run
from nnlite.protocol.roles.repairer import Repairer
from nnlite.records import Count, Sha256, Unsound, fit, parse
from nnlite.runs import trust
from nnlite.runtime.invocation import Payload
from nnlite.runtime.performer import Performer, Teller, perform, tell_nobody
from nnlite.runtime.workers import open_durable, read_spec
from nnlite.store import ABSENT, Condition, Store, open_store

KEY = "detached.json"
Invoke = Callable[[Payload], object]


@dataclass(frozen=True)
class Detached:
    """Where a run that nobody watches is, and which it is."""

    store: str  #: URL
    spec: Sha256  #: of its specification


def runs(home: Store) -> dict[str, Any]:
    """Run -> what should be a Detached as JSON values, of all that are detached."""
    return _read(home)[0]


def add(home: Store, run: str, url: str, sha256: str) -> None:
    """Have it looked after. sha256: of its specification."""
    _change(home, lambda runs: {**runs, run: asdict(Detached(url, sha256))})


def remove(home: Store, run: str) -> None:
    """Nobody need look after it any more."""
    _change(home, lambda runs: {name: entry for name, entry in runs.items() if name != run})


def visit(home: Store, invoke: Invoke, patience_s: float, tell: Teller = tell_nobody) -> int:
    """Look after each of them for at most `patience_s`, and forget those that are over, and entries that are none.
    -> how many are left

    Whatever is wrong with one is told, and the others are looked after even so.
    """
    for run, entry in runs(home).items():
        try:
            check_run(run)
            of = fit(Detached, entry)
        except (NnliteError, Unsound) as error:
            tell("forgotten", {"run": run, "reason": f"its entry in {KEY} is damaged, or not ours: {error}"})
            remove(home, run)
            continue
        try:
            trust.check_url(of.store, home.url)
            goes_on = _visit(run, of, invoke, patience_s, tell)
        except Exception as error:  # there is nobody else to see it
            kind = "" if isinstance(error, NnliteError) else f"{type(error).__name__}: "
            tell("unvisited", {"run": run, "reason": f"{kind}{error}"})
            continue
        if not goes_on:
            remove(home, run)
    return len(runs(home))


def _visit(run: str, of: Detached, invoke: Invoke, patience_s: float, tell: Teller) -> bool:
    """-> whether the run goes on"""
    with open_store(of.store) as store:
        try:
            spec = read_spec(store, run, of.spec)
        except RunNotFound:  # its objects are gone
            return False
        trust.check_spec(spec, store.url)

        def start(worker: int, attempt: int) -> None:
            invoke(Payload(run, of.store, worker, attempt, of.spec))

        performer = Performer(store, durable=open_durable(spec), invoke=start, tell=tell)
        return perform(Repairer(spec).program(patience_s), performer)


def _read(home: Store) -> tuple[dict[str, Any], int, Condition]:
    """The runs, how often that changed, and the version to swap it by."""
    try:
        found = home.get(KEY)
    except NotFound:
        return {}, 0, ABSENT
    try:
        values = fit(_List, parse(found.data))
        return values.runs, values.counter, found.version
    except Unsound as error:
        raise StoreError(f"{KEY} in {home.url} is damaged, or not ours ({error}): delete it") from None


@dataclass(frozen=True)
class _List:
    runs: dict[str, Any]
    counter: Count


def _change(home: Store, how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    while True:
        before, counter, version = _read(home)
        after = how(before)
        if after == before:
            return
        with suppress(Conflict):
            data = json.dumps({"runs": after, "counter": counter + 1}, sort_keys=True).encode()
            home.put(KEY, data, if_version=version)
            return
