"""The plan of a run: all that it will be, before anything of it is."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from nnlite import cases, configured, data, nn
from nnlite.api import code
from nnlite.api.run import OnEvent, Run, check_listener
from nnlite.cases import Case
from nnlite.data import Dataset, Split
from nnlite.errors import DataNotFound, NnliteError, StoreError, StructureError, UsageError, WeightsError, shown
from nnlite.estimating.books import Books, Expected
from nnlite.platform.base import Platform, Pricing
from nnlite.platform.local import Local
from nnlite.protocol.records.spec import RunSpec
from nnlite.runs import initial_weights, lifecycle, scaling
from nnlite.runs import plan as planning
from nnlite.runs.initial_weights import First
from nnlite.runs.job import Job
from nnlite.runtime import trainer
from nnlite.store import open_store

Network = nn.Sequential | Callable[..., nn.Sequential]
What = Job | Case | str | Network
USUAL_OPTIMIZER, USUAL_BATCH = nn.Adam(0.001), 32  # of a network that comes without a case
OF_JOB = {one.name for one in fields(Job)} - {"case", "dataset"}
OF_PRICING = {one.name for one in fields(Pricing)}


@dataclass(frozen=True)
class Plan:
    """What a run will be. Nothing is written and nothing is started before `begin`."""

    spec: RunSpec
    dataset: Dataset = field(repr=False)
    platform: Platform
    store_url: str
    first: First | None = field(default=None, repr=False)  #: the weights to begin with, if they are not drawn

    def facts(self) -> dict[str, str]:
        """What people want to see of it, by name: what `train --dry-run` shows."""
        return facts(self.spec, self.dataset, self.platform, self.store_url)

    def estimate(self, measure: bool = False) -> Expected | None:
        """What the run will take: by what was measured lately, or roughly; None where that cannot be said.

        measure: by a short run first, which costs money where the run does.
        """
        with open_store(self.store_url) as store:
            venue = self.platform.venue(self.spec, self.store_url)
            books = Books(self.spec, store, venue, probes_cost=True, calibrates=measure)
            return books.expect(self.dataset if measure else None)

    def begin(self, on_event: OnEvent | None = None) -> Run:
        """Write down all that workers will look for. -> the run, of which no worker is started yet: `Run.resume` and
        `Run.drive` do, and `Run.detach`"""
        check_listener(on_event)
        self.platform.prepare(self.spec, self.store_url)
        store, apart = open_store(self.store_url), self.spec.data.store
        lifecycle.begin(store, open_store(apart) if apart else store, self.spec, self.dataset, self.first)
        return Run(self.spec, store, self.platform, on_event, _is_fresh=True)

    def _repr_html_(self) -> str:
        from html import escape

        cells = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in self.facts().items())
        return f"<table>{''.join(cells)}</table>"


def facts(spec: RunSpec, dataset: Dataset | None, platform: Platform, store_url: str) -> dict[str, str]:
    """What people want to see of a run before it begins."""
    network, optimizer = trainer.build(spec)
    per_round = f"{spec.steps_per_round} steps" if spec.steps_per_round else "one local epoch"
    note = f" ({dataset.note})" if dataset and dataset.note else ""
    return {
        "run": spec.run,
        "case": spec.case,
        "dataset": f"{spec.data.name}: {spec.data.num_train:,} train, {spec.data.num_test:,} test{note}",
        "network": f"{network.layout.size:,} parameters in {len(network.layers)} layers",
        "optimizer": repr(optimizer),
        **({"scaling": scaling.shown(spec, optimizer)} if spec.num_workers > 1 else {}),
        "workers": f"{spec.num_workers}, merge tree {','.join(map(str, spec.tree_widths))}",
        "protocol": spec.rules.describe(spec),
        "rounds": f"{spec.num_rounds} of {per_round}, batch size {spec.batch_size}, seed {spec.seed}",
        "store": store_url,
        **platform.describe(spec, store_url),
    }


def make(
    what: What | None, dataset: Any = None, platform: Platform | None = None, test: Any = None,
    init: str | None = None, **chosen: Any,
) -> Plan:  # fmt: skip
    """The plan of a run, see `nnlite.plan`."""
    platform = platform_of(platform)
    refuse_unknown(chosen, OF_JOB | OF_PRICING, {"dataset", "init", "platform", "test"})
    pricing = Pricing(**{name: chosen.pop(name) for name in OF_PRICING & chosen.keys()})
    given = chosen.pop("optimizer", None) if isinstance(chosen.get("optimizer"), nn.Optimizer) else None
    job, case = _job(what, dataset, chosen)
    if given is not None:
        case = replace(configured.find(job.case)[0] if case is None else case, optimizer=given)
    platform.check(job, pricing)
    store_url = platform.store_url(job.store)
    job = replace(job, store=store_url)
    outputs = what.output_shape[0] if isinstance(what, nn.Sequential) else None
    loaded = dataset_of(dataset, test, outputs)
    if loaded is not None and job.data is not None:
        raise UsageError(f"data {job.data}: the dataset is given: leave it out", parameter="data")
    _check_rows(what, loaded)
    loaded, spec = planning.plan(job, loaded, case)
    first = _first(init, spec) if init is not None else None
    spec = _with_code(replace(spec, init=first.digest if first else None), platform, store_url)
    return Plan(platform.adapt(spec, store_url, pricing), loaded, platform, store_url, first)


def _first(path: str, spec: RunSpec) -> First:
    try:
        return initial_weights.read(path, spec)
    except (DataNotFound, StoreError, StructureError, WeightsError) as error:  # the request is the wrong one
        raise UsageError(str(error)) from error


def platform_of(given: object) -> Platform:
    """The platform that is given, by default this machine. Raises UsageError for anything else."""
    if given is None:
        return Local()
    if not isinstance(given, Platform):
        raise UsageError(f"platform: wanted an object like nnlite.Local(), found {shown(given)}")
    return given


def refuse_unknown(chosen: Mapping[str, Any], known: Set[str], others: Set[str] = frozenset()) -> None:
    """Raise UsageError for a name that is no argument. others: arguments that are not among the chosen."""
    for name in sorted(chosen.keys() - known):
        near = difflib.get_close_matches(name, sorted(known | others), 1)
        there = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known | others))}"
        raise UsageError(f"no argument {name:.80}; {there}")


def refuse_as_it_began(what: str, others: Mapping[str, Any]) -> None:
    """Raise UsageError for an argument that a run or search which goes on could not heed."""
    for name in sorted(name for name, value in others.items() if value is not None):
        raise UsageError(f"{name}: a {what} goes on as it began: leave it out", parameter=name)


def case_file_of(what: object, goes_on: str) -> str | None:
    """What is given with `resume`: the file that defines own layers, or nothing. Raises UsageError for all else."""
    if what is not None and not isinstance(what, str):
        raise UsageError(
            f"what to train: a {goes_on} goes on as it began: name the file that defines its own layers, or leave it "
            f"out, found {type(what).__name__}"
        )
    return what


def _job(what: What | None, dataset: Any, chosen: dict[str, Any]) -> tuple[Job, Case | None]:
    """The job; and its case, where that is no name."""
    name: dict[str, Any] = {"dataset": dataset} if isinstance(dataset, str) else {}
    if what is None and dataset is None:
        raise UsageError("what to train: name a case, or give a network, or a dataset alone")
    what = cases.AUTO.name if what is None else what
    if isinstance(what, Job):
        return replace(what, **name, **chosen), None
    if isinstance(what, str):
        return Job(case=what, **name, **chosen), None
    case = what if isinstance(what, Case) else _case_of(what, dataset)
    return Job(case=case.name, **name, **chosen), case


def _case_of(network: Any, dataset: Any) -> Case:
    """A network of one's own, as a case."""
    if not isinstance(network, nn.Sequential) and not callable(network):
        raise UsageError(
            "what to train: wanted the name of a case, a Case, a Job, a Sequential, or a function (input_shape, "
            f"num_classes) that returns one, found {type(network).__name__}"
        )
    if dataset is None:
        raise UsageError("dataset: a network comes with none: name one, or give a Dataset or two arrays (x, y)")
    called = getattr(network, "__name__", "network").replace("<lambda>", "network")
    name = re.sub(r"[^A-Za-z0-9_-]", "", called)[:32] or "network"
    made = (lambda shape, num_classes: network) if isinstance(network, nn.Sequential) else network
    return Case(name, f"{name} of one's own", lambda: _never(name), made, USUAL_OPTIMIZER, USUAL_BATCH)


def _never(name: str) -> Dataset:
    raise UsageError(f"{name} has no dataset of its own: give one")


def dataset_of(given: Any, test: Any, num_outputs: int | None = None) -> Dataset | None:
    """The dataset, where it is more than a name. num_outputs: of the network, if that is known; with one, labels of -1
    and +1 stay targets."""
    if given is None or isinstance(given, (str, Dataset)):
        if test is not None:
            raise UsageError("test: only for arrays (x, y); this dataset has a test split of its own: leave it out")
        return given if isinstance(given, Dataset) else None
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise UsageError(
            "dataset: wanted a name, a path, a Dataset, or (x, y), two arrays with a row each a sample, found "
            f"{type(given).__name__}"
        )
    made = data.from_arrays(*given, test=test)
    if num_outputs != 1 or made.class_names != ("-1", "1"):
        return made
    train, tested = (Split(one.x, one.y.astype(np.int8) * 2 - 1) for one in (made.train, made.test))
    return replace(made, train=train, test=tested, num_classes=1, class_names=())


def _check_rows(what: Any, dataset: Dataset | None) -> None:
    if dataset is None or not isinstance(what, nn.Sequential) or what.input_shape == dataset.input_shape:
        return
    raise UsageError(
        f"the network takes rows of {what.input_shape}, and the rows of {dataset.name} are {dataset.input_shape}: "
        "reshape them, or give a function (input_shape, num_classes) that makes the network"
    )


def _with_code(spec: RunSpec, platform: Platform, store_url: str) -> RunSpec:
    """The specification with the file that defines its own classes, if it has some."""
    if spec.case_file is not None:
        return spec
    try:
        own = planning.own_code(code.own_file(code.parts(spec)))
    except NnliteError:
        if not _is_this_process(platform, spec, store_url):
            raise
        return spec
    return replace(spec, case_file=own)


def _is_this_process(platform: Platform, spec: RunSpec, store_url: str) -> bool:
    return isinstance(platform, Local) and platform.num_processes(spec, store_url) == 0
