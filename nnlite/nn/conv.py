"""The two-dimensional convolution, as matrix products over a column buffer that stays in cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.errors import StructureError
from nnlite.nn.initializers import Constant, He, Initializer
from nnlite.nn.layer import Layer, Parameter, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape
from nnlite.nn.window import Window

COLUMN_BYTES = 1 << 20  # of the column buffer: small enough for a core's L2 cache, large enough for BLAS


@dataclass(frozen=True)
class Conv2D(Layer):
    """Cross-correlation with `filters` kernels: x (H, W, n, C) -> y (H', W', n, filters).

    weight (kernel, kernel, C, filters), bias (filters,). Padding "same" or "valid", see `window.Window`.

    y[i, j, n, :] = bias + sum over (u, v) of x[i*stride + u, j*stride + v, n, :] @ weight[u, v]

    The sum is one matrix product ("im2col"): the windows of a few rows of outputs are copied, one window a
    row, into a column buffer (windows, kernel * kernel * C) and multiplied with the weight as a matrix.
    """

    filters: int
    kernel: int
    stride: int = 1
    padding: str = "same"
    weight: Initializer = He()
    bias: Initializer = Constant(0.0)
    needs_output: ClassVar[bool] = False

    def windows(self, shape: Shape) -> tuple[Window, Window]:
        """The windows along H and W for images of `shape` (C, H, W)."""
        if len(shape) != 3:
            raise StructureError(f"Conv2D wants images (C, H, W), got {shape}")
        if self.filters < 1:
            raise StructureError(f"Conv2D needs at least 1 filter, got {self.filters}")
        rows, columns = (
            Window.along(size, self.kernel, self.stride, self.padding, "Conv2D") for size in shape[1:]
        )
        return rows, columns

    def output_shape(self, shape: Shape) -> Shape:
        rows, columns = self.windows(shape)
        return (self.filters, rows.count, columns.count)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        area = self.kernel * self.kernel
        fans = area * shape[0], area * self.filters
        return {
            "weight": Parameter((self.kernel, self.kernel, shape[0], self.filters), self.weight, *fans),
            "bias": Parameter((self.filters,), self.bias, *fans),
        }

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        rows, columns = self.windows((x.shape[3], *x.shape[:2]))
        y = ws.output((rows.count, columns.count, x.shape[2], self.filters))
        matrix = p["weight"].reshape(-1, self.filters)
        for part, column_matrix in self._columns(x, rows, columns, ws):
            np.matmul(column_matrix, matrix, out=y[part].reshape(-1, self.filters))
        return np.add(y, p["bias"], out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        rows, columns = self.windows((x.shape[3], *x.shape[:2]))
        np.sum(dy.reshape(-1, self.filters), axis=0, out=g["bias"])
        g_matrix = g["weight"].reshape(-1, self.filters)
        partial = ws.temp("partial", g_matrix.shape)
        g_matrix[...] = 0
        padded_dx = self._cleared_padded_dx(x, rows, columns, ws) if ws.input_gradient else None
        for part, column_matrix in self._columns(x, rows, columns, ws):
            dy_part = dy[part].reshape(-1, self.filters)
            np.matmul(column_matrix.T, dy_part, out=partial)
            np.add(g_matrix, partial, out=g_matrix)
            if padded_dx is not None:
                np.matmul(dy_part, p["weight"].reshape(-1, self.filters).T, out=column_matrix)
                self._add_columns(column_matrix, padded_dx, part, columns)
        if padded_dx is None:
            return None
        return padded_dx[rows.before : rows.before + rows.size, columns.before : columns.before + columns.size]

    def _columns(self, x: Tensor, rows: Window, columns: Window, ws: Workspace) -> Iterator[tuple[slice, Tensor]]:
        """(output rows, their windows as a matrix (rows * W' * n, kernel * kernel * C)), part by part."""
        padded = self._pad(x, rows, columns, ws)
        _, _, n, channels = padded.shape
        windows = self._window_view(padded, rows, columns)
        width = self.kernel * self.kernel * channels
        row_bytes = columns.count * n * width * padded.itemsize
        step = max(1, min(rows.count, COLUMN_BYTES // row_bytes))
        buffer = ws.temp("columns", (step * columns.count * n, width))
        for start in range(0, rows.count, step):
            part = slice(start, min(start + step, rows.count))
            column_matrix = buffer[: (part.stop - start) * columns.count * n]
            np.copyto(column_matrix.reshape(windows[part].shape), windows[part])
            yield part, column_matrix

    def _pad(self, x: Tensor, rows: Window, columns: Window, ws: Workspace) -> Tensor:
        if rows.padded == rows.size and columns.padded == columns.size:
            return x
        padded = ws.temp("padded", (rows.padded, columns.padded, *x.shape[2:]), zeroed=True)
        inside = padded[rows.before : rows.before + rows.size, columns.before : columns.before + columns.size]
        np.copyto(inside, x)
        return padded

    def _window_view(self, padded: Tensor, rows: Window, columns: Window) -> Tensor:
        """(H', W', n, kernel, kernel, C), overlapping, without a copy."""
        sh, sw, sn, sc = padded.strides
        _, _, n, channels = padded.shape
        shape = (rows.count, columns.count, n, self.kernel, self.kernel, channels)
        return as_strided(padded, shape, (sh * self.stride, sw * self.stride, sn, sh, sw, sc), writeable=False)

    def _cleared_padded_dx(self, x: Tensor, rows: Window, columns: Window, ws: Workspace) -> Tensor:
        padded_dx = ws.temp("padded_dx", (rows.padded, columns.padded, *x.shape[2:]))
        padded_dx[...] = 0
        return padded_dx

    def _add_columns(self, column_matrix: Tensor, padded_dx: Tensor, part: slice, columns: Window) -> None:
        """The adjoint of `_columns` ("col2im"): add every window back where it was read."""
        s, (_, _, n, channels) = self.stride, padded_dx.shape
        windows = column_matrix.reshape(-1, columns.count, n, self.kernel, self.kernel, channels)
        for u in range(self.kernel):
            top = part.start * s + u
            for v in range(self.kernel):
                target = padded_dx[top : top + len(windows) * s : s, v : v + columns.count * s : s]
                np.add(target[: len(windows), : columns.count], windows[:, :, :, u, v], out=target)
