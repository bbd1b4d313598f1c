"""Optimizers: one step down, over flat vectors, in place and without scratch memory.

State lies in `slots` (num_slots, P) that the caller owns, so it can be averaged, stored and handed over like
weights. `gradient` is used up: the formulas below are ordered so that it doubles as the scratch vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import isfinite, sqrt
from typing import ClassVar

import numpy as np

from nnlite.described import Described
from nnlite.errors import StructureError
from nnlite.nn.layer import Tensor
from nnlite.nn.parameters import Layout, aligned_zeros
from nnlite.nn.schedules import Schedule


@dataclass(frozen=True)
class Optimizer(Described):
    """Base class: `step_inplace` clips the gradient, lets weights decay, and takes the step of `update_inplace`.

    learning_rate: a number or a `Schedule`.
    weight_decay: before a step, w -= rate * weight_decay * w, apart from the gradient and from what the optimizer
        remembers of it (Loshchilov & Hutter 2017, arXiv:1711.05101; `Adam(rate, weight_decay=0.01)` is AdamW). Biases,
        and gains of normalizations, do not decay.
    clip_norm: a gradient longer than this is shortened to it (Pascanu et al. 2012, arXiv:1211.5063).
    """

    learning_rate: float | Schedule
    weight_decay: float = field(default=0.0, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    slot_names: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        rate, name = self.learning_rate, type(self).__name__
        if isinstance(rate, (int, float)) and not (isfinite(rate) and rate > 0):
            raise StructureError(f"{name}: learning_rate {rate} is not a positive number")
        if not (isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise StructureError(f"{name}: weight_decay {self.weight_decay}; wanted a number of 0 or more")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise StructureError(f"{name}: clip_norm {self.clip_norm}; wanted a positive number, or None")

    def rate(self, step: int) -> float:
        """The learning rate of `step`, counted from 0."""
        return self.learning_rate.at(step) if isinstance(self.learning_rate, Schedule) else self.learning_rate

    def with_learning_rate(self, learning_rate: float | Schedule) -> Optimizer:
        """The same optimizer at another learning rate."""
        return replace(self, learning_rate=learning_rate)

    def slots(self, num_parameters: int, dtype: type = np.float32) -> Tensor:
        """Fresh state: zeros (num_slots, P)."""
        return aligned_zeros((len(self.slot_names), num_parameters), dtype)

    def step_inplace(self, weights: Tensor, gradient: Tensor, slots: Tensor, step: int, layout: Layout) -> None:
        """Take a step with the weights (P,) of a network of that layout; `gradient` (P,) is overwritten."""
        self._clip_inplace(gradient)
        if self.weight_decay:
            for part in layout.decayed:
                weights[part] *= weights.dtype.type(1 - self.rate(step) * self.weight_decay)
        self.update_inplace(weights, gradient, slots, step)

    def _clip_inplace(self, gradient: Tensor) -> None:
        if self.clip_norm is not None:
            norm = sqrt(float(np.vdot(gradient, gradient)))
            if norm > self.clip_norm:
                gradient *= gradient.dtype.type(self.clip_norm / norm)

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
        for part in self._directions_inplace(gradient, slots, step, self.rate(step)):
            weights[part] -= gradient[part]

    def _directions_inplace(self, gradient: Tensor, slots: Tensor, step: int, rate: float) -> Iterator[slice]:
        """Replace the gradient by rate * m' / (sqrt(s') + epsilon): the parts of it, as each is made."""
        number = gradient.dtype.type
        scale = number(rate / (1 - self.beta1 ** (step + 1)))
        unbias = number(1 / sqrt(1 - self.beta2 ** (step + 1)))
        beta1, beta2, epsilon = number(self.beta1), number(self.beta2), number(self.epsilon)
        for part in chunks(gradient.size):  # eighteen passes over four vectors: keep them in cache
            g, m, s = gradient[part], slots[0, part], slots[1, part]
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
            g *= scale
            yield part


@dataclass(frozen=True)
class LAMB(Adam):
    """r = m' / (sqrt(s') + epsilon) + weight_decay * w;  w -= rate * r * ||w|| / ||r||, tensor by tensor

    with m' and s' of `Adam`, for large batches (You et al. 2019, arXiv:1904.00962). A tensor of norm 0 moves by
    rate * r.
    """

    epsilon: float = 1e-6

    def step_inplace(self, weights: Tensor, gradient: Tensor, slots: Tensor, step: int, layout: Layout) -> None:
        self._clip_inplace(gradient)
        for name, part in layout.slices.items():
            weight_decay = 0.0 if name in layout.undecayed else self.weight_decay
            self._move_inplace(weights[part], gradient[part], slots[:, part], step, weight_decay)

    def update_inplace(self, weights: Tensor, gradient: Tensor, slots: Tensor, step: int) -> None:
        """The step of one tensor, (P,), which decays."""
        self._move_inplace(weights, gradient, slots, step, self.weight_decay)

    def _move_inplace(self, w: Tensor, g: Tensor, slots: Tensor, step: int, weight_decay: float) -> None:
        for part in self._directions_inplace(g, slots, step, 1.0):
            if weight_decay:
                g[part] += w.dtype.type(weight_decay) * w[part]
        norm, length = (sqrt(float(np.vdot(vector, vector))) for vector in (w, g))
        trust = norm / length if norm > 0 and length > 0 else 1.0
        g *= w.dtype.type(self.rate(step) * trust)
        w -= g


CHUNK = 1 << 15  # entries of each vector that a chunked update works on: 4 x 128 KB fit into L2


def chunks(size: int) -> list[slice]:
    """Cut `size` entries into slices of at most CHUNK."""
    return [slice(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]


def _check_decay(optimizer: Optimizer, name: str, value: float) -> None:
    if not 0 < value < 1:
        raise StructureError(f"{type(optimizer).__name__}: {name} {value} is not between 0 and 1")
