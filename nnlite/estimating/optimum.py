"""The optimum of a case: memory by probes, workers and tree by a model, confirmed by one more probe."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from nnlite.cost.belief import Belief
from nnlite.cost.bill import Cost, cost
from nnlite.cost.prices import Tariff
from nnlite.cost.profile import Profile
from nnlite.cost.rounds import RunModel, Shape
from nnlite.cost.search import MemorySearch
from nnlite.cost.sizing import Sized, best, sized
from nnlite.data import Dataset
from nnlite.errors import RunError, UsageError
from nnlite.estimating import calibrate
from nnlite.estimating.probe import NUM_ROUNDS, Probe, Probed, VenueAt, local_share
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.tree import Tree
from nnlite.quantities import ONE_CORE_MB
from nnlite.store import Store

DEFAULT_MB = ONE_CORE_MB  # what one takes without looking: a whole core
MOST_USD = 0.1  # for probing, unless somebody allows more
PROBE_ROUND_S = 1.0  # of a probe's round on the smallest function
FITTED = ("step_s", "score_row_s", "warm_up_s", "cold_start_s")


@dataclass
class Hunt:
    """One search, from the first probe to the confirmed choice. `tell` is told of every probe as it is made."""

    spec: RunSpec  #: with as few workers as are allowed
    search: MemorySearch
    probe: Probe
    workers: tuple[int, int]
    tariff: Tariff
    tell: Callable[[Probed], None]
    probes: list[Probed] = field(default_factory=list)
    seconds: float = 0.0  #: that probing took
    budget_usd: float | None = None  #: no probe is begun that could bring the cost of all of them above it

    def run(self) -> None:
        """Probe until the memory size is known."""
        began_s = time.monotonic()
        while (memory_mb := self.search.next()) is not None and self._may(memory_mb, 1):
            probed = self._probe(memory_mb, 1)
            self.search.add(memory_mb, *probed.round_s, needs_mb=probed.usage.peak_mb)
        self.seconds += time.monotonic() - began_s
        if not self.search.timings:
            sizes = ", ".join(str(p.memory_mb) for p in self.probes)
            needs_mb = max(p.usage.peak_mb for p in self.probes)
            needs = f" (it needs {needs_mb:.0f} MB)" if needs_mb else ""
            raise RunError(
                f"no size that was probed is enough for a worker{needs}: {sizes} MB; allow more probes (max_probes=, "
                "budget_usd=), or only larger sizes (memory_mb=)"
            )

    def _may(self, memory_mb: int, num_workers: int) -> bool:
        """Whether another probe fits into the budget, if it takes as long as the longest so far."""
        if self.budget_usd is None or not self.probes:
            return True
        longest_s = max(p.usage.seconds / p.num_workers for p in self.probes)
        per_worker = longest_s * memory_mb / 1024 * self.tariff.gb_s_usd + 100 * self.tariff.write_usd
        return self.probing_cost().total_usd + num_workers * per_worker <= self.budget_usd

    def _probe(self, memory_mb: int, num_workers: int, tree: Tree | None = None) -> Probed:
        probed = self.probe(memory_mb, num_workers, tree)
        self.probes.append(probed)
        self.tell(probed)
        return probed

    # ---- what is known then

    def profile(self, memory_mb: int) -> Profile:
        """The profile of a worker in a function of this size: constants fitted over all probes."""
        known = [(p.memory_mb, p.profile) for p in self.probes if p.profile is not None and p.num_workers == 1]
        nearest = min(known, key=lambda item: abs(math.log(item[0] / memory_mb)))[1]
        values: dict[str, Any] = {}
        for name in FITTED:
            values[name] = self._fitted([(mb, getattr(p, name)) for mb, p in known], memory_mb)
        per_byte = self._fitted([(mb, 1 / p.merge_bytes_per_s) for mb, p in known], memory_mb)
        return replace(nearest, **values, merge_bytes_per_s=1 / max(per_byte, 1e-15), memory_mb=memory_mb)

    def _fitted(self, timings: list[tuple[int, float]], memory_mb: int) -> float:
        positive = [(mb, seconds) for mb, seconds in timings if seconds > 0]
        if not positive:
            return 0.0
        belief = Belief(self.search.lowest_mb, self.search.highest_mb, self.search.cores)
        belief.learn(positive)
        return float(belief.curve.seconds(memory_mb)) if belief.curve else 0.0

    def choice(self) -> Sized:
        """Workers and tree for the chosen memory size."""
        memory_mb = self.search.choice_mb
        size = calibrate.model_bytes(self.spec)
        objective = self.search.objective
        return best(self.spec, self.profile(memory_mb), size, memory_mb, self.tariff, objective, self.workers)

    @property
    def default_mb(self) -> int:
        """One core, as far as it is allowed."""
        return min(max(DEFAULT_MB, self.search.lowest_mb), self.search.highest_mb)

    def default(self) -> Sized:
        """What one would take without looking: one core, the fewest workers, the usual tree."""
        tree = Tree.for_workers(self.workers[0])
        size = calibrate.model_bytes(self.spec)
        return sized(self.spec, tree, self.profile(self.default_mb), size, self.default_mb, self.tariff)

    def confirm(self, chosen: Sized) -> tuple[float, float] | str:
        """One probe of the choice. -> seconds of a round, measured and by the model; or why it cannot be done."""
        memory_mb = self.search.choice_mb
        shape = Shape.of(self.spec, calibrate.model_bytes(self.spec))
        shape = replace(shape, num_workers=chosen.num_workers, processes=chosen.num_workers, tree=chosen.tree)
        predicted = RunModel(replace(shape, steps=self.probe.steps), self.profile(memory_mb)).round_s
        if not self._may(memory_mb, chosen.num_workers):
            return f"that could bring the probing above ${self.budget_usd:g}: allow more by budget_usd="
        began_s = time.monotonic()
        try:
            measured = self._probe(memory_mb, chosen.num_workers, chosen.tree).whole_s
        except (UsageError, RunError) as error:
            return str(error)
        self.seconds += time.monotonic() - began_s
        return measured, predicted

    def probing_cost(self) -> Cost:
        """The sum over all probes."""
        costs = [cost(p.usage, p.memory_mb, self.tariff) for p in self.probes]
        parts = {part: sum(c.gb_s[part] for c in costs) for part in costs[0].gb_s}
        usd = {part: sum(c.usd[part] for c in costs) for part in costs[0].usd}
        return Cost(parts, usd, max(c.memory_mb for c in costs), costs[0].date)


def probe_of(spec: RunSpec, dataset: Dataset, lowest_mb: int, at: VenueAt, store: Store | None = None) -> Probe:
    """Short runs, whose rounds take about PROBE_ROUND_S on the smallest function. store: whose latency and bandwidth
    are measured here, where functions do not tell them."""
    steps = calibrate.steps_for(spec, PROBE_ROUND_S, local_share(lowest_mb, spec.threads))
    if store is None:
        return Probe(spec, dataset, steps, at)
    return Probe(spec, dataset, steps, at, calibrate.time_store(store, calibrate.model_bytes(spec)))


def probe_seconds(round_s: float) -> float:
    """About how long a probe takes at most, if its rounds take so long on the smallest function."""
    return 2.0 + (NUM_ROUNDS + 1) * round_s * 1.2
