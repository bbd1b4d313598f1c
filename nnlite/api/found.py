"""What is found before a long run: memory and workers by probes, and a forecast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import Any

from nnlite.api.planned import OF_PRICING, Plan, What, make, platform_of, refuse_unknown
from nnlite.cost.prices import Tariff
from nnlite.cost.search import MemorySearch
from nnlite.cost.sizing import Sized
from nnlite.errors import UsageError, shown
from nnlite.estimating.optimum import MOST_USD, Hunt, probe_of
from nnlite.estimating.probe import Probed
from nnlite.estimating.supposed import Supposed
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol import protocols
from nnlite.simulation.forecast import Forecast
from nnlite.store import open_store

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
    if not isinstance(max_probes, Integral) or isinstance(max_probes, bool):
        raise UsageError(f"max_probes {shown(max_probes)}: wanted a whole number", parameter="max_probes")
    _check_range("workers", workers)
    if memory_mb is not None:
        _check_range("memory_mb", memory_mb)
    if choices.get("init") is not None:
        raise UsageError("init: probes measure how long a run takes, whichever weights it begins with: leave it out")
    sizes = platform.sizes(memory_mb)
    planned = make(what, dataset, platform, workers=workers[0], **choices)
    spec, url = planned.spec, planned.store_url
    search = MemorySearch(objective, *sizes, max_probes=max_probes, cores=spec.threads)
    tariff = platform.tariff(url, Pricing(**{name: choices[name] for name in OF_PRICING & choices.keys()}))
    return _optimum(*hunt_for(planned, search, workers, tariff, budget_usd))


def _check_range(name: str, given: object) -> None:
    two = given if isinstance(given, (tuple, list)) else ()
    if len(two) != 2 or not all(isinstance(one, Integral) and not isinstance(one, bool) for one in two):
        raise UsageError(f"{name} {shown(given)}: wanted two whole numbers, (lowest, highest)", parameter=name)


def hunt_for(
    planned: Plan, search: MemorySearch, workers: tuple[int, int], tariff: Tariff, budget_usd: float,
    told: Callable[[Probed], None] = lambda probed: None,
) -> tuple[Hunt, Sized, tuple[float, float] | str]:  # fmt: skip
    """Make the probes of a search for memory and workers. -> what they showed, what to choose, and what one more probe
    of that took and was to take, in seconds, or why there is none"""
    spec, url, platform = planned.spec, planned.store_url, planned.platform
    sizes = search.lowest_mb, search.highest_mb
    with open_store(url) as store, platform.probing(spec, url, sizes) as at:
        probe = probe_of(spec, planned.dataset, sizes[0], at, store if platform.is_here else None)
        hunt = Hunt(spec, search, probe, workers, tariff, told)
        hunt.budget_usd = budget_usd if spec.rates.worker_second_usd else None
        hunt.run()
        chosen = hunt.choice()
        return hunt, chosen, hunt.confirm(chosen)


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
    counts = [workers] if isinstance(workers, Integral) else list(workers) if isinstance(workers, Iterable) else []
    if not counts or not all(isinstance(one, Integral) for one in counts):
        raise UsageError(f"workers {shown(workers)}: wanted a whole number, or several", parameter="workers")
    made = [supposed.forecast(workload, world, supposed.spec(workload, int(count))) for count in counts]
    return made[0] if isinstance(workers, Integral) else made
