"""What the algorithms of a convolution have in common: one choice of windows, and no bias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnlite.nn.convolution.window import Window
from nnlite.nn.layer import Layer, Tensors, Workspace
from nnlite.nn.parameters import Shape


@dataclass(frozen=True)
class Convolution(Layer, described=False):
    """x (H, W, n, C) -> y (H', W', n, filters), with `weight` (kernel, kernel, C, filters); one step of a `Conv2D`.

    y[i, j, n, :] = sum over (u, v) of x[i*stride + u*dilation, j*stride + v*dilation, n, :] @ weight[u, v]

    `rows` and `columns` are the windows along H and W, as wide as the kernel reaches.
    """

    filters: int
    kernel: int
    stride: int
    rows: Window
    columns: Window
    dilation: int = 1
    needs_output: ClassVar[bool] = False

    def prepare(self, p: Tensors, ws: Workspace) -> Tensors:
        return {"weight": p["weight"]}

    def output_shape(self, shape: Shape) -> Shape:
        return (self.filters, self.rows.count, self.columns.count)
