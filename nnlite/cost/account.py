"""The account of a run: what its workers have used, as their leases say, and what that costs.

It is the one source of a run's cost: of what `tools.train` says at its end, of status, of the report, and, while the
run goes on, of its budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from nnlite.cost.bill import Cost, cost
from nnlite.cost.prices import Tariff, stated
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.usage import Usage, total


@dataclass(frozen=True)
class Account:
    """The leases of a run at one moment, by worker; those that are there."""

    spec: RunSpec
    leases: Mapping[int, Lease]

    @cached_property
    def used(self) -> Usage:
        """By all workers, as far as they told: that is with every beat, and in the end."""
        return total(lease.used for lease in self.leases.values())

    @property
    def attempts(self) -> int:
        """The sum over all workers."""
        return sum(lease.attempt for lease in self.leases.values())

    @property
    def unseen_s(self) -> float:
        """How much longer attempts that died may have lasted after their last accounts; the budget counts it."""
        return sum(lease.unseen_s for lease in self.leases.values())

    @property
    def going(self) -> list[int]:
        """The workers whose last account is not there: they are at work, on their way, or dead."""
        return [w for w in range(self.spec.num_workers) if w not in self.leases or not self.leases[w].is_final]

    # ---- what it costs

    @property
    def is_paid(self) -> bool:
        """Whether somebody sends a bill, or the run is counted as if (`--memory-mb`)."""
        return bool(self.spec.rates.worker_second_usd or self.spec.rates.memory_mb)

    @property
    def memory_mb(self) -> float:
        """The memory of a worker's function; where it has no limit, the most that a process needed."""
        return self.spec.rates.memory_mb or self.used.peak_mb

    @cached_property
    def cost(self) -> Cost:
        """At the list prices that the specification names."""
        return cost(self.used, self.memory_mb, self.tariff)

    @cached_property
    def tariff(self) -> Tariff | None:
        """Those list prices. Raises StoreError when they are none."""
        return stated(self.spec)

    @property
    def usd(self) -> float:
        """What is paid: nothing, where nobody sends a bill."""
        return self.cost.total_usd if self.is_paid else 0.0

    def values(self) -> dict[str, object]:
        """For JSON: `usd` is what is paid, `list_usd` what it would cost at list prices; and what was used."""
        values = self.cost.values()
        return {**values, "usd": round(self.usd, 9), "list_usd": values["usd"], **self.used.asked()}
