"""Training on this machine: processes of it, or this very one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

from nnlite.choices import choice
from nnlite.errors import UsageError
from nnlite.estimating.conditions import Venue, local
from nnlite.estimating.probe import VenueAt, check_cores, local_at
from nnlite.invoker import processor
from nnlite.invoker.base import Invoker
from nnlite.platform.base import Platform, Pricing
from nnlite.protocol.records.spec import Rates, RunSpec
from nnlite.runs.job import Job
from nnlite.store import Store


@dataclass(frozen=True)
class Local(Platform):
    """This machine. processes: that the workers share; 0: this very one; None: one each, as far as there are cores."""

    processes: int | None = choice(None, "default: a worker each, as far as there are cores", "P")

    name: ClassVar[str] = "local"
    title: ClassVar[str] = "on this machine (--platform local)"
    is_here: ClassVar[bool] = True
    probes_cost: ClassVar[bool] = False
    probes_where: ClassVar[str] = (
        "worker processes of this machine, held to a function's share of a core; they cost nothing"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.processes is not None and self.processes < 0:
            raise UsageError(
                f"processes {self.processes}: wanted 0 (train in this process) or more", parameter="processes"
            )

    def check(self, job: Job, pricing: Pricing) -> None:
        super().check(job, pricing)
        if self.processes and _is_memory(job.store):
            raise UsageError(
                f"processes {self.processes}: other processes cannot see a store in memory; leave it out",
                parameter="processes",
            )

    def adapt(self, spec: RunSpec, store_url: str, pricing: Pricing) -> RunSpec:
        """Nobody sends a bill; what it would be on AWS Lambda is stated."""
        rates = Rates(memory_mb=pricing.memory_mb or 0)
        return replace(spec, rates=rates, tariff=asdict(self.tariff(store_url, pricing)))

    def describe(self, spec: RunSpec, store_url: str) -> dict[str, str]:
        return {"where": f"{self.num_processes(spec, store_url)} processes of this machine"}

    def venue(self, spec: RunSpec, store_url: str) -> Venue:
        return local(max(1, self.num_processes(spec, store_url)))

    @contextmanager
    def probing(self, spec: RunSpec, store_url: str, sizes: tuple[int, int]) -> Iterator[VenueAt]:
        """Processes held to the share of a core that functions have."""
        check_cores(sizes[1], 1, spec.threads)
        yield local_at(spec)

    def open(self, spec: RunSpec, store: Store) -> Invoker | None:
        count = self.num_processes(spec, store.url)
        return local(count).open(spec, store) if count else None

    def num_processes(self, spec: RunSpec, store_url: str) -> int:
        """How many processes are started; 0: none but this."""
        if self.processes is not None:
            return self.processes
        if _is_memory(store_url):
            return 0  # other processes could not see it
        return min(spec.num_workers, processor.num_processes())


def _is_memory(store_url: str) -> bool:
    return store_url.startswith("memory://")
