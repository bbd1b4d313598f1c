"""A supposed run: what to forecast, and the machine, network and store that it is supposed to run on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nnlite import places
from nnlite.choices import choice
from nnlite.errors import UsageError, shown
from nnlite.estimating.speed import measured
from nnlite.numbers import PythonNumbers
from nnlite.protocol import protocols
from nnlite.protocol.records.spec import RunSpec
from nnlite.quantities import ONE_CORE_MB
from nnlite.simulation import faults, profile
from nnlite.simulation.forecast import Forecast, forecast
from nnlite.simulation.profile import ComputeProfile, WorldProfile
from nnlite.simulation.workload import Workload, rates

LIMIT_S = 900.0  # of AWS Lambda
POLLS_PER_S = 1_000  # of all workers together, at most; S3 takes 5,500 of one prefix, and they have work to do, too


@dataclass(frozen=True)
class Supposed(metaclass=PythonNumbers):
    """A run that nobody starts: of a case by name or file, on a dataset of its official size."""

    case: str = "b"
    dataset: str | None = None
    protocol: str = "averaging"
    store: str = choice("s3", "of which kind (default s3)", values=sorted(profile.ASSUMED))
    rounds: int = choice(5, "number of rounds (default 5)", "N")
    steps_per_round: int | None = None
    batch_size: int | None = None
    tree: tuple[int, ...] | None = None
    memory_mb: int = choice(ONE_CORE_MB, f"of a function (default {ONE_CORE_MB}: a vCPU)", "M")
    limit_s: float | None = choice(None, f"when the platform ends a worker ({LIMIT_S:g}; file: never)", "S")
    max_poll_s: float | None = choice(None, "between looks at the head (0.25, or 1,000 a second in all)", "S")
    straggler_timeout_s: float | None = choice(None, "after which waiters repair (30, or a second a worker)", "S")
    faults: str = choice("", "crash=.001,lose=.01,double=.05,vanish=.001,straggler=.02:10 (none)", "HOW")
    seed: int = choice(0, "of all chances; same seed and profile, same rows", "N")
    profile: str | None = choice(None, "measured constants, not assumed ones", "FILE", is_path=True)
    options: Mapping[str, Any] = field(default_factory=dict)  #: that only some protocols have

    def __post_init__(self) -> None:
        if self.store not in profile.ASSUMED:
            kinds = ", ".join(sorted(profile.ASSUMED))
            raise UsageError(f"store {shown(self.store)}: there are {kinds}", parameter="store")
        if self.protocol not in protocols.names():
            raise UsageError(f"no protocol {shown(self.protocol)}; there are {', '.join(protocols.names())}")
        for name in ("memory_mb", "limit_s", "max_poll_s", "straggler_timeout_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{name} {value}: wanted a positive number", parameter=name)
        faults.parse(self.faults)
        known = protocols.options()
        for name in self.options:
            if self.protocol not in known.get(name, ()):
                raise UsageError(f"{name} is no option of protocol {self.protocol}: leave it out", parameter=name)

    def workload(self) -> Workload:
        """How much there is to do."""
        return Workload.of_case(self.case, self.dataset, self.batch_size)

    def compute(self, workload: Workload) -> ComputeProfile | None:
        """How fast this machine is at it, measured now; None where a profile says it."""
        if self.profile is not None:
            return None
        return measured(workload.network(), workload.optimizer, workload.batch_size)

    def world(self, workload: Workload, compute: ComputeProfile | None) -> WorldProfile:
        """The constants: from a file, or what is assumed of such a store and was measured of this machine."""
        if compute is None:
            return self._read(workload)
        start_s, spread = (0.3, 0.1) if self.store == "file" else (1.0, 0.3)
        name, batch = workload.case.name, workload.batch_size
        world = WorldProfile(profile.ASSUMED[self.store], compute, name, batch, start_s, spread, self.store)
        if self.store == "file":
            return world
        world = replace(world, compute=replace(compute, spread=0.05, crowding=()))
        return world.with_memory(self.memory_mb)

    def _read(self, workload: Workload) -> WorldProfile:
        path = str(self.profile)
        try:
            found = WorldProfile.from_json(places.expanded(path).read_bytes(), path)
        except OSError as error:
            raise UsageError(f"profile {path}: {error.strerror}", parameter="profile") from None
        if found.case != workload.case.name:
            raise UsageError(
                f"profile {path} was measured with case {found.case}, not {workload.case.name}", parameter="profile"
            )
        return found

    def spec(self, workload: Workload, num_workers: int) -> RunSpec:
        """The specification of the run with so many workers."""
        poll_s = 0.03 if self.store == "file" else max(0.25, num_workers / POLLS_PER_S)
        return workload.spec(
            num_workers,
            self.tree,
            seed=self.seed,
            num_rounds=self.rounds,
            protocol=self.protocol,
            **self.options,
            steps_per_round=self.steps_per_round,
            rates=rates(self.store, self.memory_mb),
            max_poll_s=self.max_poll_s or poll_s,
            **({"straggler_timeout_s": self.straggler_timeout_s} if self.straggler_timeout_s else {}),
        )

    def forecast(self, workload: Workload, world: WorldProfile, spec: RunSpec) -> Forecast:
        """What it would take, by the real protocol in virtual time."""
        timeout_s = self.limit_s or (math.inf if self.store == "file" else LIMIT_S)
        trouble = replace(faults.parse(self.faults), timeout_s=timeout_s)
        return forecast(spec, workload.subject(self.protocol), world, self.seed, trouble)
