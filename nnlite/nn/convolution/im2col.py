"""Convolution as one matrix product over a column buffer ("im2col"): the plain way, for every kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.nn.convolution.base import Convolution
from nnlite.nn.layer import Tensor, Tensors, Workspace

COLUMN_BYTES = 1 << 20  # of the column buffer: small enough for a core's L2 cache, large enough for BLAS


@dataclass(frozen=True)
class Im2col(Convolution, described=False):
    """The windows of a few rows of outputs are copied, one window a row, into a column buffer
    (windows, kernel * kernel * C), which is multiplied with the weight as a matrix."""

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = ws.output((self.rows.count, self.columns.count, x.shape[2], self.filters))
        matrix = p["weight"].reshape(-1, self.filters)
        for part, column_matrix in self._columns(x, ws):
            np.matmul(column_matrix, matrix, out=y[part].reshape(-1, self.filters))
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        dy, g_matrix = ws.contiguous("dy", dy), g["weight"].reshape(-1, self.filters)
        partial = ws.temp("partial", g_matrix.shape)
        g_matrix[...] = 0
        padded_dx = self._empty_dx(x, ws) if ws.input_gradient else None
        for part, column_matrix in self._columns(x, ws):
            dy_part = dy[part].reshape(-1, self.filters)
            np.matmul(column_matrix.T, dy_part, out=partial)
            np.add(g_matrix, partial, out=g_matrix)
            if padded_dx is not None:
                np.matmul(dy_part, p["weight"].reshape(-1, self.filters).T, out=column_matrix)
                self._add_columns(column_matrix, padded_dx, part)
        if padded_dx is None:
            return None
        return self._inside(padded_dx)

    def _columns(self, x: Tensor, ws: Workspace) -> Iterator[tuple[slice, Tensor]]:
        """(output rows, their windows as a matrix (rows * W' * n, kernel * kernel * C)), part by part."""
        padded = self._pad(x, ws)
        _, _, n, channels = padded.shape
        windows = self._window_view(padded)
        width = self.kernel * self.kernel * channels
        row_bytes = self.columns.count * n * width * padded.itemsize
        step = self._rows_of_part(row_bytes)
        buffer = ws.temp("columns", (step * self.columns.count * n, width))
        for start in range(0, self.rows.count, step):
            part = slice(start, min(start + step, self.rows.count))
            column_matrix = buffer[: (part.stop - start) * self.columns.count * n]
            np.copyto(column_matrix.reshape(windows[part].shape), windows[part])
            yield part, column_matrix

    def _rows_of_part(self, row_bytes: int) -> int:
        """How many rows of outputs are a part, if the columns of one take so many bytes."""
        return max(1, min(self.rows.count, COLUMN_BYTES // row_bytes))

    def _empty_dx(self, x: Tensor, ws: Workspace) -> Tensor:
        padded_dx = ws.temp("padded_dx", (self.rows.padded, self.columns.padded, *x.shape[2:]))
        padded_dx[...] = 0
        return padded_dx

    def _pad(self, x: Tensor, ws: Workspace) -> Tensor:
        if (self.rows.padded, self.columns.padded) == x.shape[:2]:
            return x
        padded = ws.temp("padded", (self.rows.padded, self.columns.padded, *x.shape[2:]), zeroed=True)
        np.copyto(self._inside(padded), x)
        return padded

    def _inside(self, padded: Tensor) -> Tensor:
        """The part of `padded` (H'', W'', n, C) that is not padding: (H, W, n, C)."""
        rows, columns = self.rows, self.columns
        return padded[rows.before : rows.before + rows.size, columns.before : columns.before + columns.size]

    def _window_view(self, padded: Tensor) -> Tensor:
        """(H', W', n, kernel, kernel, C), overlapping, without a copy."""
        sh, sw, sn, sc = padded.strides
        _, _, n, channels = padded.shape
        shape = (self.rows.count, self.columns.count, n, self.kernel, self.kernel, channels)
        s, d = self.stride, self.dilation
        return as_strided(padded, shape, (sh * s, sw * s, sn, sh * d, sw * d, sc), writeable=False)

    def _add_columns(self, column_matrix: Tensor, padded_dx: Tensor, part: slice) -> None:
        """The adjoint of `_columns` ("col2im"): add every window back where it was read."""
        s, width, (_, _, n, channels) = self.stride, self.columns.count, padded_dx.shape
        windows = column_matrix.reshape(-1, width, n, self.kernel, self.kernel, channels)
        for u in range(self.kernel):
            top = part.start * s + u * self.dilation
            for v in range(self.kernel):
                left = v * self.dilation
                target = padded_dx[top : top + len(windows) * s : s, left : left + width * s : s]
                np.add(target[: len(windows), :width], windows[:, :, :, u, v], out=target)
