"""The bias of a convolution, as a step of its own."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace


class ChannelBias(Layer, described=False):
    """y = x + bias, x (H, W, n, C) and bias (C,); the second step of a `Conv2D`.

    Apart from the sum because a maximum over windows commutes with it, and after a pooling there is less to add.
    """

    needs_input: ClassVar[bool] = False
    needs_output: ClassVar[bool] = False
    in_place: ClassVar[bool] = True
    increasing: ClassVar[bool] = True

    def prepare(self, p: Tensors, ws: Workspace) -> Tensors:
        return {"bias": p["bias"]}

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = x if ws.may_overwrite_input else ws.output(x.shape)
        if not y.flags.c_contiguous:
            return np.add(x, p["bias"], out=y)
        height, width, n, channels = x.shape
        # C numbers are a short run: add rows of W * n * C, after writing the bias once for each pixel of a row.
        tiled = ws.temp("tiled", (width * n, channels))
        np.copyto(tiled, p["bias"])
        np.add(x.reshape(height, -1), tiled.reshape(-1), out=y.reshape(height, -1))
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        dy = ws.contiguous("dy", dy)
        pixels = dy.reshape(-1, dy.shape[-1])
        np.matmul(ws.ones(len(pixels)), pixels, out=g["bias"])
        return dy
