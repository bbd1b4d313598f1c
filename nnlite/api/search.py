"""A search from Python: the best hyper-parameters of a case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from nnlite.api import code
from nnlite.api.planned import OF_PRICING, case_file_of, dataset_of, platform_of, refuse_as_it_began, refuse_unknown
from nnlite.api.run import OnEvent, Run, check_listener
from nnlite.case_file import run_again
from nnlite.cases import Case
from nnlite.data import Dataset
from nnlite.errors import RunError, UsageError
from nnlite.invoker.processor import num_processes
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol.records.head import DONE
from nnlite.protocol.records.spec import RunSpec, check_run
from nnlite.protocol.search.spec import SearchSpec
from nnlite.runs.job import Job
from nnlite.runs.model_file import TrainedModel
from nnlite.searches import lifecycle as searches
from nnlite.searches import plan as planning
from nnlite.searches.plan import Tuning
from nnlite.store import open_store

USUAL_PARALLEL = 8  #: where somebody else's processors are used
OF_TUNING = {one.name for one in fields(Tuning)} - {"case", "dataset"}


@dataclass(frozen=True)
class Trial:
    """A configuration that was tried, as far as it was trained."""

    number: int
    configuration: dict[str, Any]
    rounds: int
    status: str  #: ok, diverged or failed
    validation_accuracy: float | None


@dataclass(frozen=True)
class Best:
    """The winner of a search. Its accuracy on the validation split is a little flattered: it was chosen by that."""

    configuration: dict[str, Any]
    rounds: int
    validation_accuracy: float
    test_accuracy: float  #: looked at once, and only the winner's
    model: TrainedModel = field(repr=False)


@dataclass(frozen=True)
class Found:
    """What a search has found."""

    name: str  #: of the search, for `nnlite report NAME`
    best: Best
    trials: list[Trial]  #: best first


@dataclass(frozen=True)
class PlannedSearch:
    """What a search will be. Nothing is written and nothing is started before `begin`."""

    made: planning.SearchPlan
    platform: Platform
    store_url: str

    @property
    def spec(self) -> RunSpec:
        """Of the run that its workers are."""
        return self.made.spec

    @property
    def search(self) -> SearchSpec:
        """What is searched, and how."""
        return self.made.search

    def begin(self, on_event: OnEvent | None = None) -> Run:
        """Write down all that workers will look for. -> the search as a run, of which no worker is started yet"""
        self.platform.prepare(self.spec, self.store_url)
        store, of = open_store(self.store_url), self.made
        searches.begin(store, of.spec, of.search, of.trials, (of.seen, of.whole))
        return Run(of.spec, store, self.platform, on_event, _is_fresh=True)


def plan(
    asked: Tuning, platform: Platform, pricing: Pricing, whole: Dataset | None = None, given: Case | None = None
) -> PlannedSearch:
    """The search that is asked for. whole: the dataset, given: the case, unless they are those that are named."""
    job = Job(case=asked.case, workers=asked.parallel, store=asked.store, budget_usd=asked.budget_usd)
    platform.check(job, pricing)
    url = platform.store_url(asked.store)
    asked = replace(asked, store=url)
    made = planning.plan(asked, lambda spec: platform.adapt(spec, url, pricing), whole, given, code.own_file)
    return PlannedSearch(made, platform, url)


def attach(
    name: str, platform: Platform, store: str | None = None, data_store: str | None = None, case: str | None = None,
    on_event: OnEvent | None = None,
) -> tuple[Run, SearchSpec]:  # fmt: skip
    """A search that was begun at another time. case: the file that defines its own layers; it is run."""
    check_run(name)
    opened = open_store(platform.store_url(store))
    spec, search = searches.read(opened, name, data_store)
    if case is not None:
        run_again(case, search.case_file.sha256 if search.case_file is not None else None, f"search {name}")
    return Run(spec, opened, platform, on_event), search


def usual_parallel(platform: Platform, trials: int) -> int:
    """How many trials at a time, where nobody has said that."""
    return num_processes() if platform.is_here else min(trials, USUAL_PARALLEL)


def tune(
    what: str | Case | None = None, dataset: Any = None, *, platform: Platform | None = None,
    on_event: OnEvent | None = None, test: Any = None, resume: str | None = None, **choices: Any,
) -> Found:  # fmt: skip
    """Search the best hyper-parameters of a case, and wait for the end.

    what: the name of a case or its file, or a `Case`, whose `space` says what is searched. dataset, test: as in
        `nnlite.plan`. choices: fields of `nnlite.searches.plan.Tuning` (`trials=27, parallel=8, sampler="random"`).
    resume: the id of a search to go on with instead, or to fetch the outcome of; `store` and `data_store` say where it
        is, and `what` is the file that defines its own layers, if they are not defined here.
    Ctrl-C stops it, and the KeyboardInterrupt says how it goes on. Raises UsageError for what cannot be meant, RunError
    when no trial came to a good end.
    """
    platform = platform_of(platform)
    check_listener(on_event)
    if resume is not None:
        return _resumed(resume, what, platform, on_event, {"dataset": dataset, "test": test, **choices})
    refuse_unknown(choices, OF_TUNING | OF_PRICING, {"dataset", "platform", "resume", "test"})
    pricing = Pricing(**{name: choices.pop(name) for name in OF_PRICING & choices.keys()})
    asked, whole = _tuning(what, dataset, test, platform, choices)
    planned = plan(asked, platform, pricing, whole, what if isinstance(what, Case) else None)
    run = planned.begin(on_event)
    drive(run)
    return _found(run, planned.search)


def _resumed(name: str, what: Any, platform: Platform, on_event: OnEvent | None, others: dict[str, Any]) -> Found:
    store, data_store = (others.pop(one, None) for one in ("store", "data_store"))
    refuse_as_it_began("search", others)
    case = case_file_of(what, "search")
    run, search = attach(name, platform, store, data_store, case, on_event)
    if not is_over(run):
        drive(run)
    code.need(run.spec)
    return _found(run, search)


def is_over(run: Run) -> bool:
    """Whether a search has its outcome, or would have it without another trial."""
    return run.head.status == DONE or run.head.result is not None


def drive(run: Run) -> None:
    """Have a search come to its end, in this thread. Raises RunError when it has no outcome then."""
    try:
        run.to_end()
    except KeyboardInterrupt as error:
        where = "" if run.platform.is_here else f", platform={run.platform!r}"
        how = f"nnlite.tune(resume={run.name!r}, store={run.store.url!r}{where})"
        error.args = (f"search {run.name} was stopped; it goes on by {how}",)
        raise
    if not is_over(run):
        last = run.head
        raise RunError(
            f"search {run.name} {last.status}: {last.reason}; go on with it: python -m tools.tune --resume {run.name}"
        )


def _tuning(
    what: Any, dataset: Any, test: Any, platform: Platform, choices: Mapping[str, Any]
) -> tuple[Tuning, Dataset | None]:
    if not isinstance(what, (str, Case)):
        raise UsageError(f"what to search: wanted the name of a case, its file, or a Case, found {type(what).__name__}")
    given = {"parallel": usual_parallel(platform, choices.get("trials", 27)), **choices}
    if isinstance(dataset, str):
        given["dataset"] = dataset
    asked = Tuning(what if isinstance(what, str) else what.name, **given)
    return asked, dataset_of(dataset, test)


def _found(run: Run, search: SearchSpec) -> Found:
    """The outcome of a search that is over."""
    found = searches.result(run.store, run.spec)
    of, drawn = found.outcome, searches.configurations(run.store, run.name, search.num_trials)
    trials = [Trial(one.trial, drawn[one.trial], one.rounds, one.status, one.accuracy) for one in found.leaderboard]
    best = Best(found.trial.configuration, of.rounds, of.validation_accuracy, of.test_accuracy, found.model)
    return Found(run.name, best, trials)
