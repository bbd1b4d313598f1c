"""The protocols by name: which program a worker of a run is."""

from __future__ import annotations

from nnlite.protocol.averaging import AveragingWorker
from nnlite.protocol.downpour import DownpourWorker
from nnlite.protocol.spec import RunSpec
from nnlite.protocol.worker import Worker

WORKERS: dict[str, type[Worker]] = {"averaging": AveragingWorker, "downpour": DownpourWorker}


def worker_of(spec: RunSpec, worker: int, attempt: int, holder: str) -> Worker:
    """An invocation of a worker, for the protocol that the specification names."""
    return WORKERS[spec.protocol](spec, worker, attempt, holder)
