"""Average-pooling: over windows, as two passes over one axis each, and over the whole image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.convolution.window import Window
from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace
from nnlite.nn.layers.pooling import Pool2D
from nnlite.nn.parameters import Shape


@dataclass(frozen=True)
class AveragePool2D(Pool2D):
    """The mean of every window: x (H, W, n, C) -> y (H', W', n, C). Padding counts for nothing, as in TensorFlow.

    A sum over a square is a sum over columns of sums over rows, and its adjoint the same backward.
    """

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        height, width, n, channels = x.shape
        rows, columns = self.windows((channels, height, width))
        by_width = ws.temp("by width", (height, columns.count, n, channels))
        y = ws.output((rows.count, columns.count, n, channels))
        _sum(x.swapaxes(0, 1), columns, out=by_width.swapaxes(0, 1))
        _sum(by_width, rows, out=y)
        return np.multiply(y, _share(rows, columns, ws), out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        height, width, n, channels = x.shape
        rows, columns = self.windows((channels, height, width))
        d_by_width = ws.temp("by width", (height, columns.count, n, channels))
        dx = ws.temp("dx", x.shape)
        np.multiply(dy, _share(rows, columns, ws), out=dy)
        _spread(dy, rows, out=d_by_width)
        _spread(d_by_width.swapaxes(0, 1), columns, out=dx.swapaxes(0, 1))
        return dx


def _sum(x: Tensor, window: Window, out: Tensor) -> None:
    """out[o] = the sum of the entries of window o, along the first axis."""
    out[...] = 0
    for offset in range(window.kernel):
        outputs, entries = window.meeting(offset)
        np.add(out[outputs], x[entries], out=out[outputs])


def _spread(dy: Tensor, window: Window, out: Tensor) -> None:
    """The adjoint of `_sum`."""
    out[...] = 0
    for offset in range(window.kernel):
        outputs, entries = window.meeting(offset)
        np.add(out[entries], dy[outputs], out=out[entries])


def _share(rows: Window, columns: Window, ws: Workspace) -> Tensor:
    """(H', W', 1, 1): 1 / (entries of the window that are no padding)."""

    def make() -> Tensor:
        counts = [np.zeros(window.count, ws.dtype) for window in (rows, columns)]
        for count, window in zip(counts, (rows, columns), strict=True):
            _sum(np.ones(window.size, ws.dtype), window, out=count)
        share: Tensor = np.reciprocal(np.multiply.outer(*counts))
        return share[:, :, None, None]

    return ws.once(f"share of {rows} {columns}", make)


@dataclass(frozen=True)
class GlobalAveragePool2D(Layer):
    """The mean of each channel: x (H, W, n, C) -> y (1, 1, n, C)."""

    needs_input: ClassVar[bool] = False
    needs_output: ClassVar[bool] = False

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise StructureError(f"GlobalAveragePool2D wants images (C, H, W), got {shape}")
        return (shape[0], 1, 1)

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = ws.output((1, 1, *x.shape[2:]))
        np.add.reduce(x, axis=(0, 1), keepdims=True, out=y)
        np.divide(y, x.shape[0] * x.shape[1], out=y)
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        dx = ws.temp("dx", x.shape)
        np.divide(dy, x.shape[0] * x.shape[1], out=dx)
        return dx
