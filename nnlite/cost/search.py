"""The search for a memory size: asks for timings where they tell most, and stops when it knows enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, isfinite

import numpy as np

from nnlite.cost.belief import Belief
from nnlite.cost.curve import OBJECTIVES, Curve, Floats
from nnlite.errors import RunError, UsageError

SMALLEST_MB, LARGEST_MB = 128, 10240  # of a function on AWS Lambda
ROOM = 1.05  # a function's memory, against what it was seen to need
DOUBT = 0.1  # that is left when enough is known
NUM_PARTICLES = 256  # curves drawn by weight, to look one timing ahead
NUM_CANDIDATES, NUM_OUTCOMES = 20, 24


@dataclass
class MemorySearch:
    """Ask `next()` where to time, `add()` what came out, and stop when it says None. No I/O, no clock.

    cores: how many a worker can use: its threads. tolerance: enough is known when the choice is,
    but for a DOUBT of 10 %, at most so much worse than the best one.
    """

    objective: str
    lowest_mb: int
    highest_mb: int
    max_probes: int = 8
    tolerance: float = 0.03
    min_probes: int = 4
    cores: float = np.inf
    seed: int = 0
    timings: list[tuple[int, float]] = field(default_factory=list)  #: (memory_mb, seconds)

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise UsageError(f"no objective {self.objective!r}; there are {', '.join(OBJECTIVES)}")
        if not SMALLEST_MB <= self.lowest_mb <= self.highest_mb <= LARGEST_MB:
            raise UsageError(
                f"memory {self.lowest_mb}:{self.highest_mb} MB: wanted LOWEST:HIGHEST, "
                f"from {SMALLEST_MB} to {LARGEST_MB}"
            )
        if self.max_probes < 1:
            raise UsageError(f"{self.max_probes} probes: wanted at least 1")
        self.num_probes = 0  #: made so far, those that failed too
        self._begin()

    def _begin(self) -> None:
        self.belief = Belief(self.lowest_mb, self.highest_mb, self.cores)
        self._regrets = self.belief.regrets(self.objective)

    @property
    def sizes_mb(self) -> Floats:
        """What can be chosen (M,)."""
        return self.belief.sizes_mb

    def add(self, memory_mb: int, *seconds: float, needs_mb: float = 0.0) -> None:
        """What a probe has timed, once or several times; infinite when the function died of too little memory.

        needs_mb: what it needed at most, if that is known; no size without some room above it will be chosen.
        """
        if not seconds or not all(value > 0 for value in seconds):
            raise RunError(f"a probe at {memory_mb} MB took {list(seconds)} s: wanted more than 0")
        self.num_probes += 1
        died = not all(isfinite(value) for value in seconds)
        least_mb = max(ceil(needs_mb * ROOM), memory_mb + 1 if died else 0)
        if least_mb > self.highest_mb:
            raise RunError(
                f"a worker needs more memory than the {self.highest_mb} MB that memory_mb= allows: allow more"
            )
        if not died:
            self.timings += [(memory_mb, value) for value in seconds]
        if least_mb > self.lowest_mb:
            self.lowest_mb = least_mb
            self._begin()
        if self.timings:
            self.belief.learn(self.timings)

    def expected_regrets(self) -> Floats:
        """(M,): how much worse than the best each size is expected to be."""
        regrets: Floats = self.belief.weights @ self._regrets
        return regrets

    @property
    def regret(self) -> float:
        """How much worse than the best the choice is expected to be."""
        return float(self.expected_regrets()[self._choice_index()])

    @property
    def doubt(self) -> float:
        """The probability that the choice is worse than the best by more than the tolerance."""
        return float(self.belief.weights @ (self._regrets[:, self._choice_index()] > self.tolerance))

    def _choice_index(self) -> int:
        regrets = self.expected_regrets()
        return int(np.argmax(regrets <= regrets.min() + 0.003))  # of equals, the smallest

    @property
    def choice_mb(self) -> int:
        """The size to take, as far as is known."""
        return int(self.sizes_mb[self._choice_index()])

    @property
    def curve(self) -> Curve | None:
        """The likeliest curve."""
        return self.belief.curve

    def next(self) -> int | None:
        """The memory size to time next, or None when enough is known or `max_probes` were made."""
        if self.num_probes >= self.max_probes or (self.lowest_mb == self.highest_mb and self.timings):
            return None
        if self.num_probes and not self.timings:
            return self.highest_mb  # if that works, it tells what is needed
        first = (self.lowest_mb, self.highest_mb, self._middle_mb())
        for size in first if self.num_probes < len(first) else ():
            if all(size != timed for timed, _ in self.timings):
                return int(size)
        if self.num_probes >= self.min_probes and self.doubt <= DOUBT:
            return None
        return self._most_telling()

    def _middle_mb(self) -> int:
        middle = np.sqrt(self.lowest_mb * self.highest_mb)
        return int(self.sizes_mb[np.abs(np.log(self.sizes_mb / middle)).argmin()])

    def _most_telling(self) -> int:
        """Where one more timing is expected to leave the smallest regret."""
        rng = np.random.default_rng([self.seed, self.num_probes])
        drawn = rng.choice(len(self.belief.weights), NUM_PARTICLES, p=self.belief.weights)
        log_s = (self.belief.log_times + self.belief.scale[:, None])[drawn]  # (P, M)
        regrets = self._regrets[drawn]
        noise = self.belief.noise * (self.num_probes / len(self.timings)) ** 0.5  # a probe times several times
        candidates = np.unique(np.linspace(0, len(self.sizes_mb) - 1, NUM_CANDIDATES).astype(int))
        candidates = np.unique([*candidates, self._choice_index()])
        left = []
        for index in candidates:
            outcomes = rng.choice(log_s[:, index], NUM_OUTCOMES) + rng.normal(0, noise, NUM_OUTCOMES)
            error = (outcomes[:, None] - log_s[None, :, index]) / noise
            weights = np.exp(-0.5 * error**2) + 1e-3
            weights /= weights.sum(axis=1, keepdims=True)
            left.append((weights @ regrets).min(axis=1).mean())
        return int(self.sizes_mb[candidates[int(np.argmin(left))]])
