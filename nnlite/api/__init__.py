"""Runs from Python: planned, trained, found again."""

from __future__ import annotations

import re
from typing import Any

from nnlite.api.found import Found, Optimum, optimize, simulate, tune
from nnlite.api.planned import Plan, What, make
from nnlite.api.run import OnEvent, Run
from nnlite.case_file import CaseFile
from nnlite.errors import UsageError
from nnlite.platform.base import Platform
from nnlite.platform.local import Local
from nnlite.runs import lifecycle
from nnlite.store import listing, open_store

__all__ = [
    "Found", "Optimum", "Plan", "Run", "attach", "list_runs", "optimize", "plan", "simulate", "start", "train", "tune",
]  # fmt: skip

BEGUN = re.compile(r"-(\d{8}-\d{6})-[0-9a-f]{4}$")  # of the id that a run is given


def plan(what: What, dataset: Any = None, *, platform: Platform | None = None, **choices: Any) -> Plan:
    """What a run would be. Nothing is written and nothing is started.

    what: the name of a case or its file, a `Case`, a `Job`; or a network of one's own: a `Sequential`, or a function
        (input_shape, num_classes) that returns one.
    dataset: the name of one, a `data.Dataset`, or two arrays (x, y); by default the case's.
    platform: where workers run, `nnlite.Local()`, `nnlite.Lambda()` or `nnlite.OpenFaaS()`; by default this machine.
    choices: fields of a `Job` (`workers=4, epochs=5, seed=1, store=..., budget_usd=1`); `optimizer`, also as an object;
        `init`, a file of weights to begin with; of arrays `test`, a pair (x, y) or a share; and whose list prices count
        (`region`, `arch`, `prices`, `memory_mb`).
    Raises UsageError for what cannot be meant, DataNotFound.
    """
    return make(what, dataset, platform, **choices)


def start(
    what: What, dataset: Any = None, *, platform: Platform | None = None, on_event: OnEvent | None = None,
    **choices: Any,
) -> Run:  # fmt: skip
    """Begin a run, see `plan`, and drive it in a thread of this process. -> at once the run

    on_event: called with each event (`nnlite.telemetry.events`) as it comes, in that thread. Where somebody sends a
    bill nobody is asked: give a budget_usd. Workers on this machine end with this process.
    """
    planned = make(what, dataset, platform, **choices)
    return planned.begin(on_event).drive_in_background(_first_attempts(planned))


def train(
    what: What, dataset: Any = None, *, platform: Platform | None = None, on_event: OnEvent | None = None,
    **choices: Any,
) -> Run:  # fmt: skip
    """Begin a run, see `plan`, and wait for its end. -> the run

    Ctrl-C stops it, and the KeyboardInterrupt says how it goes on. Raises RunError when it fails; what a worker was
    doing then is the error's cause. on_event: as in `start`, in this thread.
    """
    planned = make(what, dataset, platform, **choices)
    return planned.begin(on_event).drive(_first_attempts(planned))


def _first_attempts(planned: Plan) -> dict[int, int]:
    return dict.fromkeys(range(planned.spec.num_workers), 1)


def attach(
    name: str, *, platform: Platform | None = None, store: str | None = None, case: str | None = None,
    checkpoint_store: str | None = None, data_store: str | None = None, on_event: OnEvent | None = None,
) -> Run:  # fmt: skip
    """A run that was begun at another time, or elsewhere. -> the run, which this process does not drive until `resume`

    case: the file that defines its own layers, if it has some that are not defined here; it is run. checkpoint_store,
    data_store: those of the run, where they are on servers that its store does not speak for.
    Raises RunNotFound; UsageError for another file than the run began with.
    """
    platform = Local() if platform is None else platform
    opened = open_store(platform.store_url(store))
    spec = lifecycle.find(opened, name, checkpoint_store, data_store)
    if case is not None:
        if spec.case_file is None:
            raise UsageError(f"case {case}: run {name} has no code of its own: leave it out")
        file = CaseFile.read(case)
        file.check(spec.case_file.sha256, f"run {name}")
        file.run()
    return Run(spec, opened, platform, on_event)


def list_runs(store: str | None = None, platform: Platform | None = None) -> list[str]:
    """The ids of the runs in a store, by default that of the platform, the newest first, as their ids say; then those
    that were named by hand."""
    with open_store((Local() if platform is None else platform).store_url(store)) as opened:
        names = listing.run_ids(opened)
    dated = {name: found[1] for name in names if (found := BEGUN.search(name))}
    return sorted(dated, key=lambda name: dated[name], reverse=True) + [name for name in names if name not in dated]
