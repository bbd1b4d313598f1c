"""The embedding: a vector to learn for each of a number of things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.initializers import Initializer, Normal
from nnlite.nn.layer import Layer, Parameter, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape

MOST = 1 << 24  # up to here float32 holds every whole number


@dataclass(frozen=True)
class Embedding(Layer):
    """Row x of a table, for whole numbers x in [0, count): x (L, N) -> y (L * features, N); weight (count, features).

    The vectors of a sample's L numbers stand one after the other, as PyTorch's ``Embedding`` before a ``Flatten``.
    Inputs are of the network's dtype, as everywhere, and must be whole. They have no gradient, so the layer comes
    first: nothing but Flatten() before it.
    """

    count: int
    features: int
    weight: Initializer = Normal(1.0)
    needs_output: ClassVar[bool] = False
    whole_numbers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST or self.features < 1:
            raise StructureError(
                f"Embedding: {self.count} rows of {self.features} features; wanted 1 to {MOST} rows of at least 1"
            )

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise StructureError(f"Embedding wants vectors of whole numbers, got {shape}: put Flatten() before it")
        return (shape[0] * self.features,)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return {"weight": Parameter((self.count, self.features), self.weight, 1, self.features)}

    def draw_input(self, shape: Shape, rng: np.random.Generator) -> Tensor:
        return rng.integers(0, self.count, shape).astype(np.float64)

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y, rows = ws.output((len(x) * self.features, x.shape[1])), ws.temp("rows", (*x.shape, self.features))
        np.take(p["weight"], self._numbers(x, ws), axis=0, out=rows, mode="clip")
        np.copyto(y.reshape(len(x), self.features, -1), rows.transpose(0, 2, 1))
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        numbers, rows = ws.keep("numbers", x.shape, np.intp), ws.temp("rows", (*x.shape, self.features))
        np.copyto(rows, dy.reshape(len(x), self.features, -1).transpose(0, 2, 1))
        g["weight"][...] = 0
        np.add.at(g["weight"], numbers.reshape(-1), rows.reshape(-1, self.features))
        return None

    def _numbers(self, x: Tensor, ws: Workspace) -> Tensor:
        """x as indices (L, N). Raises StructureError: NumPy would round them, and count -1 from behind."""
        numbers, is_whole = ws.keep("numbers", x.shape, np.intp), ws.temp("is whole", x.shape, bool)
        with np.errstate(invalid="ignore"):
            np.copyto(numbers, x, casting="unsafe")
        np.equal(numbers, x, out=is_whole)
        if not is_whole.all() or np.maximum.reduce(numbers.view(np.uintp), axis=None) >= self.count:
            raise StructureError(
                f"Embedding: inputs from {x.min():g} to {x.max():g}; wanted whole numbers from 0 to {self.count - 1}"
            )
        return numbers
