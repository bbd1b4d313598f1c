"""Runs from Python: planned, trained, found again."""

from __future__ import annotations

import re
import sys
from typing import Any

from nnlite.api.found import Optimum, optimize, simulate
from nnlite.api.planned import Plan, What, case_file_of, make, platform_of, refuse_as_it_began
from nnlite.api.progress import Progress
from nnlite.api.run import OnEvent, Run, Status, check_listener
from nnlite.api.search import Found, tune
from nnlite.case_file import run_again
from nnlite.errors import NnliteError
from nnlite.platform.base import Platform
from nnlite.protocol.records.spec import RunSpec, check_run
from nnlite.runs import lifecycle
from nnlite.runs.status import Surveyor
from nnlite.runtime.workers import read_spec
from nnlite.store import Store, listing, open_store

__all__ = [
    "Found", "Optimum", "Plan", "Run", "Status", "attach", "list_runs", "optimize", "plan", "simulate", "start",
    "train", "tune",
]  # fmt: skip

BEGUN = re.compile(r"-(\d{8}-\d{6})-(?:[0-9a-f]{4}|[0-9a-f]{12})$")  # of the id that a run is given


def plan(
    what: What | None = None, dataset: Any = None, *, platform: Platform | None = None, **choices: Any
) -> Plan:  # fmt: skip
    """What a run would be. Nothing is written and nothing is started.

    what: the name of a case or its file, a `Case`, a `Job`; or a network of one's own: a `Sequential`, or a function
        (input_shape, num_classes) that returns one; by default a case that suits the data.
    dataset: the name of one, the path of a file or folder, a `data.Dataset`, or two arrays (x, y); else the case's.
    platform: where workers run, `nnlite.Local()`, `nnlite.Lambda()` or `nnlite.OpenFaaS()`; by default this machine.
    choices: fields of a `Job` (`workers=4, epochs=5, seed=1, store=..., budget_usd=1`); `optimizer`, also as an object;
        `init`, a file of weights to begin with; of arrays `test`, a pair (x, y) or a share; and whose list prices count
        (`region`, `arch`, `prices`, `memory_mb`).
    Raises UsageError for what cannot be meant, DataNotFound.
    """
    return make(what, dataset, platform, **choices)


def start(
    what: What | None = None, dataset: Any = None, *, platform: Platform | None = None, on_event: OnEvent | None = None,
    detach: bool = False, **choices: Any,
) -> Run:  # fmt: skip
    """Begin a run, see `plan`, and drive it in a thread of this process. -> at once the run

    on_event: called with each event (`nnlite.telemetry.events`) as it comes, in that thread. detach: have the platform
        look after the run instead, as Lambda can, whatever becomes of this process.
    Where somebody sends a bill nobody is asked: give a budget_usd. Workers on this machine end with this process.
    """
    if detach:
        platform_of(platform).check_detach()
    run = make(what, dataset, platform, **choices).begin(on_event)
    return run.detach() if detach else run.resume()


def train(
    what: What | None = None, dataset: Any = None, *, platform: Platform | None = None, on_event: OnEvent | None = None,
    progress: bool | None = None, resume: str | None = None, **choices: Any,
) -> Run:  # fmt: skip
    """Begin a run, see `plan`, and wait for its end. -> the run

    on_event: as in `start`, in this thread. resume: the id of a run to go on with instead; then `store`,
        `checkpoint_store` and `data_store` say where it is, and `what` is the file that defines its own layers.
    progress: show a bar and a line for every round on stderr; by default on a terminal and in a notebook.
    Ctrl-C stops it, and the KeyboardInterrupt says how it goes on. Raises RunError when it fails; what a worker was
    doing then is the error's cause.
    """
    if resume is None:
        run = make(what, dataset, platform, **choices).begin(on_event)
    else:
        run = _resumed(resume, what, platform, on_event, {"dataset": dataset, **choices})
    run.show = _on_stderr if progress or (progress is None and _is_watched()) else None
    return run.drive()


def _resumed(
    name: str, what: Any, platform: Platform | None, on_event: OnEvent | None, others: dict[str, Any]
) -> Run:  # fmt: skip
    where = {one: others.pop(one) for one in ("store", "checkpoint_store", "data_store") if one in others}
    refuse_as_it_began("run", others)
    case = case_file_of(what, "run")
    return attach(name, platform=platform, case=case, on_event=on_event, **where)


def _on_stderr(spec: RunSpec, made: int) -> Progress:
    return Progress(spec, made, lines=sys.stderr)


def _is_watched() -> bool:
    """Whether somebody sees what is written to stderr while it is."""
    return sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)


def attach(
    name: str, *, platform: Platform | None = None, store: str | None = None, case: str | None = None,
    checkpoint_store: str | None = None, data_store: str | None = None, on_event: OnEvent | None = None,
) -> Run:  # fmt: skip
    """A run that was begun at another time, or elsewhere. -> the run, which this process does not drive until `resume`

    case: the file that defines its own layers, if it has some that are not defined here; it is run. checkpoint_store,
    data_store: those of the run, where they are on servers that its store does not speak for.
    Raises RunNotFound; UsageError for another file than the run began with.
    """
    platform = platform_of(platform)
    check_listener(on_event)
    check_run(name)
    opened = open_store(platform.store_url(store))
    spec = lifecycle.find(opened, name, checkpoint_store, data_store)
    if case is not None:
        run_again(case, spec.case_file.sha256 if spec.case_file is not None else None, f"run {name}")
    return Run(spec, opened, platform, on_event)


def list_runs(store: str | None = None, platform: Platform | None = None) -> list[Status]:
    """How the runs in a store stand, by default those of the platform's: the newest first, as their ids say; then those
    that were named by hand. Searches are among them."""
    with open_store(platform_of(platform).store_url(store)) as opened:
        names = listing.run_ids(opened)
        dated = {name: found[1] for name in names if (found := BEGUN.search(name))}
        by_hand = [name for name in names if name not in dated]
        return [_briefly(opened, one) for one in [*sorted(dated, key=lambda one: dated[one], reverse=True), *by_hand]]


def _briefly(store: Store, name: str) -> Status:
    try:
        spec = read_spec(store, name)
        return Status.of(spec, Surveyor(store, spec).look())
    except NnliteError as error:  # one that cannot be read must not hide the others
        return Status(name, "UNREADABLE", reason=str(error))
