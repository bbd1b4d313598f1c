"""From images to vectors."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape


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
