"""Activations: element-wise functions of one number."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import ClassVar

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.engine.masks import times_mask
from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace

GELU_SCALE, GELU_CUBIC = sqrt(2 / pi), 0.044715


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
class LeakyReLU(Layer):
    """y = max(x, slope * x), element-wise; its derivative at 0 is `slope`."""

    slope: float = 0.01
    needs_input: ClassVar[bool] = False
    in_place: ClassVar[bool] = True
    increasing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.slope < 1:
            raise StructureError(f"LeakyReLU: slope {self.slope}; wanted a number in [0, 1)")

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = x if ws.may_overwrite_input else ws.output(x.shape)
        sloping = ws.temp("sloping", x.shape)
        np.multiply(x, self.slope, out=sloping)
        return np.maximum(x, sloping, out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        positive, slope = ws.temp("positive", dy.shape, bool), ws.temp("sloping", dy.shape)
        least = ws.once(f"slope {dy.shape}", lambda: np.full(dy.shape, self.slope, ws.dtype))
        np.greater(y, 0, out=positive)
        np.copyto(slope, positive)
        np.maximum(slope, least, out=slope)
        return np.multiply(dy, slope, out=dy)


@dataclass(frozen=True)
class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)) = ½ + ½ tanh(½ x), element-wise; dx = dy y (1 - y)."""

    needs_input: ClassVar[bool] = False
    in_place: ClassVar[bool] = True

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        return _sigmoid(x, out=x if ws.may_overwrite_input else ws.output(x.shape))

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        slope = ws.temp("slope", dy.shape)
        np.multiply(y, y, out=slope)
        np.subtract(y, slope, out=slope)
        return np.multiply(dy, slope, out=dy)


@dataclass(frozen=True)
class SiLU(Layer):
    """y = x sigmoid(x), element-wise, also called swish (Hendrycks & Gimpel 2016); with s = sigmoid(x),
    dx = dy (s + y (1 - s))."""

    needs_input: ClassVar[bool] = False
    in_place: ClassVar[bool] = True

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = x if ws.may_overwrite_input else ws.output(x.shape)
        return np.multiply(x, _sigmoid(x, out=ws.keep("sigmoid", x.shape)), out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        sigmoid, slope = ws.keep("sigmoid", dy.shape), ws.temp("slope", dy.shape)
        np.subtract(1, sigmoid, out=slope)
        np.multiply(slope, y, out=slope)
        np.add(slope, sigmoid, out=slope)
        return np.multiply(dy, slope, out=dy)


@dataclass(frozen=True)
class GELU(Layer):
    """y = ½ x (1 + t) with t = tanh(√(2/π) (x + 0.044715 x³)), element-wise: Hendrycks & Gimpel's approximation (2016,
    arXiv:1606.08415) of x Φ(x), which is PyTorch's ``approximate="tanh"``."""

    needs_output: ClassVar[bool] = False

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        t, y = ws.keep("t", x.shape), ws.output(x.shape)
        np.multiply(x, x, out=t)
        np.multiply(t, GELU_SCALE * GELU_CUBIC, out=t)
        np.add(t, GELU_SCALE, out=t)
        np.multiply(t, x, out=t)
        np.tanh(t, out=t)
        np.add(t, 1, out=y)
        np.multiply(y, x, out=y)
        return np.multiply(y, 0.5, out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        """dx = ½ dy (1 + t + x (1 - t²) u'), u' = √(2/π) (1 + 3 · 0.044715 x²)"""
        t, inner, slope = ws.keep("t", dy.shape), ws.temp("inner", dy.shape), ws.temp("slope", dy.shape)
        np.multiply(x, x, out=inner)
        np.multiply(inner, 3 * GELU_SCALE * GELU_CUBIC, out=inner)
        np.add(inner, GELU_SCALE, out=inner)
        np.multiply(inner, x, out=inner)
        np.multiply(t, t, out=slope)
        np.subtract(1, slope, out=slope)
        np.multiply(slope, inner, out=slope)
        np.add(slope, t, out=slope)
        np.add(slope, 1, out=slope)
        np.multiply(dy, slope, out=dy)
        return np.multiply(dy, 0.5, out=dy)


@dataclass(frozen=True)
class Softplus(Layer):
    """y = log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), element-wise; dx = dy sigmoid(x) = dy (1 - exp(-y))."""

    needs_input: ClassVar[bool] = False
    in_place: ClassVar[bool] = True

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y, rest = x if ws.may_overwrite_input else ws.output(x.shape), ws.temp("rest", x.shape)
        np.abs(x, out=rest)
        np.negative(rest, out=rest)
        np.exp(rest, out=rest)
        np.log1p(rest, out=rest)
        np.maximum(x, ws.temp("zeros", x.shape, zeroed=True), out=y)
        return np.add(y, rest, out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        slope = ws.temp("rest", dy.shape)
        np.negative(y, out=slope)
        np.expm1(slope, out=slope)
        np.multiply(dy, slope, out=dy)
        return np.negative(dy, out=dy)


@dataclass(frozen=True)
class ELU(Layer):
    """y = x where x > 0, else alpha (exp(x) - 1), element-wise (Clevert et al. 2015); there dx = dy (y + alpha)."""

    alpha: float = 1.0
    needs_input: ClassVar[bool] = False
    in_place: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise StructureError(f"ELU: alpha {self.alpha}; wanted a positive number")

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y, below = x if ws.may_overwrite_input else ws.output(x.shape), ws.temp("below", x.shape)
        zeros = ws.temp("zeros", x.shape, zeroed=True)
        np.minimum(x, zeros, out=below)
        np.expm1(below, out=below)
        np.multiply(below, self.alpha, out=below)
        np.maximum(x, zeros, out=y)
        return np.add(y, below, out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        slope, positive = ws.temp("below", dy.shape), ws.temp("positive", dy.shape, bool)
        np.add(y, self.alpha, out=slope)
        np.greater(y, 0, out=positive)
        np.copyto(slope, 1, where=positive)
        return np.multiply(dy, slope, out=dy)


def _sigmoid(x: Tensor, out: Tensor) -> Tensor:
    """1 / (1 + exp(-x)) by one tanh, which overflows nowhere."""
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    np.multiply(out, 0.5, out=out)
    return np.add(out, 0.5, out=out)
