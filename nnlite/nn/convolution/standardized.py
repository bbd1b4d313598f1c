"""A convolution of standardized weights, whatever algorithm computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnlite.nn.convolution.base import Convolution
from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape
from nnlite.nn.standardization import standardize, unstandardize


@dataclass(frozen=True)
class Standardized(Layer, described=False):
    """`convolution` with its weights standardized once before a minibatch, and their gradient once behind it."""

    convolution: Convolution
    needs_output: ClassVar[bool] = False

    def output_shape(self, shape: Shape) -> Shape:
        return self.convolution.output_shape(shape)

    def prepare(self, p: Tensors, ws: Workspace) -> Tensors:
        return self.convolution.prepare({"weight": standardize(p["weight"], ws)}, ws)

    def collect(self, d: Tensors, g: Tensors, ws: Workspace) -> None:
        of_standardized = ws.temp("d standardized", g["weight"].shape)
        self.convolution.collect(d, {"weight": of_standardized}, ws)
        unstandardize(of_standardized, g["weight"], ws)

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        return self.convolution.forward(p, x, ws)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        return self.convolution.backward(p, g, x, y, dy, ws)
