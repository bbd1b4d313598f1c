"""A curve: seconds against memory size, as a function buys computing power by the megabyte.

time = serial + work / share(memory). On AWS Lambda a function's share of the processor is proportional to its memory,
with one whole core at 1,769 MB; what one thread, or the memory's bandwidth, can use of it ends at some knee.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.quantities import ONE_CORE_MB

OBJECTIVES = ("cost", "time", "performance-per-cost")

Floats = NDArray[np.float64]


def share(memory_mb: Any, knee_mb: Any = np.inf, sharpness: Any = np.inf, beyond: Any = 0.0) -> Any:
    """The share of one core that a function of `memory_mb` can use; arrays broadcast.

    knee_mb: where more memory stops to help. sharpness: of the knee; infinite, a corner. beyond: the fraction of the
    work that goes on getting faster behind the knee, as more cores do for some of the work (Amdahl's law).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.asarray(memory_mb, np.float64) / knee_mb
        rounded = ratio * (1.0 + np.power(ratio, np.minimum(sharpness, 64.0))) ** (-1.0 / np.minimum(sharpness, 64.0))
        usable = np.where(np.isinf(sharpness), np.minimum(ratio, 1.0), rounded)
        speedup = 1.0 / (1.0 - beyond + beyond / np.maximum(ratio, 1.0))
        one_core = np.where(np.isinf(knee_mb), memory_mb, usable * speedup * np.where(np.isinf(knee_mb), 1.0, knee_mb))
    return one_core / ONE_CORE_MB


def score(objective: str, memory_mb: Any, seconds: Any) -> Any:
    """What is to be made small: seconds, GB-seconds, or (for performance per cost) seconds times GB-seconds.

    Performance is work per second, so performance per cost is 1 / (seconds * cost).
    """
    gb_s = np.asarray(memory_mb, np.float64) / 1024 * seconds
    return {"time": seconds, "cost": gb_s, "performance-per-cost": seconds * gb_s}[objective]


@dataclass(frozen=True)
class Curve:
    """One curve: serial_s that no memory makes shorter, and work_s seconds of work on one core."""

    serial_s: float
    work_s: float
    knee_mb: float = np.inf
    sharpness: float = np.inf
    beyond: float = 0.0

    def seconds(self, memory_mb: Any) -> Any:
        """Time at these memory sizes."""
        return self.serial_s + self.work_s / share(memory_mb, self.knee_mb, self.sharpness, self.beyond)
