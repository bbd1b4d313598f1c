"""What is found before a long run: hyper-parameters by a search, memory and workers by probes, and a forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from nnlite.api import code
from nnlite.api.planned import OF_PRICING, What, dataset_of, make, platform_of, refuse_unknown
from nnlite.api.run import OnEvent, Run, check_listener
from nnlite.case_file import CaseFile
from nnlite.cases import Case
from nnlite.cost.search import MemorySearch
from nnlite.cost.sizing import Sized
from nnlite.data import Dataset
from nnlite.errors import RunError, UsageError
from nnlite.estimating.optimum import MOST_USD, Hunt, probe_of
from nnlite.estimating.probe import Probed
from nnlite.estimating.supposed import Supposed
from nnlite.invoker.processor import num_processes
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol import protocols
from nnlite.protocol.records.head import DONE
from nnlite.protocol.records.spec import check_run
from nnlite.protocol.search.spec import SearchSpec
from nnlite.runs.job import Job
from nnlite.runs.model_file import TrainedModel
from nnlite.searches import lifecycle as searches
from nnlite.searches import plan as planning
from nnlite.searches.plan import Tuning
from nnlite.simulation.forecast import Forecast
from nnlite.store import open_store

USUAL_PARALLEL = 8  # where somebody else's processors are used
OF_TUNING = {one.name for one in fields(Tuning)} - {"case", "dataset"}


# ---- a search


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
    platform.check(
        Job(case=asked.case, workers=asked.parallel, store=asked.store, budget_usd=asked.budget_usd), pricing
    )
    planned = planning.plan(
        asked,
        lambda spec: platform.adapt(spec, asked.store, pricing),
        whole,
        what if isinstance(what, Case) else None,
        code.own_file,
    )
    spec = planned.spec
    platform.prepare(spec, asked.store)
    store = open_store(asked.store)
    searches.begin(store, spec, planned.search, planned.trials, (planned.seen, planned.whole))
    return _driven(Run(spec, store, platform, on_event, _is_fresh=True), planned.search)


def _resumed(
    name: str, what: Any, platform: Platform, on_event: OnEvent | None, others: dict[str, Any]
) -> Found:  # fmt: skip
    places = {one: others.pop(one, None) for one in ("store", "data_store")}
    for one in sorted(one for one, value in others.items() if value is not None):
        raise UsageError(f"{one}: a search goes on as it began: leave it out", parameter=one)
    check_run(name)
    store = open_store(platform.store_url(places["store"]))
    spec, search = searches.read(store, name, places["data_store"])
    if isinstance(what, str) and search.case_file is not None:
        file = CaseFile.read(what)
        file.check(search.case_file.sha256, f"search {name}")
        file.run()
    run = Run(spec, store, platform, on_event)
    head = run.head
    if head.status == DONE or head.result is not None:
        code.need(spec)
        return _found(run, search)
    return _driven(run, search)


def _driven(run: Run, search: SearchSpec) -> Found:
    """Have a search come to its end. -> what it has found"""
    try:
        run.drive()
    except KeyboardInterrupt as error:
        error.args = (
            f"search {run.name} was stopped; it goes on by nnlite.tune(resume={run.name!r}, store={run.store.url!r}"
            f"{'' if run.platform.is_here else f', platform={run.platform!r}'})",
        )
        raise
    last = run.head
    if last.status != DONE and last.result is None:
        raise RunError(f"search {run.name} {last.status}: {last.reason}; resume={run.name!r} goes on with it")
    return _found(run, search)


def _tuning(
    what: Any, dataset: Any, test: Any, platform: Platform, choices: Mapping[str, Any]
) -> tuple[Tuning, Dataset | None]:
    if not isinstance(what, (str, Case)):
        raise UsageError(f"what to search: wanted the name of a case, its file, or a Case, found {type(what).__name__}")
    usual = num_processes() if platform.is_here else min(choices.get("trials", 27), USUAL_PARALLEL)
    given = {"parallel": usual, **choices}
    if isinstance(dataset, str):
        given["dataset"] = dataset
    asked = Tuning(what if isinstance(what, str) else what.name, **given)
    asked = replace(asked, store=platform.store_url(asked.store))
    return asked, dataset_of(dataset, test, asked.seed)


def _found(run: Run, search: SearchSpec) -> Found:
    """The outcome of a search that is over."""
    found = searches.result(run.store, run.spec)
    of, drawn = found.outcome, searches.configurations(run.store, run.name, search.num_trials)
    trials = [Trial(one.trial, drawn[one.trial], one.rounds, one.status, one.accuracy) for one in found.leaderboard]
    best = Best(found.trial.configuration, of.rounds, of.validation_accuracy, of.test_accuracy, found.model)
    return Found(run.name, best, trials)


# ---- memory and workers


@dataclass(frozen=True)
class Optimum:
    """The memory size, workers and merge tree that serve an objective best, by a model that was fitted to probes."""

    memory_mb: int
    workers: int
    tree: tuple[int, ...]
    seconds: float  #: of the whole run
    usd: float  #: at list prices
    gb_seconds: float
    saving: float  #: against what one takes without looking, as a fraction
    confirmed_s: float | None  #: of a round, by one more probe; None: that could not be made
    predicted_s: float | None  #: the same by the model
    probes: list[Probed] = field(repr=False)


def optimize(
    what: What, dataset: Any = None, *, platform: Platform | None = None, objective: str = "cost",
    memory_mb: tuple[int, int] | None = None, workers: tuple[int, int] = (10, 200), max_probes: int = 8,
    budget_usd: float = MOST_USD, **choices: Any,
) -> Optimum:  # fmt: skip
    """Find the memory size and the workers that serve an objective best, by timing a few short runs.

    objective: cost, time or performance-per-cost. memory_mb, workers: lowest and highest. budget_usd: where somebody
        sends a bill, no probe is begun that could bring the cost of all above it; nobody is asked. The rest as in
        `nnlite.plan`.
    """
    platform = platform_of(platform)
    sizes = platform.sizes(memory_mb)
    planned = make(what, dataset, platform, workers=workers[0], **choices)
    spec, url = planned.spec, planned.store_url
    search = MemorySearch(objective, *sizes, max_probes=max_probes, cores=spec.threads)
    tariff = platform.tariff(url, Pricing(**{name: choices[name] for name in OF_PRICING & choices.keys()}))
    with open_store(url) as store, platform.probing(spec, url, sizes) as at:
        probe = probe_of(spec, planned.dataset, sizes[0], at, store if platform.is_here else None)
        hunt = Hunt(spec, search, probe, workers, tariff, lambda probed: None)
        hunt.budget_usd = budget_usd if spec.rates.worker_second_usd else None
        hunt.run()
        chosen = hunt.choice()
        confirmed = hunt.confirm(chosen)
    return _optimum(hunt, chosen, confirmed)


def _optimum(hunt: Hunt, chosen: Sized, confirmed: tuple[float, float] | str) -> Optimum:
    objective = hunt.search.objective
    measured, predicted = (None, None) if isinstance(confirmed, str) else confirmed
    saving = 1 - chosen.score(objective) / hunt.default().score(objective)
    cost = chosen.cost
    return Optimum(
        hunt.search.choice_mb, chosen.num_workers, chosen.tree.widths, chosen.seconds, cost.total_usd, cost.total_gb_s,
        saving, measured, predicted, hunt.probes,
    )  # fmt: skip


# ---- a forecast


def simulate(
    case: str = "b", dataset: str | None = None, *, workers: int | Sequence[int] = 10, **choices: Any
) -> Forecast | list[Forecast]:
    """What a run would take, by the real protocol in virtual time. Nothing is started, nothing is paid.

    workers: how many, or several numbers in turn; then as many forecasts come back. choices: fields of
        `nnlite.estimating.supposed.Supposed` (`store="memcached", rounds=5, memory_mb=1769`), and options of the
        protocol (`protocol="downpour", push_every=20`).
    """
    known = {one.name for one in fields(Supposed)} - {"case", "dataset", "options"}
    options = {name: choices.pop(name) for name in protocols.options().keys() & choices.keys()}
    refuse_unknown(choices, known, {*protocols.options(), "dataset", "workers"})
    supposed = Supposed(case, dataset, **choices, options=options)
    workload = supposed.workload()
    world = supposed.world(workload, supposed.compute(workload))
    counts = [workers] if isinstance(workers, int) else list(workers)
    made = [supposed.forecast(workload, world, supposed.spec(workload, count)) for count in counts]
    return made[0] if isinstance(workers, int) else made
