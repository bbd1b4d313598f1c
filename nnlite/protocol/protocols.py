"""The protocols by name: which program a worker of a run is, and the command that started it."""

from __future__ import annotations

from nnlite.protocol.averaging.worker import AveragingWorker
from nnlite.protocol.downpour.worker import DownpourWorker
from nnlite.protocol.records.spec import SEARCH, RunSpec
from nnlite.protocol.roles.watcher import Watcher
from nnlite.protocol.roles.worker import Worker
from nnlite.protocol.search.watcher import SearchWatcher
from nnlite.protocol.search.worker import SearchWorker

WORKERS: dict[str, type[Worker]] = {"averaging": AveragingWorker, "downpour": DownpourWorker, SEARCH: SearchWorker}


def worker_of(spec: RunSpec, worker: int, attempt: int, holder: str) -> Worker:
    """An invocation of a worker, for the protocol that the specification names."""
    return WORKERS[spec.protocol](spec, worker, attempt, holder)


def watcher_of(spec: RunSpec, first_round: int = 0) -> Watcher:
    """Who watches a run of that protocol."""
    return (SearchWatcher if spec.protocol == SEARCH else Watcher)(spec, first_round)
