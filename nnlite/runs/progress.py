"""What is said of a run when somebody asks: where it stands, what its rounds made, and its result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nnlite.errors import RunError, StoreError, StoreUnavailable
from nnlite.protocol.averaging.contribution import Summary
from nnlite.protocol.records.keys import Keys
from nnlite.protocol.roles.waiter import Leave
from nnlite.protocol.roles.watcher import Watcher
from nnlite.runs import lifecycle, trust
from nnlite.runtime.performer import Performer, perform
from nnlite.runtime.workers import open_durable, read_spec
from nnlite.store import Store

NEWEST = 10  # how many rounds are told


def progress(store: Store, run: str) -> dict[str, Any]:
    """Status, newest rounds and result, as JSON values. Raises RunError when the store has no such run."""
    spec = read_spec(store, run)
    head = lifecycle.standing(store, spec)
    if head is None:
        raise RunError(f"run {run!r} has no head in {store.url}: it was begun, but never got so far")
    first = max(0, head.round + 1 - NEWEST)
    return {
        "run": run,
        "status": head.status,
        "reason": head.reason,
        "round": spec.rules.rounds_made(spec, head),
        "checkpoint": head.round,
        "num_rounds": spec.num_rounds,
        "workers": spec.num_workers,
        "protocol": spec.protocol,
        "test_accuracy": head.accuracy,
        "result": None if head.result is None else Keys(run).checkpoint(head.result),
        "rounds": [told for told in (_summary(store, run, r) for r in range(first, head.round + 1)) if told],
    }


class Nurse:
    """Looks after runs that no command watches: asking for a run's progress twice, some time apart, has dead
    workers replaced. What it has seen of leases stays with this process."""

    def __init__(self) -> None:
        self._watchers: dict[str, Watcher] = {}

    def look(self, store: Store, run: str, invoke: Callable[[int, int], object], *named: str | None) -> None:
        """Do what a waiting worker does when it has waited too long. Raises UsageError for a run with stores that are
        neither `named` nor beside this one."""
        spec = read_spec(store, run)
        trust.check_spec(spec, store.url, *named)
        watcher = self._watchers.setdefault(run, spec.rules.watcher(spec))
        with suppress(Leave):  # the run has ended meanwhile
            perform(watcher.repair(), Performer(store, durable=open_durable(spec), invoke=invoke))


def _summary(store: Store, run: str, round: int) -> dict[str, Any] | None:
    key = Keys(run).summary(round)
    try:
        return vars(Summary.from_json(store.get(key).data, key))
    except StoreUnavailable:
        raise
    except StoreError:  # there is none, or none that can be read: nothing depends on it
        return None
