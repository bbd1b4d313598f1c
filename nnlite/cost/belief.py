"""Belief: which curves a few noisy timings leave possible, as weights over a grid of curves.

Noise is multiplicative; some timings are outliers, much slower for reasons of their own. So the weights come from a
mixture of both, and a single wild timing moves little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnlite.cost.curve import Curve, Floats, score, share
from nnlite.quantities import ONE_CORE_MB

SERIAL = np.concatenate([np.geomspace(0.004, 0.9, 15), [1.0]])  # of the time at the smallest memory
NOISE = np.array([0.02, 0.05, 0.1, 0.2])  # standard deviations of log seconds
SCALE = np.linspace(-0.4, 0.4, 13)  # log, around the middle of the timings
WORST = 0.2
OUTLIER_RATE, OUTLIER_WIDTH = 0.1, 2.0  # of timings; and log(slowest / curve)


class Belief:
    """Weights (H,) of H curves, given timings at memory sizes between `lowest_mb` and `highest_mb`.

    sizes_mb (M,): what can be chosen. cores: how many a worker can use at most, which is its threads.
    """

    def __init__(self, lowest_mb: int, highest_mb: int, cores: float = np.inf, num_sizes: int = 56):
        sizes = np.geomspace(lowest_mb, highest_mb, num_sizes).round()
        if lowest_mb < ONE_CORE_MB < highest_mb:
            sizes[np.abs(np.log(sizes / ONE_CORE_MB)).argmin()] = ONE_CORE_MB
        self.sizes_mb: Floats = np.unique(sizes)
        knees, sharpness, beyond, prior = _shapes(lowest_mb, highest_mb, cores)
        self._shape = [np.repeat(part, len(SERIAL)) for part in (knees, sharpness, beyond)]
        self._serial = np.tile(SERIAL, len(knees))
        self.prior = np.repeat(prior, len(SERIAL)) * np.tile(_serial_prior(), len(knees))
        self._lowest_share = share(float(lowest_mb), *self._shape)
        self.log_times = np.log(self._relative(self.sizes_mb))  #: (H, M), of the time at the smallest memory
        self.weights: Floats = self.prior / self.prior.sum()
        self.noise = float(NOISE[2])  #: the likeliest
        self.scale = np.zeros(len(self.prior))  #: (H,) log seconds at the smallest memory
        self.curve: Curve | None = None  #: the likeliest

    def _relative(self, sizes_mb: Floats) -> Floats:
        work = self._lowest_share[:, None] / share(sizes_mb[None, :], *(part[:, None] for part in self._shape))
        serial = self._serial[:, None]
        relative: Floats = serial + (1.0 - serial) * work
        return relative

    def regrets(self, objective: str) -> Floats:
        """(H, M): if a curve is true, how much worse than its best each size is; 0.03 is 3 %. No regret counts for more
        than WORST, so that what is hardly possible does not decide."""
        scores = score(objective, self.sizes_mb[None, :], np.exp(self.log_times))
        regrets: Floats = np.minimum(scores / scores.min(axis=1, keepdims=True) - 1.0, WORST)
        return regrets

    def learn(self, timings: Sequence[tuple[float, float]]) -> None:
        """Take in all timings so far: (memory_mb, seconds)."""
        sizes, seconds = np.array([m for m, _ in timings], float), np.array([s for _, s in timings], float)
        residuals = np.log(seconds)[None, :] - np.log(self._relative(sizes))  # (H, T)
        middle = np.median(residuals, axis=1)
        errors = residuals[:, None, :] - middle[:, None, None] - SCALE[None, :, None]  # (H, S, T)
        by_noise = np.stack([np.exp(_log_likelihood(errors, noise)) for noise in NOISE], axis=-1)  # (H, S, N)
        joint = by_noise * self.prior[:, None, None]
        total = joint.sum()
        self.weights = joint.sum(axis=(1, 2)) / total
        self.noise = float((joint.sum(axis=(0, 1)) * NOISE).sum() / total)
        likeliest = joint.sum(axis=2).argmax(axis=1)
        self.scale = middle + SCALE[likeliest]
        self.curve = self._as_curve(int(self.weights.argmax()))

    def _as_curve(self, index: int) -> Curve:
        lowest_s = float(np.exp(self.scale[index]))
        knee, sharpness, beyond = (float(part[index]) for part in self._shape)
        serial = float(self._serial[index])
        work_s = lowest_s * (1.0 - serial) * float(self._lowest_share[index])
        return Curve(lowest_s * serial, work_s, knee, sharpness, beyond)


def _log_likelihood(errors: Floats, noise: float) -> Floats:
    """(H, S, T) log errors -> (H, S): the sum over timings of the log of the mixture's density."""
    usual = (1.0 - OUTLIER_RATE) / (noise * np.sqrt(2 * np.pi)) * np.exp(-0.5 * (errors / noise) ** 2)
    wild = OUTLIER_RATE / OUTLIER_WIDTH * ((errors > 0) & (errors < OUTLIER_WIDTH)) + 1e-6
    total: Floats = np.log(usual + wild).sum(axis=2)
    return total


def _shapes(lowest_mb: int, highest_mb: int, cores: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Knees, sharpness, what happens beyond, and prior weights of each combination.

    The likeliest knee is where a worker has all the cores that its threads can use, or none if that is out of range.
    """
    full_mb = cores * ONE_CORE_MB
    rows = [(full_mb, np.inf, 0.0, 0.5)] if full_mb < highest_mb else [(np.inf, np.inf, 0.0, 0.3)]
    last_mb = min(full_mb, highest_mb)
    knees = np.geomspace(min(lowest_mb * 1.1, last_mb), last_mb, 24)
    for sharpness, beyond, prior in ((np.inf, 0.0, 0.15), (4.0, 0.0, 0.4), (np.inf, 0.6, 0.05)):
        rows += [(knee, sharpness, beyond, prior / len(knees)) for knee in knees]
    if cores > 1 and lowest_mb < ONE_CORE_MB < highest_mb:
        rows.append((ONE_CORE_MB, np.inf, 0.0, 0.03))
    knee, sharp, beyond_knee, weight = np.array(rows).T
    return knee, sharp, beyond_knee, weight


def _serial_prior() -> Floats:
    prior = np.full(len(SERIAL), 0.9 / (len(SERIAL) - 1))
    prior[-1] = 0.1  # memory does nothing at all
    return prior
