"""Convolution of images with few channels, as a colour image has: im2col along the rows only.

Im2col copies every number kernel² times. Here it is copied `kernel` times, for the taps along W; the taps
along H come free, because the rows that one row of outputs needs lie one after the other in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.nn.convolution.base import Convolution
from nnlite.nn.layer import Tensor, Tensors, Workspace


@dataclass(frozen=True)
class Rowwise(Convolution, described=False):
    """The taps (H'', kernel, C, W' * n): for each padded row of inputs, each tap v along W, and each channel,
    a long run of numbers. `kernel` rows are a matrix (kernel * kernel * C, W' * n), whose rows are in the order
    of the weight's; the matrices of two rows of outputs overlap. y[i] = matrix[i].T @ weight.

    With `lanes` > 1 (stride 1 only, and W' a multiple) the columns of y are sorted by index modulo `lanes`, because
    a pooling follows that wants every other column: so it finds them side by side. See `plan`.
    """

    lanes: int = 1

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        width, n = self.columns.count, x.shape[2]
        y = ws.output((self.rows.count, width, n, self.filters))
        matrices = self._matrices(self._fill_taps(x, ws))
        weight = p["weight"].reshape(-1, self.filters)
        np.matmul(matrices.transpose(0, 2, 1), weight, out=y.reshape(-1, width * n, self.filters))
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        matrices = self._matrices(self._taps(x, ws))
        dy_rows = ws.contiguous("dy", dy).reshape(len(dy), -1, self.filters)
        of_rows = ws.temp("dW of each row", (len(dy), matrices.shape[1], self.filters))
        np.matmul(matrices, dy_rows, out=of_rows)
        np.matmul(ws.ones(len(dy)), of_rows.reshape(len(dy), -1), out=g["weight"].reshape(-1))
        return self._input_gradient(p["weight"], dy_rows, x, ws) if ws.input_gradient else None

    def _input_gradient(self, weight: Tensor, dy_rows: Tensor, x: Tensor, ws: Workspace) -> Tensor:
        """The adjoint of forward, step by step backward."""
        d_taps = ws.temp("d taps", self._taps_shape(x))
        d_taps[...] = 0
        pixels = d_taps.shape[-1]
        d_rows = ws.temp("d matrices", (len(dy_rows), self.kernel, self.kernel * x.shape[3], pixels))
        flat = weight.reshape(-1, self.filters)
        np.matmul(flat, dy_rows.transpose(0, 2, 1), out=d_rows.reshape(len(dy_rows), len(flat), -1))
        of_rows = d_taps.reshape(len(d_taps), *d_rows.shape[2:])
        for u in range(self.kernel):
            target = of_rows[u : u + len(dy_rows) * self.stride : self.stride][: len(dy_rows)]
            np.add(target, d_rows[:, u], out=target)
        padded = ws.temp("d padded", self._padded_shape(x))
        padded[...] = 0
        for of_padded, of_taps in self._same_numbers(padded, d_taps):
            np.add(of_padded, of_taps, out=of_padded)
        dx = ws.temp("dx", x.shape)
        for of_padded, of_dx in self._same_pixels(padded, dx):
            np.copyto(of_dx, of_padded)
        return dx

    def _fill_taps(self, x: Tensor, ws: Workspace) -> Tensor:
        padded = ws.temp("padded", self._padded_shape(x), zeroed=True)
        for of_padded, of_x in self._same_pixels(padded, x):
            np.copyto(of_padded, of_x)
        taps = self._taps(x, ws)
        for of_padded, of_taps in self._same_numbers(padded, taps):
            np.copyto(of_taps, of_padded)
        return taps

    def _taps(self, x: Tensor, ws: Workspace) -> Tensor:
        return ws.keep("taps", self._taps_shape(x))

    def _taps_shape(self, x: Tensor) -> tuple[int, int, int, int]:
        return (self.rows.padded, self.kernel, x.shape[3], self.columns.count * x.shape[2])

    def _padded_shape(self, x: Tensor) -> tuple[int, int, int, int, int]:
        """(H'', C, lanes, columns of a lane, n)"""
        return (self.rows.padded, x.shape[3], self.lanes, -(-self.columns.padded // self.lanes), x.shape[2])

    def _same_pixels(self, padded: Tensor, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of views (H, columns of a lane, n, C) of the same pixels."""
        rows = slice(self.rows.before, self.rows.before + self.rows.size)
        for lane in range(self.lanes):
            of_lane, columns = self.columns.lane(lane, self.lanes)
            yield padded[rows, :, lane, of_lane].transpose(0, 2, 3, 1), x[:, columns]

    def _same_numbers(self, padded: Tensor, taps: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs of views (H'', C, columns of a lane, n): for each tap along W, what it meets, and where it goes."""
        count = self.columns.count // self.lanes
        by_tap = taps.reshape(*taps.shape[:3], self.lanes, count, -1)
        for v in range(self.kernel):
            for lane in range(self.lanes):
                start, of_lane = divmod(lane + v, self.lanes)
                columns = slice(start, start + (count - 1) * self.stride + 1, self.stride)
                yield padded[:, :, of_lane, columns], by_tap[:, v, :, lane]

    def _matrices(self, taps: Tensor) -> Tensor:
        """(H', kernel * kernel * C, W' * n), overlapping, without a copy."""
        of_row, _, of_channel, of_pixel = taps.strides
        _, kernel, channels, pixels = taps.shape
        shape = (self.rows.count, kernel * kernel * channels, pixels)
        return as_strided(taps, shape, (self.stride * of_row, of_channel, of_pixel), writeable=False)
