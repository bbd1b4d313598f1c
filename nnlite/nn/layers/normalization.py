"""Normalization of each sample by itself: over groups of channels of an image, over the features of a vector."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NoReturn

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.initializers import Constant, Initializer
from nnlite.nn.layer import Layer, Parameter, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape

PART_BYTES = 1 << 17  # of one array of pixels: the three that meet here fit into a core's L2 cache


@dataclass(frozen=True)
class GroupNorm(Layer):
    """y = gain * (x - mean) / sqrt(variance + epsilon) + bias, x (H, W, n, C), gain and bias (C,).

    Mean and variance are those of a sample's pixels in a group of C / groups channels (Wu & He 2018,
    arXiv:1803.08494). So a sample counts alone, whatever the block, the worker and the batch it comes in. With
    z = (x - mean) / sigma, and averages over a group:

    dx = (gain dy - mean(gain dy) - z mean(gain dy z)) / sigma
    """

    groups: int
    epsilon: float = 1e-5
    gain: Initializer = Constant(1.0)
    bias: Initializer = Constant(0.0)
    needs_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_epsilon(self, self.epsilon)
        if self.groups < 1:
            raise StructureError(f"GroupNorm: {self.groups} groups; wanted at least 1")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise StructureError(f"GroupNorm wants images (C, H, W), got {shape}: LayerNorm() is for vectors")
        if shape[0] % self.groups:
            raise StructureError(f"GroupNorm: {shape[0]} channels cannot be shared out to {self.groups} groups alike")
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return _gain_and_bias(shape[:1], self.gain, self.bias)

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        y, pixels = ws.output(x.shape), _pixels(x, "x", ws)
        of_groups = self._of_groups(x)
        mean, inverse = ws.keep("mean", of_groups), ws.keep("1 / sigma", of_groups)
        scale, shift = ws.keep("scale", of_groups[:2] + (self._size(x),)), ws.temp("shift", x.shape[2:])
        self._mean(pixels, mean, ws)
        self._inverse_deviation(pixels, mean, inverse, ws)
        np.multiply(p["gain"].reshape(self.groups, -1), inverse, out=scale)
        np.multiply(mean, scale, out=shift.reshape(scale.shape))
        np.subtract(p["bias"], shift, out=shift)
        for x_part, y_part in _parts(pixels, y.reshape(pixels.shape)):
            np.multiply(x_part, scale.reshape(-1), out=y_part)
            np.add(y_part, shift.reshape(-1), out=y_part)
        return y

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        pixels, d_pixels = _pixels(x, "x", ws), _pixels(dy, "dy", ws)
        of_groups, of_channels = self._of_groups(x), (x.shape[2], self.groups, self._size(x))
        mean, inverse = ws.keep("mean", of_groups), ws.keep("1 / sigma", of_groups)
        sums, products = ws.temp("sum dy", of_channels), ws.temp("sum dy z", of_channels)
        self._sums(pixels, d_pixels, mean, sums, products, ws)
        np.multiply(products, inverse, out=products)
        samples = ws.ones(x.shape[2])
        np.matmul(samples, products.reshape(x.shape[2:]), out=g["gain"])
        np.matmul(samples, sums.reshape(x.shape[2:]), out=g["bias"])
        if not ws.input_gradient:
            return None
        self._means(p["gain"], sums, len(pixels), inverse, ws)
        self._means(p["gain"], products, len(pixels), inverse, ws)
        np.multiply(products, inverse, out=products)  # of x: mean(gain dy z) / sigma²
        constant = ws.temp("constant", of_channels)
        np.multiply(mean, products, out=constant)
        np.subtract(constant, sums, out=constant)
        scale = ws.keep("scale", of_channels)
        for x_part, d_part in _parts(pixels, d_pixels):
            part = ws.temp("part", x_part.shape)
            np.multiply(x_part, products.reshape(-1), out=part)
            np.multiply(d_part, scale.reshape(-1), out=d_part)
            np.subtract(d_part, part, out=d_part)
            np.add(d_part, constant.reshape(-1), out=d_part)
        return d_pixels.reshape(x.shape)

    # ---- sums over pixels

    def _mean(self, pixels: Tensor, out: Tensor, ws: Workspace) -> None:
        """out (n, groups, 1)"""
        sums = ws.temp("sums", (len(out), self.groups, pixels.shape[1] // out.size))
        np.matmul(ws.ones(len(pixels)), pixels, out=sums.reshape(-1))
        np.sum(sums, axis=2, keepdims=True, out=out)
        np.divide(out, len(pixels) * sums.shape[2], out=out)

    def _inverse_deviation(self, pixels: Tensor, mean: Tensor, out: Tensor, ws: Workspace) -> None:
        """out (n, groups, 1) = 1 / sqrt(variance + epsilon), from the squares of what is left without the mean."""
        size = pixels.shape[1] // out.size
        means, sums, of_part = (ws.temp(name, (len(out), self.groups, size)) for name in ("means", "sums", "of part"))
        np.copyto(means, mean)
        sums[...] = 0
        for (x_part,) in _parts(pixels):
            part = ws.temp("part", x_part.shape)
            np.subtract(x_part, means.reshape(-1), out=part)
            np.multiply(part, part, out=part)
            np.matmul(ws.ones(len(part)), part, out=of_part.reshape(-1))
            np.add(sums, of_part, out=sums)
        np.sum(sums, axis=2, keepdims=True, out=out)
        np.divide(out, len(pixels) * size, out=out)
        np.add(out, self.epsilon, out=out)
        np.sqrt(out, out=out)
        np.reciprocal(out, out=out)

    def _sums(
        self, pixels: Tensor, d_pixels: Tensor, mean: Tensor, sums: Tensor, products: Tensor, ws: Workspace
    ) -> None:
        """Over the pixels of each channel (n, groups, size): sums of dy, products of dy (x - mean)."""
        means, of_part = ws.temp("means", sums.shape), ws.temp("of part", sums.shape)
        np.copyto(means, mean)
        np.matmul(ws.ones(len(d_pixels)), d_pixels, out=sums.reshape(-1))
        products[...] = 0
        for x_part, d_part in _parts(pixels, d_pixels):
            part = ws.temp("part", x_part.shape)
            np.subtract(x_part, means.reshape(-1), out=part)
            np.multiply(part, d_part, out=part)
            np.matmul(ws.ones(len(part)), part, out=of_part.reshape(-1))
            np.add(products, of_part, out=products)

    def _means(self, gain: Tensor, sums: Tensor, num_pixels: int, inverse: Tensor, ws: Workspace) -> None:
        """Replace `sums` (n, groups, size) by gain * sums, averaged over each group and its pixels, by sigma."""
        mean = ws.temp("mean of group", inverse.shape)
        np.multiply(gain.reshape(self.groups, -1), sums, out=sums)
        np.sum(sums, axis=2, keepdims=True, out=mean)
        np.divide(mean, num_pixels * sums.shape[2], out=mean)
        np.multiply(mean, inverse, out=sums)

    def _of_groups(self, x: Tensor) -> tuple[int, int, int]:
        return (x.shape[2], self.groups, 1)

    def _size(self, x: Tensor) -> int:
        """Channels of a group."""
        return int(x.shape[3]) // self.groups


@dataclass(frozen=True)
class LayerNorm(Layer):
    """y = gain * (x - mean) / sqrt(variance + epsilon) + bias over the features of a vector: x (D, N), gain and bias
    (D,) (Ba, Kiros & Hinton 2016, arXiv:1607.06450)."""

    epsilon: float = 1e-5
    gain: Initializer = Constant(1.0)
    bias: Initializer = Constant(0.0)
    needs_input: ClassVar[bool] = False
    needs_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _check_epsilon(self, self.epsilon)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise StructureError(f"LayerNorm wants vectors, got {shape}: GroupNorm(1) does the same for images")
        return shape

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return _gain_and_bias(shape, self.gain, self.bias)

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        z, y = ws.keep("z", x.shape), ws.output(x.shape)
        mean, inverse = ws.temp("mean", x.shape[1:]), ws.keep("1 / sigma", x.shape[1:])
        features = ws.ones(len(x))
        np.matmul(features, x, out=mean)
        np.divide(mean, len(x), out=mean)
        np.subtract(x, mean, out=z)
        np.multiply(z, z, out=y)
        np.matmul(features, y, out=inverse)
        np.divide(inverse, len(x), out=inverse)
        np.add(inverse, self.epsilon, out=inverse)
        np.sqrt(inverse, out=inverse)
        np.reciprocal(inverse, out=inverse)
        np.multiply(z, inverse, out=z)
        np.multiply(z, p["gain"][:, None], out=y)
        return np.add(y, p["bias"][:, None], out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        z, inverse, product = ws.keep("z", dy.shape), ws.keep("1 / sigma", dy.shape[1:]), ws.temp("product", dy.shape)
        features, samples, mean = ws.ones(len(dy)), ws.ones(dy.shape[1]), ws.temp("mean", dy.shape[1:])
        np.multiply(dy, z, out=product)
        np.matmul(product, samples, out=g["gain"])
        np.matmul(dy, samples, out=g["bias"])
        if not ws.input_gradient:
            return None
        np.multiply(dy, p["gain"][:, None], out=dy)
        np.multiply(dy, z, out=product)
        np.matmul(features, product, out=mean)
        np.divide(mean, len(dy), out=mean)
        np.multiply(z, mean, out=product)
        np.matmul(features, dy, out=mean)
        np.divide(mean, len(dy), out=mean)
        np.subtract(dy, mean, out=dy)
        np.subtract(dy, product, out=dy)
        return np.multiply(dy, inverse, out=dy)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalization, which is refused: use `GroupNorm`.

    Its statistics are those of the samples that come together, here a block of a few images on one of many workers; so
    the network would depend on the size of blocks, and the average of several workers' networks would be none of theirs
    (Hsieh et al. 2020, arXiv:1910.00189).
    """

    def __post_init__(self) -> NoReturn:
        raise StructureError(
            "BatchNorm is not offered: its statistics depend on the block of samples that a worker happens to see, and "
            "averaged over workers they are nobody's. Take GroupNorm(groups), which normalizes each sample by itself"
        )


def _gain_and_bias(shape: Shape, gain: Initializer, bias: Initializer) -> dict[str, Parameter]:
    return {"gain": Parameter(shape, gain, decays=False), "bias": Parameter(shape, bias, decays=False)}


def _check_epsilon(layer: Layer, epsilon: float) -> None:
    if not epsilon > 0:
        raise StructureError(f"{type(layer).__name__}: epsilon {epsilon}; wanted a positive number")


def _pixels(x: Tensor, name: str, ws: Workspace) -> Tensor:
    """x (H, W, n, C) as (H * W, n * C); copied only if it does not lie so."""
    x = ws.contiguous(name, x)
    return x.reshape(x.shape[0] * x.shape[1], -1)


def _parts(*arrays: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same rows of several matrices, as many as stay in cache together."""
    step = max(1, PART_BYTES // (arrays[0].shape[1] * arrays[0].itemsize))
    for start in range(0, len(arrays[0]), step):
        yield tuple(array[start : start + step] for array in arrays)
