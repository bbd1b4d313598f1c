"""Convolution of channels in groups: by im2col, a product for each group; and depthwise, where a channel is a group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from nnlite.nn.convolution.base import Convolution
from nnlite.nn.convolution.im2col import Im2col
from nnlite.nn.layer import Tensor, Tensors, Workspace


@dataclass(frozen=True)
class Grouped(Im2col, described=False):
    """The column buffer is one matrix (windows, kernel * kernel * C / groups) a group. `weight` is (kernel, kernel,
    C / groups, filters): filter f reads the channels of group f // (filters / groups)."""

    groups: int = 1

    def prepare(self, p: Tensors, ws: Workspace) -> Tensors:
        """The weight as a matrix a group: (groups, kernel * kernel * C / groups, filters / groups)."""
        by_group = self._by_group(p["weight"])
        weight = ws.temp("weight by group", (self.groups, by_group.shape[1] * by_group.shape[2], by_group.shape[3]))
        np.copyto(weight.reshape(by_group.shape), by_group)
        return {"weight": weight}

    def collect(self, d: Tensors, g: Tensors, ws: Workspace) -> None:
        by_group = self._by_group(g["weight"])
        np.copyto(by_group, d["weight"].reshape(by_group.shape))

    def _by_group(self, weight: Tensor) -> Tensor:
        """(groups, kernel * kernel, C / groups, filters / groups), a view."""
        taps: Tensor = weight.reshape(self.kernel**2, weight.shape[2], self.groups, -1)
        by_group: Tensor = taps.transpose(2, 0, 1, 3)
        return by_group

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = ws.output((self.rows.count, self.columns.count, x.shape[2], self.filters))
        for part, columns in self._columns_by_group(x, ws):
            np.matmul(columns, p["weight"], out=self._pixels_by_group(y[part]))
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        dy, partial = ws.contiguous("dy", dy), ws.temp("partial", g["weight"].shape)
        g["weight"][...] = 0
        padded_dx = self._empty_dx(x, ws) if ws.input_gradient else None
        for part, columns in self._columns_by_group(x, ws):
            dy_part = self._pixels_by_group(dy[part])
            np.matmul(columns.transpose(0, 2, 1), dy_part, out=partial)
            np.add(g["weight"], partial, out=g["weight"])
            if padded_dx is not None:
                np.matmul(dy_part, p["weight"].transpose(0, 2, 1), out=columns)
                for of_group, target in zip(columns, self._groups_of(padded_dx), strict=True):
                    self._add_columns(of_group, target, part)
        return self._inside(padded_dx) if padded_dx is not None else None

    def _columns_by_group(self, x: Tensor, ws: Workspace) -> Iterator[tuple[slice, Tensor]]:
        """(output rows, their windows (groups, rows * W' * n, kernel * kernel * C / groups)), part by part."""
        padded = self._pad(x, ws)
        windows = [self._window_view(group) for group in self._groups_of(padded)]
        width = self.kernel * self.kernel * windows[0].shape[-1]
        pixels = self.columns.count * x.shape[2]
        step = self._rows_of_part(self.groups * pixels * width * padded.itemsize)
        buffer = ws.temp("columns", (self.groups, step * pixels, width))
        for start in range(0, self.rows.count, step):
            part = slice(start, min(start + step, self.rows.count))
            columns = buffer[:, : (part.stop - start) * pixels]
            for of_group, view in zip(columns, windows, strict=True):
                np.copyto(of_group.reshape(view[part].shape), view[part])
            yield part, columns

    def _groups_of(self, images: Tensor) -> list[Tensor]:
        """The channels of each group of images (H, W, n, C), views."""
        size = images.shape[3] // self.groups
        return [images[..., start : start + size] for start in range(0, images.shape[3], size)]

    def _pixels_by_group(self, y: Tensor) -> Tensor:
        """(groups, pixels, filters / groups), a view of images (H', W', n, filters)."""
        pixels: Tensor = y.reshape(-1, self.groups, self.filters // self.groups)
        by_group: Tensor = pixels.transpose(1, 0, 2)
        return by_group


@dataclass(frozen=True)
class Depthwise(Convolution, described=False):
    """A filter a channel: y[i, j, n, c] = sum over (u, v) of x[i*stride + u*dilation, ...][n, c] * weight[u, v, 0, c].

    No product of matrices is in it, so nothing is gained by copying windows: the sum runs over a view of the padded
    images in which windows overlap, whose innermost axis (n, C) is long. Its adjoint is the same sum over dy, spread
    out by the stride, with the kernel turned round.
    """

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y = ws.output((self.rows.count, self.columns.count, *x.shape[2:]))
        windows = self._windows(self._padded(x, ws), self.stride, y)
        np.einsum("uvijk,uvk->ijk", windows, self._tiled(p["weight"], x, ws), out=_flat(y))
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        dy = ws.contiguous("dy", dy)
        n, channels = x.shape[2:]
        of_samples = ws.temp("dW of samples", (self.kernel, self.kernel, n, channels))
        windows = self._windows(self._padded(x, ws), self.stride, dy)
        np.einsum("uvijk,ijk->uvk", windows, _flat(dy), out=_flat(of_samples))
        np.matmul(ws.ones(n), of_samples, out=g["weight"].reshape(self.kernel, self.kernel, channels))
        if not ws.input_gradient:
            return None
        dx = ws.temp("dx", x.shape)
        turned = self._tiled(p["weight"], x, ws)[::-1, ::-1]
        np.einsum("uvijk,uvk->ijk", self._windows(self._spread(dy, x, ws), 1, dx), turned, out=_flat(dx))
        return dx

    def _padded(self, x: Tensor, ws: Workspace) -> Tensor:
        rows, columns = self.rows, self.columns
        padded = ws.temp("padded", (rows.padded, columns.padded, *x.shape[2:]), zeroed=True)
        inside = padded[rows.before : rows.before + rows.size, columns.before : columns.before + columns.size]
        np.copyto(inside, x)
        return padded

    def _spread(self, dy: Tensor, x: Tensor, ws: Workspace) -> Tensor:
        """dy with its rows and columns `stride` apart, zeros between them, and padded so that the sum over windows of
        the turned kernel meets for each x what the kernel met it in."""
        reach = (self.kernel - 1) * self.dilation
        spread = ws.temp("spread", (x.shape[0] + reach, x.shape[1] + reach, *x.shape[2:]), zeroed=True)
        top, left = reach - self.rows.before, reach - self.columns.before
        below, right = top + dy.shape[0] * self.stride, left + dy.shape[1] * self.stride
        np.copyto(spread[top : below : self.stride, left : right : self.stride][: dy.shape[0], : dy.shape[1]], dy)
        return spread

    def _windows(self, padded: Tensor, stride: int, like: Tensor) -> Tensor:
        """(kernel, kernel, H', W', n * C), overlapping, for the H', W' of `like`."""
        sh, sw, _, item = padded.strides
        shape = (self.kernel, self.kernel, *like.shape[:2], like.shape[2] * like.shape[3])
        strides = (sh * self.dilation, sw * self.dilation, sh * stride, sw * stride, item)
        return as_strided(padded, shape, strides, writeable=False)

    def _tiled(self, weight: Tensor, x: Tensor, ws: Workspace) -> Tensor:
        """The weight for each channel of each sample: (kernel, kernel, n * C)."""
        tiled = ws.temp("tiled", (self.kernel, self.kernel, *x.shape[2:]))
        np.copyto(tiled, weight)
        return tiled.reshape(self.kernel, self.kernel, -1)


def _flat(images: Tensor) -> Tensor:
    """(H, W, n * C)"""
    return images.reshape(*images.shape[:2], -1)
