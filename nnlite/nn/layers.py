"""The simple layers: dense, element-wise, flatten."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.initializers import Constant, He, Initializer
from nnlite.nn.layer import Layer, Parameter, Tensor, Tensors, Workspace
from nnlite.nn.masks import times_mask
from nnlite.nn.parameters import Shape

LARGE_PRODUCT = 4_000_000  # multiplications that are worth waking threads for: some 50 us


@dataclass(frozen=True)
class Dense(Layer):
    """y = weight.T x + bias, on vectors: x (D, N) -> y (units, N); weight (D, units), bias (units,)."""

    units: int
    weight: Initializer = He()
    bias: Initializer = Constant(0.0)
    needs_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.units < 1:
            raise StructureError(f"Dense needs at least 1 unit, got {self.units}")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise StructureError(f"Dense wants a vector, got {shape}: put Flatten() before it")
        return (self.units,)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        fans = shape[0], self.units
        return {
            "weight": Parameter((shape[0], self.units), self.weight, *fans),
            "bias": Parameter((self.units,), self.bias, *fans),
        }

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = ws.output((self.units, x.shape[1]))
        _product(p["weight"].T, x, y, ws)
        np.add(y, p["bias"][:, None], out=y)
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        _product(x, dy.T, g["weight"], ws)
        np.matmul(dy, ws.ones(x.shape[1]), out=g["bias"])
        if not ws.input_gradient:
            return None
        dx = ws.temp("dx", x.shape)
        _product(p["weight"], dy, dx, ws)
        return dx


def _product(a: Tensor, b: Tensor, out: Tensor, ws: Workspace) -> None:
    """out = a @ b; a large product by each thread some rows of it."""
    count = ws.threads.count
    if count == 1 or a.size * b.shape[1] < LARGE_PRODUCT:
        np.matmul(a, b, out=out)
        return

    def work(thread: int) -> None:
        rows = slice(thread * len(a) // count, (thread + 1) * len(a) // count)
        np.matmul(a[rows], b, out=out[rows])

    ws.threads(work)


@dataclass(frozen=True)
class ReLU(Layer):
    """y = max(x, 0), element-wise; its derivative at 0 is 0."""

    needs_input: ClassVar[bool] = False
    in_place: ClassVar[bool] = True
    increasing: ClassVar[bool] = True

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = x if ws.may_overwrite_input else ws.output(x.shape)
        # An array of zeros, not the number: np.maximum with a scalar is not vectorized (six times slower).
        return np.maximum(x, ws.temp("zeros", x.shape, zeroed=True), out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        positive = ws.temp("positive", dy.shape, bool)
        np.greater(y, 0, out=positive)
        return times_mask(dy, positive, ws, out=dy)


@dataclass(frozen=True)
class Tanh(Layer):
    """y = tanh(x), element-wise; dx = dy (1 - y²)."""

    needs_input: ClassVar[bool] = False
    in_place: ClassVar[bool] = True

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = x if ws.may_overwrite_input else ws.output(x.shape)
        return np.tanh(x, out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        slope = ws.temp("slope", dy.shape)
        np.multiply(y, y, out=slope)
        np.multiply(slope, dy, out=slope)
        return np.subtract(dy, slope, out=dy)


@dataclass(frozen=True)
class Dropout(Layer):
    """While training, drop a fraction `rate` of the features and scale the rest by 1 / (1 - rate).

    "Inverted" dropout (Srivastava et al. 2014): nothing is done while predicting. Forward and backward use
    the one mask that forward drew.
    """

    rate: float
    needs_input: ClassVar[bool] = False
    in_place: ClassVar[bool] = True
    needs_output: ClassVar[bool] = False
    may_return_input: ClassVar[bool] = True
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise StructureError(f"Dropout rate is the fraction dropped, in [0, 1): got {self.rate}")

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        if not ws.training:
            return x
        if ws.rng is None:
            raise StructureError("a network with Dropout needs rng= while training")
        mask = ws.keep("mask", x.shape)
        ws.rng.random(dtype=mask.dtype.type, out=mask)
        np.greater_equal(mask, self.rate, out=mask)
        np.multiply(mask, mask.dtype.type(1 / (1 - self.rate)), out=mask)
        y = x if ws.may_overwrite_input else ws.output(x.shape)
        return np.multiply(x, mask, out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        return np.multiply(dy, ws.keep("mask", dy.shape), out=dy)


@dataclass(frozen=True)
class Flatten(Layer):
    """Images to vectors: a sample (C, H, W) becomes (C * H * W,), channel first, as in PyTorch.

    The first Flatten of a network is where its image stage ends: there the network itself moves the blocks
    (H, W, n, C) into columns of (D, N). On vectors nothing is left to do.
    """

    needs_input: ClassVar[bool] = False
    needs_output: ClassVar[bool] = False
    may_return_input: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        return (prod(shape),)

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        return x

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        return dy
