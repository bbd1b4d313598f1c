"""An estimate: what a run will take and cost, before it starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
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
    invocation_s: float | None = None,
) -> Estimate:
    """Of a run by its specification, if it makes all its rounds.

    model_bytes: of a checkpoint. memory_mb: of a function; None: what the profile's processes needed at most.
    processes: that share the workers; None: each worker has a function of its own. tariff: None where nothing is paid.
    invocation_s: after so long a worker hands over to a new invocation. Of Downpour only the computing is known: it is
    taken for averaging, whose rounds are its epochs.
    """
    if spec.protocol != "averaging":
        spec = replace(spec, protocol="averaging", eval_every=spec.eval_every or max(1, spec.num_rounds))
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
    return Estimate(seconds, used, cost(used, memory_mb or profile.peak_mb, tariff, seconds))
