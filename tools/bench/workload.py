"""What is measured: one training step of a case on random data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DENSE = {  # inputs, hidden and output units; activation; fraction dropped behind the first layer
    "a": ((20, 100, 100, 100, 100, 100, 1), "tanh", 0.0),
    "c": ((784, 64, 64, 10), "relu", 0.0),
    "emnist": ((784, 100, 47), "tanh", 0.2),
}
CASES = ("a", "b", "c", "emnist")
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Workload:
    """A case, how many samples a step, and how many threads."""

    case: str
    batch: int
    threads: int = 1

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """x (N, C, H, W) or (N, D) float32 and y (N,): labels, or ±1 float32 for case a."""
        rng = np.random.default_rng(0)
        if self.case == "b":
            return rng.random((self.batch, 3, 32, 32), np.float32), rng.integers(0, 10, self.batch)
        sizes = DENSE[self.case][0]
        x = rng.random((self.batch, sizes[0]), np.float32)
        if self.case == "a":
            return x, np.where(rng.random(self.batch) < 0.5, -1, 1).astype(np.float32)
        return x, rng.integers(0, sizes[-1], self.batch)

    def __str__(self) -> str:
        threads = "" if self.threads == 1 else f", {self.threads} threads"
        return f"{self.case}, batch {self.batch}{threads}"


STANDARD = (
    Workload("b", 100),
    Workload("b", 25),
    Workload("b", 37),
    Workload("b", 500),
    Workload("b", 100, threads=2),
    Workload("a", 50),
    Workload("a", 500),
    Workload("c", 100),
    Workload("emnist", 32),
    Workload("emnist", 128),
)
