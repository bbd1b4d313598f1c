"""An estimate: what a run will take and cost, before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnlite.cost.bill import Cost, cost
from nnlite.cost.prices import Tariff
from nnlite.cost.profile import Profile
from nnlite.cost.rounds import RunModel, Shape
from nnlite.cost.usage import Usage
from nnlite.protocol.spec import RunSpec


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
) -> Estimate:
    """Of a run by its specification, if it makes all its rounds.

    model_bytes: of a checkpoint. memory_mb: of a function; None: what the profile's processes needed at most.
    processes: that share the workers; None: each worker has a function of its own. tariff: None where nothing is paid.
    """
    model = RunModel(Shape.of(spec, model_bytes, processes), profile)
    used = model.usage
    return Estimate(model.seconds, used, cost(used, memory_mb or profile.peak_mb, tariff, model.seconds))
