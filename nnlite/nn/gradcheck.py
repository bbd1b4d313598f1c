"""Gradient checks: is what `backward` says what the loss does? For nnlite's layers and for one's own.

Both checks compare with central differences (f(w + h) - f(w - h)) / 2h in float64 and report the relative
error ||numeric - analytic|| / (||numeric|| + ||analytic||): below 1e-6 is right, above 1e-3 is wrong, and
between the two the function probably has a kink within h of the point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlite.nn.engine.chain import Chain
from nnlite.nn.layer import Layer, Tensor, says
from nnlite.nn.network import Sequential
from nnlite.nn.parameters import Shape
from nnlite.nn.promises import check_promises

STEP = 1e-6  # h: the error of a central difference is about h² plus 1e-16 / h


@dataclass(frozen=True)
class GradientCheck:
    """What a check found."""

    relative_error: float
    worst: str  #: the entry that is furthest off, e.g. ``dense1/weight[3, 7]``
    numeric: float  #: central difference at `worst`
    analytic: float  #: what backward said there

    def __str__(self) -> str:
        return (
            f"relative error {self.relative_error:.1e}; worst at {self.worst}: "
            f"{self.numeric:.6g} by differences, {self.analytic:.6g} by backward"
        )


def check_network(
    network: Sequential,
    x: Tensor,
    y: NDArray[np.generic],
    rng: np.random.Generator,
    num_entries: int = 200,
    weights: Tensor | None = None,
) -> GradientCheck:
    """Check `network.loss_and_gradient` for a minibatch x (N, *input_shape), y, at `weights` (or fresh ones).

    Of every tensor, up to `num_entries` entries are compared, drawn from `rng`. A network with Dropout gets
    the same masks at every evaluation.
    """
    vector = np.asarray(network.init(rng) if weights is None else weights, np.float64).copy()
    x = np.asarray(x, np.float64)
    gradient = np.empty_like(vector)
    seed = int(rng.integers(2**31))

    def loss() -> float:
        return network.loss_and_gradient(vector, x, y, out=gradient, rng=np.random.default_rng(seed))

    loss()
    analytic = gradient.copy()
    entries = np.concatenate(
        [part.start + rng.permutation(part.stop - part.start)[:num_entries] for part in network.layout.slices.values()]
    )
    return _compare(loss, vector, analytic, entries, network.layout.name_at)


def check_layer(
    layer: Layer, input_shape: Shape, rng: np.random.Generator, num_samples: int = 3, training: bool = True
) -> GradientCheck:
    """Check one layer's backward: for its parameters, and for its input, of shape (C, H, W) or (D,).

    The "loss" is the sum of the outputs times fixed random numbers. Every entry is compared, those of an input of whole
    numbers excepted.
    Raises StructureError when the layer does not keep what its class promises: that it does not mix samples.
    """
    inside = (*input_shape[1:], num_samples, input_shape[0]) if len(input_shape) == 3 else (*input_shape, num_samples)
    parameters = layer.parameters(input_shape)
    shapes = {"x": inside, **{name: p.shape for name, p in parameters.items()}}
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    vector = rng.standard_normal(sum(sizes))
    ends = np.cumsum([0, *sizes])
    p = {name: vector[a:b].reshape(s) for (name, s), a, b in zip(shapes.items(), ends, ends[1:], strict=False)}
    x = p.pop("x")
    is_whole = says(layer, "whole_numbers")
    if is_whole:
        x[...] = layer.draw_input(inside, rng)
    g = {name: np.empty_like(tensor) for name, tensor in p.items()}
    seed, chain = int(rng.integers(2**31)), Chain([layer], np.float64, [{}], [bool(p)], not is_whole)
    chain.workspaces[0].may_overwrite_input = False

    def forward() -> Tensor:
        return chain.forward([p], x, training, np.random.default_rng(seed))

    factors = rng.standard_normal(forward().shape)
    dx = chain.backward([p], [g], factors.copy())
    if dx is None and not is_whole:
        raise TypeError(f"{type(layer).__name__}.backward returned no dx although ws.input_gradient is set")
    analytic = np.concatenate([np.zeros(x.size) if dx is None else dx.ravel(), *(one.ravel() for one in g.values())])

    def name_at(entry: int) -> str:
        which = int(np.searchsorted(ends, entry, side="right")) - 1
        name, shape = list(shapes.items())[which]
        return f"{name}{[int(i) for i in np.unravel_index(entry - ends[which], shape)]}"

    entries = np.arange(x.size if is_whole else 0, vector.size)
    check = _compare(lambda: float(np.vdot(forward(), factors)), vector, analytic, entries, name_at)
    check_promises(layer, input_shape, rng)
    return check


def _compare(
    loss: Callable[[], float],
    vector: Tensor,
    analytic: Tensor,
    entries: NDArray[np.integer],
    name_at: Callable[[int], str],
) -> GradientCheck:
    numeric = np.array([_difference(loss, vector, int(entry)) for entry in entries])
    told = analytic[entries]
    size = float(np.linalg.norm(numeric) + np.linalg.norm(told))
    error = float(np.linalg.norm(numeric - told)) / size if size else 0.0
    worst = int(np.argmax(np.abs(numeric - told)))
    return GradientCheck(error, name_at(int(entries[worst])), float(numeric[worst]), float(told[worst]))


def _difference(loss: Callable[[], float], vector: Tensor, entry: int) -> float:
    value = vector[entry]
    vector[entry] = value + STEP
    above = loss()
    vector[entry] = value - STEP
    below = loss()
    vector[entry] = value
    return (above - below) / (2 * STEP)
