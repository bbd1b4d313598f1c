"""What is said of a run when somebody asks: where it stands, what its rounds made, and its result."""

from __future__ import annotations

import json
from typing import Any

from nnlite.errors import NotFound, RunError
from nnlite.protocol.keys import Keys
from nnlite.runtime import runs
from nnlite.runtime.workers import read_spec
from nnlite.store import Store

NEWEST = 10  # how many rounds are told


def progress(store: Store, run: str) -> dict[str, Any]:
    """Status, newest rounds and result, as JSON values. Raises RunError when the store has no such run."""
    spec = read_spec(store, run)
    head = runs.standing(store, spec)
    if head is None:
        raise RunError(f"run {run!r} has no head in {store.url}: it was begun, but never got so far")
    first = max(0, head.round + 1 - NEWEST)
    return {
        "run": run,
        "status": head.status,
        "reason": head.reason,
        "round": head.round,
        "num_rounds": spec.num_rounds,
        "workers": spec.num_workers,
        "protocol": spec.protocol,
        "test_accuracy": head.accuracy,
        "result": None if head.result is None else Keys(run).checkpoint(head.result),
        "rounds": [told for told in (_summary(store, run, r) for r in range(first, head.round + 1)) if told],
    }


def _summary(store: Store, run: str, round: int) -> dict[str, Any] | None:
    try:
        told: dict[str, Any] = json.loads(bytes(store.get(Keys(run).summary(round)).data))
        return told
    except NotFound:
        return None
