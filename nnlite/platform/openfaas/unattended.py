"""OpenFaaS: what it means for a run, whichever side begins it: the command, or the function emnist-setup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nnlite import cases
from nnlite.cost import prices
from nnlite.cost.prices import Tariff
from nnlite.data import Dataset, catalog
from nnlite.errors import RunError, RunNotFound, UsageError
from nnlite.protocol import protocols
from nnlite.protocol.records.head import RUNNING
from nnlite.protocol.records.spec import Rates, RunSpec
from nnlite.runs import job, lifecycle
from nnlite.runs import plan as planning
from nnlite.runs.job import Job
from nnlite.runtime.workers import read_spec
from nnlite.store import Store, open_store

HOME = "us-east-1"  # whose list prices are a measure, where nobody sends a bill
ASYNC_WAIT_S = 0.2  # a queue may run one call at a time


@dataclass(frozen=True)
class CallPace:
    """How a run keeps time among calls through a gateway: fields of its specification."""

    rounds_per_invocation: int = 0
    max_poll_s: float = 0.1
    wait_s: float | None = None
    lease_ttl_s: float = 30.0
    straggler_timeout_s: float = 15.0


NO_CHOICES = frozenset({"budget_usd", "reading"})  #: nobody sends a bill, and there are no files of one's own
CHOICES = frozenset(field.name for kind in (Job, CallPace) for field in fields(kind)) - NO_CHOICES
OF_THE_STACK = {"store", "data"}  #: choices that no call may make
DISPLACES = {"rounds": {"epochs"}, "epochs": {"rounds"}, "workers": {"tree"}}  #: choice of a call -> of the environment


def adapt(spec: RunSpec, invocation: str, pace: CallPace, tariff: Tariff, memory_mb: int = 0) -> RunSpec:
    """The specification for calls of functions. invocation: sync or async. tariff: the prices it is measured by.

    Raises UsageError for a run that functions cannot carry out.
    """
    if spec.case_file is not None:
        raise UsageError(
            f"{spec.case_file.name} defines layers or other parts of its own, which are not in the functions' images: "
            "use nnlite's own on OpenFaaS, or train on this machine"
        )
    if invocation == "async" and pace.wait_s is None:
        pace = replace(pace, wait_s=ASYNC_WAIT_S)
    rates = Rates(platform="openfaas", memory_mb=memory_mb)
    return replace(spec, rates=rates, tariff=asdict(tariff), **asdict(pace))


def choices(environ: Mapping[str, str], called: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """What a function's environment and a call together choose; the call prevails.

    name: of a signed call: the run is named by it, so a call that comes again names the same run. Raises UsageError.
    """
    if own := sorted(called.keys() & OF_THE_STACK):
        raise UsageError(f"{' and '.join(own)}: only stack.yaml says that; leave it out")
    displaced = {other for field in called for other in DISPLACES.get(field, ())}
    if "protocol" in called:
        displaced |= {name for name, having in protocols.options().items() if called["protocol"] not in having}
    chosen: dict[str, Any] = {field: environ[field] for field in CHOICES - displaced if environ.get(field)}
    chosen.update(called)
    return chosen if name is None else {"run": f"{planning.stem(str(chosen.get('case')))}-{name}", **chosen}


def plan(choices: Mapping[str, Any], invocation: str) -> tuple[Dataset, RunSpec]:
    """What a function begins: the dataset, and the specification. choices: some of CHOICES, as JSON values or texts.

    Raises UsageError for what is not among them or cannot be meant, and for a case that is not one of nnlite's own:
    a function runs no file. DataNotFound.
    """
    chosen, paced = job.read(choices, Job, CallPace, but=NO_CHOICES)
    if chosen.get("case") not in cases.CASES:
        raise UsageError(f"no case {chosen.get('case')!r:.80} in the functions; there are {', '.join(cases.CASES)}")
    if chosen.get("dataset") is not None:
        catalog.entry(chosen["dataset"])  # a path would be one of the function's own machine
    asked = Job(**chosen)
    dataset, spec = planning.plan(asked)
    return dataset, adapt(spec, invocation, CallPace(**paced), prices.tariff(HOME).of_store(asked.store))


def begin(store: Store, spec: RunSpec, dataset: Dataset) -> bool:
    """Begin this run, or make whole what an earlier call of the same kind has begun of it. -> whether it goes on.

    Raises UsageError when the run of that id is another one.
    """
    if not _has_begun(store, spec):
        try:
            lifecycle.begin(store, open_store(spec.data.store) if spec.data.store else store, spec, dataset)
        except RunError:  # a call that came at the same time may have been faster
            if not _has_begun(store, spec):
                raise
    lifecycle.complete(store, spec)
    standing = lifecycle.standing(store, spec)
    return standing is not None and standing.status == RUNNING


def _has_begun(store: Store, spec: RunSpec) -> bool:
    try:
        found = read_spec(store, spec.run)
    except RunNotFound:
        return False
    if found.to_json() != spec.to_json():
        raise UsageError(f"there is a run {spec.run!r} in {store.url} already, with other choices: choose another run")
    return True
