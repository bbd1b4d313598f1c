"""The two-dimensional convolution: what it computes, and the choice of how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.convolution.base import Convolution
from nnlite.nn.convolution.bias import ChannelBias
from nnlite.nn.convolution.grouped import Depthwise, Grouped
from nnlite.nn.convolution.im2col import Im2col
from nnlite.nn.convolution.pointwise import Pointwise
from nnlite.nn.convolution.rowwise import Rowwise
from nnlite.nn.convolution.standardized import Standardized
from nnlite.nn.convolution.tiles import OUTPUTS
from nnlite.nn.convolution.window import Window
from nnlite.nn.convolution.winograd import Winograd
from nnlite.nn.initializers import Constant, He, Initializer
from nnlite.nn.layer import Layer, Parameter, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape
from nnlite.nn.standardization import check

ALGORITHMS: dict[str, type[Convolution]] = {
    "im2col": Im2col,
    "rowwise": Rowwise,
    "winograd": Winograd,
    "pointwise": Pointwise,
}
WINOGRAD_KERNELS = (3, 5)
TRANSFORM_COST = 2.2  # of one number, in multiplications of a plain convolution; measured
FEW_CHANNELS = 16  # up to here rowwise beats im2col; it keeps `kernel` copies of x until backward


@dataclass(frozen=True)
class Conv2D(Layer):
    """Cross-correlation with `filters` kernels: x (H, W, n, C) -> y (H', W', n, filters).

    weight (kernel, kernel, C / groups, filters), bias (filters,). Padding "same" or "valid", see `window.Window`.

    y[i, j, n, :] = bias + sum over (u, v) of x[i*stride + u*dilation, j*stride + v*dilation, n, :] @ weight[u, v]

    With `groups`, channels and filters are shared out in order, and a filter reads the channels of its own group; as
    many groups as channels and filters is a depthwise convolution.

    `standardized`: the sum is of weights with mean 0 and variance 1 in each filter, see `standardization`; meant to
    stand before a GroupNorm.

    `algorithm` says how the sum is computed: "im2col" (the plain way), "rowwise" (few channels), "pointwise" (kernel
    1), "winograd" (stride 1, kernel 3 or 5), or "auto", which takes what is fastest for the shape. In float32
    "winograd" rounds about five times as much as the others (2e-6 of the result); where that decides a ReLU or a
    pooling between two nearly equal numbers, a gradient takes the other of two right ways.
    """

    filters: int
    kernel: int
    stride: int = 1
    padding: str = "same"
    weight: Initializer = He()
    bias: Initializer = Constant(0.0)
    algorithm: str = "auto"
    groups: int = 1
    dilation: int = 1
    standardized: bool = False
    needs_output: ClassVar[bool] = False

    def windows(self, shape: Shape) -> tuple[Window, Window]:
        """The windows along H and W for images of `shape` (C, H, W)."""
        if len(shape) != 3:
            raise StructureError(f"Conv2D wants images (C, H, W), got {shape}")
        self._check(shape[0])
        rows, columns = (
            Window.along(size, self.kernel, self.stride, self.padding, "Conv2D", self.dilation) for size in shape[1:]
        )
        return rows, columns

    def _check(self, channels: int) -> None:
        """Raise StructureError for options that cannot be."""
        if self.filters < 1:
            raise StructureError(f"Conv2D needs at least 1 filter, got {self.filters}")
        if self.algorithm not in ("auto", *ALGORITHMS):
            raise StructureError(f"Conv2D: algorithm {self.algorithm!r}; wanted auto, {', '.join(ALGORITHMS)}")
        if self.groups < 1 or channels % self.groups or self.filters % self.groups:
            raise StructureError(
                f"Conv2D: {channels} channels and {self.filters} filters cannot be shared out to {self.groups} groups"
            )
        self._check_algorithm()

    def _check_algorithm(self) -> None:
        wants = {
            "winograd": ("stride 1 and kernels of 3 or 5", self.stride == 1 and self.kernel in WINOGRAD_KERNELS),
            "pointwise": ("kernels of 1", self.kernel == 1),
        }
        what, is_fit = wants.get(self.algorithm, ("any kernel", True))
        if self.algorithm not in ("auto", "im2col"):
            what, is_fit = f"{what}, one group and no dilation", is_fit and self.groups == self.dilation == 1
        if not is_fit:
            raise StructureError(
                f"Conv2D: algorithm {self.algorithm!r} is for {what}, got stride {self.stride}, kernel {self.kernel}, "
                f"groups {self.groups}, dilation {self.dilation}: leave it at 'auto'"
            )

    def output_shape(self, shape: Shape) -> Shape:
        rows, columns = self.windows(shape)
        return (self.filters, rows.count, columns.count)

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        self.windows(shape)
        area = self.kernel * self.kernel
        channels, filters = shape[0] // self.groups, self.filters // self.groups
        fans = area * channels, area * filters
        weight = (self.kernel, self.kernel, channels, self.filters)
        if self.standardized:
            check(self, weight)
        return {
            "weight": Parameter(weight, self.weight, *fans),
            "bias": Parameter((self.filters,), self.bias, *fans, decays=False),
        }

    def multiply_adds(self, shape: Shape) -> int:
        return prod(self.output_shape(shape)) * self.kernel**2 * shape[0] // self.groups

    def steps(self, shape: Shape) -> Sequence[Layer]:
        """The sum and the bias, apart: a pooling may come between them."""
        return (self._sum(shape), ChannelBias())

    def _sum(self, shape: Shape) -> Convolution | Standardized:
        convolution = self.convolution(shape)
        return Standardized(convolution) if self.standardized else convolution

    def convolution(self, shape: Shape) -> Convolution:
        """The sum without the bias, by the algorithm chosen, for images of `shape` (C, H, W)."""
        options = self.filters, self.kernel, self.stride, *self.windows(shape), self.dilation
        if self.groups == shape[0] == self.filters > 1 and self.algorithm == "auto":
            return Depthwise(*options)
        if self.groups > 1:
            return Grouped(*options, self.groups)
        return ALGORITHMS[self.algorithm if self.algorithm != "auto" else self._fastest(shape)](*options)

    def _fastest(self, shape: Shape) -> str:
        """The algorithm for images of `shape` (C, H, W), without groups."""
        channels = shape[0]
        if self.kernel == 1:
            return "pointwise"
        if self.dilation > 1:
            return "im2col"
        if self.stride == 1 and self.kernel in WINOGRAD_KERNELS:
            points = (OUTPUTS + self.kernel - 1) ** 2
            plain = self.kernel**2 * channels * self.filters
            if self._fills_tiles(shape, points) and plain > TRANSFORM_COST * points * (channels + self.filters):
                return "winograd"
        return "rowwise" if channels <= FEW_CHANNELS else "im2col"

    def _fills_tiles(self, shape: Shape, points: int) -> bool:
        """Whether Winograd's tiles, of so many points, take fewer products than the sum: not for images of 1 or 2 rows
        and columns, which are the corner of a tile."""
        rows, columns = self.windows(shape)
        tiles = -(-rows.count // OUTPUTS) * -(-columns.count // OUTPUTS)
        return tiles * points < rows.count * columns.count * self.kernel**2

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        convolution = self._sum((x.shape[3], *x.shape[:2]))
        y = convolution.forward(convolution.prepare(p, ws), x, ws)
        return np.add(y, p["bias"], out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        pixels = dy.reshape(-1, self.filters)
        np.matmul(ws.ones(len(pixels)), pixels, out=g["bias"])
        convolution = self._sum((x.shape[3], *x.shape[:2]))
        prepared = convolution.prepare(p, ws)
        d = {"weight": ws.temp("d prepared", prepared["weight"].shape)}
        dx = convolution.backward(prepared, d, x, y, dy, ws)
        convolution.collect(d, g, ws)
        return dx
