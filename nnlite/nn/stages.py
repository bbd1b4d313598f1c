"""The two halves of a network at work: image layers block by block, vector layers on the whole batch.

Everything before `Flatten` treats each image alone, so it runs on blocks of a few images whose activations
stay in cache; everything behind it runs once on all N samples. Both are a chain of layers with memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape, aligned_empty

BLOCK_BYTES = 1_400_000  # of the largest activation in a block of images: what a core keeps near itself
RECENT_SIZES = 4  # batch sizes whose memory is kept: the full batch, the tail, and the same for evaluation


class Chain:
    """Some layers and their workspaces for one block of samples, always of the same size."""

    def __init__(
        self,
        layers: Sequence[Layer],
        dtype: DTypeLike,
        temps: list[dict[Any, Any]],
        learns: Sequence[bool],
        wants_input_gradient: bool,
    ):
        """`temps`: scratch memory a layer, which chains that never run at once may share; `learns`: which
        layers have parameters; `wants_input_gradient`: whether somebody before this chain learns."""
        self.layers = layers
        self.workspaces = [Workspace(dtype, temp) for temp in temps]
        self._inputs: list[Tensor] = [np.empty(0)] * len(layers)
        self._outputs: list[Tensor] = [np.empty(0)] * len(layers)
        self._plan_memory()
        wanted = wants_input_gradient
        for ws, layer_learns in zip(self.workspaces, learns, strict=True):
            ws.input_gradient = wanted
            wanted = wanted or layer_learns

    def _plan_memory(self) -> None:
        """Decide who may write over its input, and which outputs must outlive the block."""
        following: Layer | None = None
        kept = True  # whether the following layer's output is kept; whoever comes after the chain may read it
        for index in reversed(range(len(self.layers))):
            layer, ws = self.layers[index], self.workspaces[index]
            inherits = following is not None and kept and (
                self.workspaces[index + 1].may_overwrite_input or following.may_return_input
            )
            kept = layer.needs_output or following is None or following.needs_input or inherits
            ws.output_is_kept = kept
            before = self.layers[index - 1] if index > 0 else None
            nobody_elses = before is not None and not before.needs_output and not before.may_return_input
            ws.may_overwrite_input = layer.in_place and nobody_elses
            following = layer

    def forward(self, p: Sequence[Tensors], x: Tensor, training: bool, rng: np.random.Generator | None) -> Tensor:
        """The output of the last layer for the input `x` of the first."""
        for index, (layer, ws) in enumerate(zip(self.layers, self.workspaces, strict=True)):
            ws.training, ws.rng = training, rng
            self._inputs[index] = x
            x = layer.forward(p[index], x, ws)
            self._outputs[index] = x
        return x

    def backward(self, p: Sequence[Tensors], g: Sequence[Tensors], dy: Tensor) -> Tensor | None:
        """Write the gradients of every layer into `g`; return that of the chain's input, if wanted."""
        gradient: Tensor | None = dy
        for index in reversed(range(len(self.layers))):
            if gradient is None:
                return None
            layer, ws = self.layers[index], self.workspaces[index]
            gradient = layer.backward(
                p[index], g[index], self._inputs[index], self._outputs[index], gradient, ws
            )
        return gradient


class ImageStage:
    """Layers on images, run over N samples a block at a time.

    Blocks of one size share their scratch memory, whatever N is; each has its own memory for what its
    backward needs. `shapes` are the input shape (C, H, W) and the output shape of every layer.
    """

    def __init__(self, layers: Sequence[Layer], shapes: Sequence[Shape], learns: Sequence[bool], dtype: DTypeLike):
        self.layers, self.learns, self.dtype = layers, learns, np.dtype(dtype)
        self.output_shape = shapes[-1]
        self.block_size = max(1, BLOCK_BYTES // (max(map(prod, shapes)) * self.dtype.itemsize))
        self._temps: list[dict[Any, Any]] = [{} for _ in layers]
        self._chains: dict[tuple[int, int], Chain] = {}

    def _blocks(self, num_samples: int) -> Iterator[tuple[int, slice]]:
        for index, start in enumerate(range(0, num_samples, self.block_size)):
            yield index, slice(start, min(start + self.block_size, num_samples))

    def _chain(self, size: int, index: int) -> Chain:
        key = (size, index if size == self.block_size else 0)  # there is one shorter block at most
        if key not in self._chains:
            self._chains[key] = Chain(self.layers, self.dtype, self._temps, self.learns, False)
        return self._chains[key]

    def forward(
        self, p: Sequence[Tensors], x: Tensor, features: Tensor, training: bool, rng: np.random.Generator | None
    ) -> None:
        """x (N, C, H, W) -> features (D, N), where D runs over (C', H', W')."""
        columns = features.reshape(*self.output_shape, len(x))
        for index, block in self._blocks(len(x)):
            chain = self._chain(block.stop - block.start, index if training else 0)
            y = chain.forward(p, x[block].transpose(2, 3, 0, 1), training, rng)
            columns[..., block] = y.transpose(3, 0, 1, 2)

    def backward(
        self, p: Sequence[Tensors], g: Sequence[Tensors], partial: Sequence[Tensors], d_features: Tensor
    ) -> Iterator[int]:
        """Write the gradient of block 0 into `g`, those of the others into `partial`; yield after each, so
        that the caller can add `partial` to what it has."""
        channels, height, width = self.output_shape
        columns = d_features.reshape(*self.output_shape, d_features.shape[1])
        for index, block in self._blocks(d_features.shape[1]):
            size = block.stop - block.start
            chain = self._chain(size, index)
            dy = chain.workspaces[-1].temp("dy of the stage", (height, width, size, channels))
            np.copyto(dy, columns[..., block].transpose(1, 2, 3, 0))
            chain.backward(p, g if index == 0 else partial, dy)
            yield index


class VectorStage:
    """Layers on vectors (D, N), run over all samples at once; the memory for the last few N is kept."""

    def __init__(self, layers: Sequence[Layer], learns: Sequence[bool], dtype: DTypeLike, images_learn: bool):
        self.layers, self.learns, self.dtype, self.images_learn = layers, learns, np.dtype(dtype), images_learn
        self._chains: OrderedDict[int, Chain] = OrderedDict()

    def chain(self, num_samples: int) -> Chain:
        """The chain for N samples."""
        chain = self._chains.pop(num_samples, None)
        if chain is None:
            temps: list[dict[Any, Any]] = [{} for _ in self.layers]
            chain = Chain(self.layers, self.dtype, temps, self.learns, self.images_learn)
        self._chains[num_samples] = chain
        if len(self._chains) > RECENT_SIZES:
            self._chains.popitem(last=False)
        return chain
