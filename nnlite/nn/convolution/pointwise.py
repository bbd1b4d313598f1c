"""Convolution with a kernel of 1: one matrix product over the channels of all pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlite.nn.convolution.base import Convolution
from nnlite.nn.layer import Tensor, Tensors, Workspace


@dataclass(frozen=True)
class Pointwise(Convolution, described=False):
    """Every stride-th pixel (pixels, C) times the weight (C, filters). No pixel is padding."""

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = ws.output((self.rows.count, self.columns.count, x.shape[2], self.filters))
        np.matmul(self._pixels(x, ws), p["weight"][0, 0], out=y.reshape(-1, self.filters))
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        dy_pixels = ws.contiguous("dy", dy).reshape(-1, self.filters)
        np.matmul(self._pixels(x, ws).T, dy_pixels, out=g["weight"][0, 0])
        if not ws.input_gradient:
            return None
        d_pixels = ws.temp("d pixels", (*dy.shape[:3], x.shape[3]))
        np.matmul(dy_pixels, p["weight"][0, 0].T, out=d_pixels.reshape(-1, x.shape[3]))
        if self.stride == 1:
            return d_pixels
        dx = ws.temp("dx", x.shape)
        dx[...] = 0  # each time: the layer that took it may have written over it
        dx[:: self.stride, :: self.stride] = d_pixels
        return dx

    def _pixels(self, x: Tensor, ws: Workspace) -> Tensor:
        """(pixels, C), copied only where they do not lie so."""
        of_stride = x[:: self.stride, :: self.stride]
        return ws.contiguous("x", of_stride).reshape(-1, x.shape[3])
