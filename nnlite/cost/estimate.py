"""An estimate: what a run will take and cost, before it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np

from nnlite.cost.bill import Cost, cost
from nnlite.cost.prices import Tariff
from nnlite.cost.profile import Profile
from nnlite.cost.rounds import RunModel, Shape
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.usage import Usage
from nnlite.protocol.search.asha import JobKey, Rank, TrialSchedule
from nnlite.protocol.search.spec import SearchSpec


@dataclass(frozen=True)
class Estimate:
    """Seconds from the start to the end of a run, and what it costs."""

    seconds: float
    usage: Usage
    cost: Cost

    def __str__(self) -> str:
        return f"about {self.seconds:,.1f} s, {self.cost}"

    def values(self) -> dict[str, Any]:
        """For JSON."""
        return {"seconds": round(self.seconds, 3), **self.cost.values()}


def estimate(
    spec: RunSpec,
    profile: Profile,
    model_bytes: int,
    memory_mb: float | None = None,
    tariff: Tariff | None = None,
    processes: int | None = None,
    invocation_s: float | None = None,
) -> Estimate:
    """Of a run by its specification, if it makes all its rounds.

    model_bytes: of a checkpoint. memory_mb: of a function; None: what the profile's processes needed at most.
    processes: that share the workers; None: each worker has a function of its own. tariff: None where nothing is paid.
    invocation_s: after so long a worker hands over to a new invocation. Of a protocol without rounds only the
    computing is known: it is taken for averaging, whose rounds are its epochs.
    """
    model = RunModel(Shape.of(spec, model_bytes, processes), profile)
    used, seconds = model.usage, model.seconds
    if invocation_s is not None and seconds > invocation_s:
        again_s = profile.warm_start_s + profile.warm_up_s  # of each that takes over
        more, num = ceil(seconds / invocation_s) - 1, model.shape.processes
        used = replace(
            used,
            seconds=used.seconds + more * num * again_s,
            init_s=used.init_s + more * num * profile.warm_start_s,
            compute_s=used.compute_s + more * num * profile.warm_up_s,
            num_invocations=used.num_invocations * (more + 1),
        )
        seconds += more * again_s
    used = replace(used, age_s=seconds)
    return Estimate(seconds, used, cost(used, memory_mb or profile.peak_mb, tariff))


JOB_REQUESTS = (10, 7)  # reads and writes of a job: claim, models, result, timing, news, traces


def estimate_search(
    search: SearchSpec, round_s: float, start_s: float, latency_s: float, memory_mb: float, tariff: Tariff | None = None
) -> Estimate:
    """Of a search whose trials take `round_s` seconds a round, on the mean, by as many workers as it has.

    start_s: of a worker, until it trains. How many rounds of training a search has hardly depends on its results: they
    are those of its schedule for any results. At its end, workers without a job wait for those with one.
    """
    jobs = _any_jobs(search.schedule())
    rounds = [search.ladder.added(rung) for _, rung in jobs]
    reads, writes = JOB_REQUESTS
    compute_s, asking_s = sum(rounds) * round_s, len(jobs) * (reads + writes) * latency_s
    workers = min(search.parallel, len(jobs))
    last_s = max(rounds) * round_s
    seconds = start_s + (compute_s + asking_s) / workers + last_s * (workers - 1) / workers
    idle_s = min(last_s, search.patience_s or last_s) * (workers - 1) / 2
    used = Usage(
        seconds=workers * start_s + compute_s + asking_s + idle_s,
        age_s=seconds,
        init_s=workers * start_s,
        compute_s=compute_s,
        num_invocations=workers,
        num_reads=len(jobs) * reads,
        num_writes=len(jobs) * writes,
    )
    return Estimate(seconds, used, cost(used, memory_mb, tariff))


def _any_jobs(schedule: TrialSchedule) -> list[JobKey]:
    """The jobs of a schedule whose results are drawn."""
    rng, results = np.random.default_rng(0), dict[JobKey, Rank | None]()
    while not schedule.is_complete:
        for job in schedule.advance(results):
            results[job.key] = (float(rng.random()),)
    return list(results)
