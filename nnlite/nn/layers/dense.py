"""The dense layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.initializers import Constant, He, Initializer
from nnlite.nn.layer import Layer, Parameter, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape
from nnlite.nn.standardization import check, standardize, unstandardize

LARGE_PRODUCT = 4_000_000  # multiplications that are worth waking threads for: some 50 us


@dataclass(frozen=True)
class Dense(Layer):
    """y = weight.T x + bias, on vectors: x (D, N) -> y (units, N); weight (D, units), bias (units,).

    `standardized`: of weights with mean 0 and variance 1 in each unit, see `standardization`.
    """

    units: int
    weight: Initializer = He()
    bias: Initializer = Constant(0.0)
    standardized: bool = False
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
        if self.standardized:
            check(self, fans)
        return {
            "weight": Parameter((shape[0], self.units), self.weight, *fans),
            "bias": Parameter((self.units,), self.bias, *fans, decays=False),
        }

    def multiply_adds(self, shape: Shape) -> int:
        return shape[0] * self.units

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = ws.output((self.units, x.shape[1]))
        weight = standardize(p["weight"], ws) if self.standardized else p["weight"]
        _product(weight.T, x, y, ws)
        np.add(y, p["bias"][:, None], out=y)
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        weight = p["weight"]
        if self.standardized:
            weight, d_weight = ws.keep("standardized", weight.shape), ws.temp("d standardized", weight.shape)
            _product(x, dy.T, d_weight, ws)
            unstandardize(d_weight, g["weight"], ws)
        else:
            _product(x, dy.T, g["weight"], ws)
        np.matmul(dy, ws.ones(x.shape[1]), out=g["bias"])
        if not ws.input_gradient:
            return None
        dx = ws.temp("dx", x.shape)
        _product(weight, dy, dx, ws)
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
