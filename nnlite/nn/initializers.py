"""Initial values of parameters, drawn from a generator that the caller owns."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

from nnlite.described import Described


class Initializer(Described):
    """Fills a tensor. `fan_in` and `fan_out` count the inputs and outputs one weight connects."""

    def fill_inplace(self, out: NDArray[np.generic], rng: np.random.Generator, fan_in: int, fan_out: int) -> None:
        """Write initial values into `out`, any shape, float32 or float64."""
        out[...] = rng.standard_normal(out.shape) * self.std(fan_in, fan_out)

    def std(self, fan_in: int, fan_out: int) -> float:
        """Standard deviation of the normal distribution to draw from."""
        raise TypeError(f"{type(self).__name__} must define std() or fill_inplace()")


@dataclass(frozen=True)
class He(Initializer):
    """Normal with variance 2 / fan_in, for ReLU (He et al. 2015, arXiv:1502.01852)."""

    def std(self, fan_in: int, fan_out: int) -> float:
        return sqrt(2 / fan_in)


@dataclass(frozen=True)
class Glorot(Initializer):
    """Normal with variance 2 / (fan_in + fan_out), for tanh and linear layers (Glorot & Bengio 2010)."""

    def std(self, fan_in: int, fan_out: int) -> float:
        return sqrt(2 / (fan_in + fan_out))


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal with a fixed standard deviation. The systems nnlite descends from started here: `Normal(1.0)`
    in their dense networks, `Normal(0.05)` in their convolutions, `Normal(0.04)` in the layers behind them."""

    scale: float = 0.05

    def std(self, fan_in: int, fan_out: int) -> float:
        return self.scale


@dataclass(frozen=True)
class Constant(Initializer):
    """The same value everywhere."""

    value: float = 0.0

    def fill_inplace(self, out: NDArray[np.generic], rng: np.random.Generator, fan_in: int, fan_out: int) -> None:
        out[...] = self.value


@dataclass(frozen=True)
class Dirac(Initializer):
    """A convolution (of stride 1, padding "same") or a dense layer that begins by passing its input on.

    Filter f is 1 at the middle of channel f, of its own group, and 0 elsewhere. Filters without such a channel are 0.
    """

    def fill_inplace(self, out: NDArray[np.generic], rng: np.random.Generator, fan_in: int, fan_out: int) -> None:
        out[...] = 0
        area = prod(out.shape[:-2])
        channels, filters = out.shape[-2:]
        own = np.arange(filters) % (fan_out // area)  # number of the filter in its group
        passed = np.flatnonzero(own < channels)
        middle = out[tuple((size - 1) // 2 for size in out.shape[:-2])]
        middle[own[passed], passed] = 1
