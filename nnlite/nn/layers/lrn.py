"""Local response normalization across channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from nnlite.errors import StructureError
from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape, aligned_copy, aligned_zeros

Bands = list[tuple[slice, slice, Tensor]]  # (which channels go in, which come out, their matrix)

PART_BYTES = 1 << 17  # of one array of pixels: the six that meet here fit into a core's L2 cache
GROUP = 32  # channels that come out of one product
BATCH = 128  # pixels of one small product


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """y = x / s**beta with s = bias + alpha * (sum of x² over the channels within `radius`).

    Krizhevsky et al. 2012, section 3.3, with TensorFlow's parameters; PyTorch's `local_response_norm` divides
    its alpha by its size 2 * radius + 1 and calls bias k. On x (H, W, n, C) the window sum is one matrix
    product with a band of ones (C, C).

    dx = dy / s**beta - 2 alpha beta x * band(dy * x / s**(beta + 1))
    """

    radius: int = 4
    bias: float = 1.0
    alpha: float = 0.001 / 9
    beta: float = 0.75
    needs_output: ClassVar[bool] = False

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise StructureError(f"LocalResponseNorm wants images (C, H, W), got {shape}")
        return shape

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        x, y = ws.contiguous("x", x), ws.output(x.shape)
        shrink = ws.keep("shrink", x.shape)  # s**-beta
        slope = ws.keep("slope", x.shape)  # x * s**-(beta + 1)
        bands = self._bands(x.shape[3], self.alpha, ws)
        for x_part, y_part, shrink_part, slope_part in _parts(x, y, shrink, slope):
            scale = ws.temp("scale", x_part.shape)
            ones = ws.ones(x_part.size).reshape(x_part.shape)  # dividing a number by an array is not vectorized
            np.multiply(x_part, x_part, out=y_part)
            _window_sums(y_part, bands, out=scale)
            np.add(scale, self.bias, out=scale)
            np.divide(ones, scale, out=scale)
            self._power(scale, shrink_part, y_part)
            np.multiply(x_part, shrink_part, out=y_part)
            if ws.training:
                np.multiply(y_part, scale, out=slope_part)
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        bands = self._bands(x.shape[3], 2 * self.alpha * self.beta, ws)
        x, dy, dx = ws.contiguous("x", x), ws.contiguous("dy", dy), ws.temp("dx", x.shape)
        shrink, slope = ws.keep("shrink", x.shape), ws.keep("slope", x.shape)
        for x_part, dy_part, dx_part, shrink_part, slope_part in _parts(x, dy, dx, shrink, slope):
            spread = ws.temp("scale", x_part.shape)
            np.multiply(dy_part, slope_part, out=dx_part)
            _window_sums(dx_part, bands, out=spread)
            np.multiply(spread, x_part, out=spread)
            np.multiply(dy_part, shrink_part, out=dx_part)
            np.subtract(dx_part, spread, out=dx_part)
        return dx

    def _power(self, inverse: Tensor, out: Tensor, scratch: Tensor) -> None:
        """out = inverse**beta; the usual 3/4 as two square roots, 20 times faster than np.power."""
        if self.beta == 0.75:
            np.sqrt(inverse, out=scratch)
            np.sqrt(scratch, out=out)
            np.multiply(out, scratch, out=out)
        else:
            np.power(inverse, self.beta, out=out)

    def _bands(self, channels: int, factor: float, ws: Workspace) -> Bands:
        """The band matrix (C, C) cut along its diagonal, so that few of its zeros are multiplied."""

        def cut() -> Bands:
            whole = band(channels, self.radius, factor, ws.dtype)
            bands = []
            for start in range(0, channels, GROUP):
                stop = min(start + GROUP, channels)
                inputs = slice(max(0, start - self.radius), min(channels, stop + self.radius))
                bands.append((inputs, slice(start, stop), aligned_copy(whole[inputs, start:stop], ws.dtype)))
            return bands

        return ws.once(f"bands {channels} {factor}", cut)


def _parts(*arrays: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same pixels of several images (H, W, n, C), as matrices (pixels, C) that stay in cache together."""
    channels = arrays[0].shape[-1]
    pixels = [array.reshape(-1, channels) for array in arrays]
    step = max(1, PART_BYTES // (channels * arrays[0].itemsize))
    for start in range(0, len(pixels[0]), step):
        yield tuple(matrix[start : start + step] for matrix in pixels)


def _window_sums(x: Tensor, bands: Bands, out: Tensor) -> None:
    """out = x @ band, for x (pixels, C); in batches of a few pixels, which BLAS multiplies without packing."""
    batch = BATCH if len(x) % BATCH == 0 else len(x)
    x, out = x.reshape(-1, batch, x.shape[1]), out.reshape(-1, batch, x.shape[1])
    for inputs, outputs, matrix in bands:
        np.matmul(x[:, :, inputs], matrix, out=out[:, :, outputs])


def band(channels: int, radius: int, factor: float, dtype: DTypeLike) -> Tensor:
    """(C, C), `factor` where |row - column| <= radius and 0 elsewhere."""
    matrix: Tensor = aligned_zeros((channels, channels), dtype)
    for row in range(channels):
        matrix[row, max(0, row - radius) : row + radius + 1] = factor
    return matrix
