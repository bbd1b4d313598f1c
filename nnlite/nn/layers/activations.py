"""Activations: element-wise functions of one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlite.nn.engine.masks import times_mask
from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace


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
