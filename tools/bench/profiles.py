"""Synthetic profiles: curves of seconds against memory as programs have them, timed with noise and outliers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nnlite.cost.curve import Curve, score
from nnlite.quantities import ONE_CORE_MB

KINDS = ("memory-bound", "CPU-bound", "flat", "step at one core")
OUTLIER_RATE = 0.08  # of timings that come out 1.5 to 4 times as long


@dataclass
class Synthetic:
    """A profile drawn from a seed. Calling it times it: seconds at a memory size, with noise.

    memory-bound: faster until what it works on fits, somewhere from 400 to 2,400 MB, around a rounded knee.
    CPU-bound: faster all the way, but for a serial part. step at one core: so up to 1,769 MB, as one thread is.
    `threads`, which a search may know: one of the latter, two of all others.
    """

    seed: int
    kind: str = ""
    curve: Curve = field(init=False)
    noise: float = field(init=False)  #: standard deviation of log seconds, 0.05 to 0.2

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, 7])
        self.kind = self.kind or KINDS[self.seed % len(KINDS)]
        total_s = float(np.exp(self.rng.uniform(np.log(0.5), np.log(60.0))))
        self.noise = float(self.rng.uniform(0.05, 0.2))
        self.curve = self._draw(total_s)

    def _draw(self, total_s: float) -> Curve:
        rng = self.rng
        if self.kind == "flat":
            return Curve(total_s, 0.002 * total_s)
        if self.kind == "CPU-bound":
            return Curve(total_s * rng.uniform(0.005, 0.3), total_s)
        if self.kind == "step at one core":
            return Curve(total_s * rng.uniform(0.01, 0.4), total_s, ONE_CORE_MB)
        knee_mb = float(np.exp(rng.uniform(np.log(400.0), np.log(2400.0))))
        return Curve(total_s * rng.uniform(0.05, 0.5), total_s * rng.uniform(0.2, 1.0), knee_mb, 4.0)

    @property
    def threads(self) -> int:
        """Of a worker."""
        return 1 if self.kind == "step at one core" else 2

    def __call__(self, memory_mb: int) -> float:
        seconds = float(self.curve.seconds(memory_mb)) * float(np.exp(self.rng.normal(0.0, self.noise)))
        wild = self.rng.random() < OUTLIER_RATE
        return seconds * float(self.rng.uniform(1.5, 4.0)) if wild else seconds

    def regret(self, objective: str, memory_mb: int, lowest_mb: int, highest_mb: int) -> float:
        """How much worse than the true optimum a size is; 0.05 is 5 %."""
        sizes = np.arange(lowest_mb, highest_mb + 1)
        best = float(score(objective, sizes, self.curve.seconds(sizes)).min())
        return float(score(objective, memory_mb, self.curve.seconds(memory_mb))) / best - 1.0
