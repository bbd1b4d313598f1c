"""Optimizers: one step down, over flat vectors, in place and without scratch memory.

State lies in `slots` (num_slots, P) that the caller owns, so it can be averaged, stored and handed over like
weights. `gradient` is used up: the formulas below are ordered so that it doubles as the scratch vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, sqrt
from typing import ClassVar

import numpy as np

from nnlite.described import Described
from nnlite.errors import StructureError
from nnlite.nn.layer import Tensor
from nnlite.nn.parameters import aligned_zeros
from nnlite.nn.schedules import Schedule


@dataclass(frozen=True)
class Optimizer(Described):
    """Base class. `learning_rate` is a number or a `Schedule`."""

    learning_rate: float | Schedule
    slot_names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        rate = self.learning_rate
        if isinstance(rate, (int, float)) and not (isfinite(rate) and rate > 0):
            raise StructureError(f"{type(self).__name__}: learning_rate {rate} is not a positive number")

    def rate(self, step: int) -> float:
        """The learning rate of `step`, counted from 0."""
        return self.learning_rate.at(step) if isinstance(self.learning_rate, Schedule) else self.learning_rate

    def with_learning_rate(self, learning_rate: float | Schedule) -> Optimizer:
        """The same optimizer at another learning rate."""
        return replace(self, learning_rate=learning_rate)

    def slots(self, num_parameters: int, dtype: type = np.float32) -> Tensor:
        """Fresh state: zeros (num_slots, P)."""
        return aligned_zeros((len(self.slot_names), num_parameters), dtype)

    def update_inplace(self, weights: Tensor, gradient: Tensor, slots: Tensor, step: int) -> None:
        """Move `weights` (P,) against `gradient` (P,), which is overwritten. `step` counts from 0."""
        raise TypeError(f"{type(self).__name__} must define update_inplace()")


@dataclass(frozen=True)
class SGD(Optimizer):
    """w -= rate * g"""

    def update_inplace(self, weights: Tensor, gradient: Tensor, slots: Tensor, step: int) -> None:
        gradient *= weights.dtype.type(self.rate(step))
        weights -= gradient


@dataclass(frozen=True)
class Momentum(Optimizer):
    """v = momentum * v + g;  w -= rate * v"""

    momentum: float = 0.9
    slot_names: ClassVar[tuple[str, ...]] = ("momentum",)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decay(self, "momentum", self.momentum)

    def update_inplace(self, weights: Tensor, gradient: Tensor, slots: Tensor, step: int) -> None:
        velocity = slots[0]
        velocity *= weights.dtype.type(self.momentum)
        velocity += gradient
        np.multiply(velocity, weights.dtype.type(self.rate(step)), out=gradient)
        weights -= gradient


@dataclass(frozen=True)
class Nesterov(Momentum):
    """v = momentum * v + g;  w -= rate * (g + momentum * v)    (Sutskever et al. 2013, as in PyTorch)"""

    def update_inplace(self, weights: Tensor, gradient: Tensor, slots: Tensor, step: int) -> None:
        number = weights.dtype.type
        velocity = slots[0]
        velocity *= number(self.momentum)
        velocity += gradient
        gradient *= number(1 / self.momentum)  # g/m + v, times rate * m
        gradient += velocity
        gradient *= number(self.rate(step) * self.momentum)
        weights -= gradient


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """s = decay * s + (1 - decay) * g²;  w -= rate * g / (sqrt(s) + epsilon)    (Tieleman & Hinton 2012)"""

    decay: float = 0.9
    epsilon: float = 1e-7
    slot_names: ClassVar[tuple[str, ...]] = ("mean_square",)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decay(self, "decay", self.decay)

    def update_inplace(self, weights: Tensor, gradient: Tensor, slots: Tensor, step: int) -> None:
        number = weights.dtype.type
        rate, decay, epsilon = number(self.rate(step)), number(self.decay), number(self.epsilon)
        scratch = np.empty(min(CHUNK, weights.size), weights.dtype)
        for part in chunks(weights.size):  # the one formula that needs both g and a function of g²
            w, g, s = weights[part], gradient[part], slots[0, part]
            t = scratch[: w.size]
            np.multiply(g, g, out=t)
            s -= t
            s *= decay
            s += t
            np.sqrt(s, out=t)
            t += epsilon
            g /= t
            g *= rate
            w -= g


@dataclass(frozen=True)
class Adam(Optimizer):
    """m = β1 m + (1 - β1) g;  s = β2 s + (1 - β2) g²;  w -= rate * m' / (sqrt(s') + epsilon)

    where m' = m / (1 - β1^t), s' = s / (1 - β2^t), t = step + 1 (Kingma & Ba 2014, algorithm 1).
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    slot_names: ClassVar[tuple[str, ...]] = ("mean", "mean_square")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_decay(self, "beta1", self.beta1)
        _check_decay(self, "beta2", self.beta2)

    def update_inplace(self, weights: Tensor, gradient: Tensor, slots: Tensor, step: int) -> None:
        number = weights.dtype.type
        rate = number(self.rate(step) / (1 - self.beta1 ** (step + 1)))
        unbias = number(1 / sqrt(1 - self.beta2 ** (step + 1)))
        beta1, beta2, epsilon = number(self.beta1), number(self.beta2), number(self.epsilon)
        for part in chunks(weights.size):  # eighteen passes over four vectors: keep them in cache
            w, g, m, s = weights[part], gradient[part], slots[0, part], slots[1, part]
            m -= g
            m *= beta1
            m += g  # β1 (m - g) + g
            np.multiply(g, g, out=g)
            s -= g
            s *= beta2
            s += g
            np.sqrt(s, out=g)
            g *= unbias
            g += epsilon
            np.divide(m, g, out=g)
            g *= rate
            w -= g


CHUNK = 1 << 15  # entries of each vector that a chunked update works on: 4 x 128 KB fit into L2


def chunks(size: int) -> list[slice]:
    """Cut `size` entries into slices of at most CHUNK."""
    return [slice(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]


def _check_decay(optimizer: Optimizer, name: str, value: float) -> None:
    if not 0 < value < 1:
        raise StructureError(f"{type(optimizer).__name__}: {name} {value} is not between 0 and 1")
