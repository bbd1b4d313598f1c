"""A venue: where the workers of a run will be, as far as what the run takes depends on that."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnlite.case_file import has_run
from nnlite.invoker.base import Invoker
from nnlite.invoker.local import LocalInvoker
from nnlite.invoker.processor import usable_cores
from nnlite.protocol.records.spec import RunSpec
from nnlite.store import Store

OpenInvoker = Callable[[RunSpec, Store], Invoker]


@dataclass(frozen=True)
class Venue:
    """A platform, its functions, and what is known of such ones from experience.

    name: of all that a profile measured there depends on. processes: that the workers share. open: the platform, for
    a run. store_url: where its functions find what a short run writes; None: they see folders of this machine.
    is_here: its workers are processes of this machine, which crowd each other, and have ended when the command says so.
    """

    name: str
    processes: int
    open: OpenInvoker
    is_here: bool = True
    store_url: str | None = None
    memory_mb: int = 0  #: of a function; 0: not limited
    share: float = 1.0  #: of a core, that a worker has
    invocation_s: float | None = None  #: after so long a worker goes on in a new invocation; None: never
    cold_start_s: float = 0.25
    latency_s: float = 5e-4  #: of the store
    store_bytes_per_s: float = 1e9


def local(processes: int, cpu_share: float | None = None) -> Venue:
    """So many processes of this machine; cpu_share: of a core, that each is held to."""
    machine = [platform.node(), platform.machine(), usable_cores(), platform.python_version(), np.__version__]
    name = json.dumps(["local", *machine, os.environ.get("OPENBLAS_CORETYPE"), cpu_share])

    def open_here(spec: RunSpec, store: Store) -> Invoker:
        case_file = None
        if own := spec.case_file:
            case_file = str(has_run(own.name, own.sha256, f"run {spec.run}").path), own.sha256
        return LocalInvoker(
            spec.run, store.url, processes, cpu_share=cpu_share, spec_sha256=spec.sha256, case_file=case_file
        )

    return Venue(name, processes, open_here, share=cpu_share or 1.0)
