"""The two halves of a network at work: image layers block by block, vector layers on the whole batch.

Everything before `Flatten` treats each image alone, so it runs on blocks of a few images whose activations
stay in cache; everything behind it runs once on all N samples. Both are a chain of layers with memory.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.nn.engine.block_gradients import BlockGradients
from nnlite.nn.engine.chain import Chain
from nnlite.nn.engine.order import plan
from nnlite.nn.engine.threads import Threads, in_turns
from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace, says
from nnlite.nn.parameters import Shape

BLOCK_BYTES = 1_400_000  # of the largest activation in a block of images: what a core keeps near itself
RECENT_SIZES = 4  # batch sizes whose memory is kept: the full batch, the tail, and the same for evaluation

Parallel = Callable[[Callable[[int], None]], None]  # run work(thread) for every thread


class ImageStage:
    """Layers on images, run over N samples a block at a time.

    Blocks of one size share their scratch memory, whatever N is; each has its own memory for what its
    backward needs. `shapes` are the input shape (C, H, W) and the output shape of every layer. With several
    threads, block b belongs to thread b % threads, so that the sums of a thread are always the same sums.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        shapes: Sequence[Shape],
        learns: Sequence[bool],
        dtype: DTypeLike,
        threads: int = 1,
    ):
        self.dtype, self.output_shape, self.threads = np.dtype(dtype), shapes[-1], threads
        self.steps = plan(layers, shapes[:-1])
        self.layers = [step.layer for step in self.steps]
        self.learns = [learns[step.owner] for step in self.steps]
        self.block_size = max(1, BLOCK_BYTES // (_largest(self.layers, shapes[0]) * self.dtype.itemsize))
        self._temps: list[list[dict[Any, Any]]] = [[{} for _ in self.steps] for _ in range(threads)]
        self._preparing = [Workspace(dtype, {}) for _ in self.steps]
        self._chains: dict[tuple[int, int, int], Chain] = {}
        self._sums: BlockGradients | None = None
        self._prepared: list[Tensors] = []

    def _blocks(self, num_samples: int, thread: int) -> list[tuple[int, slice]]:
        """(number, samples) of the blocks of one thread."""
        size = min(self.block_size, -(-num_samples // self.threads))
        starts = list(enumerate(range(0, num_samples, size)))[thread :: self.threads]
        return [(index, slice(start, min(start + size, num_samples))) for index, start in starts]

    def _chain(self, size: int, index: int) -> Chain:
        thread = index % self.threads
        key = (size, index if size == self.block_size else 0, thread)  # there is one shorter block a thread at most
        if key not in self._chains:
            self._chains[key] = Chain(self.layers, self.dtype, self._temps[thread], self.learns, False)
        return self._chains[key]

    def forward(
        self,
        p: Sequence[Tensors],
        x: Tensor,
        features: Tensor,
        training: bool,
        rng: np.random.Generator | None,
        parallel: Parallel,
    ) -> None:
        """x (N, C, H, W) -> features (D, N), where D runs over (C', H', W')."""
        columns = features.reshape(*self.output_shape, len(x))
        self._prepared = prepared = [
            step.layer.prepare(p[step.owner], ws) for step, ws in zip(self.steps, self._preparing, strict=True)
        ]

        def run(thread: int) -> None:
            for index, block in self._blocks(len(x), thread):
                chain = self._chain(block.stop - block.start, index if training else thread)
                y = chain.forward(prepared, x[block].transpose(2, 3, 0, 1), training, rng)
                columns[..., block] = y.transpose(3, 0, 1, 2)

        if training and any(says(layer, "random") for layer in self.layers):
            in_turns(self.threads, run)  # one generator, always asked in the same order
        else:
            parallel(run)

    def backward(self, g: Sequence[Tensors], d_features: Tensor, parallel: Parallel) -> None:
        """Write the gradients of the minibatch that went forward last into `g`."""
        channels, height, width = self.output_shape
        num_samples = d_features.shape[1]
        columns = d_features.reshape(*self.output_shape, num_samples)
        if self._sums is None:
            learned = [
                {name: d[name] for name in d if name in g[step.owner]}
                for step, d in zip(self.steps, self._prepared, strict=True)
            ]
            self._sums = BlockGradients(learned, self.threads, self.dtype)
        sums = self._sums

        def run(thread: int) -> None:
            for index, block in self._blocks(num_samples, thread):
                size = block.stop - block.start
                chain = self._chain(size, index)
                dy = chain.workspaces[-1].temp("dy of the stage", (height, width, size, channels))
                np.copyto(dy, columns[..., block].transpose(1, 2, 3, 0))
                with sums.block(thread, is_first=index == thread) as d:
                    chain.backward(self._prepared, d, dy)

        parallel(run)
        totals = sums.total(sum(bool(self._blocks(num_samples, thread)) for thread in range(self.threads)))
        for step, ws, d in zip(self.steps, self._preparing, totals, strict=True):
            step.layer.collect(d, g[step.owner], ws)


def _largest(layers: Sequence[Layer], shape: Shape) -> int:
    """Numbers in the largest activation of one image of `shape`, inside layers, too."""
    largest = prod(shape)
    for layer in layers:
        inside = [_largest(row, shape) for row in layer.inside().values()]
        shape = layer.output_shape(shape)
        largest = max(largest, prod(shape), *inside)
    return largest


class VectorStage:
    """Layers on vectors (D, N), run over all samples at once; the memory for the last few N is kept."""

    def __init__(
        self,
        layers: Sequence[Layer],
        learns: Sequence[bool],
        dtype: DTypeLike,
        images_learn: bool,
        threads: Threads,
    ):
        self.layers, self.learns, self.dtype, self.images_learn = layers, learns, np.dtype(dtype), images_learn
        self.threads = threads
        self._chains: OrderedDict[int, Chain] = OrderedDict()

    def chain(self, num_samples: int) -> Chain:
        """The chain for N samples."""
        chain = self._chains.pop(num_samples, None)
        if chain is None:
            temps: list[dict[Any, Any]] = [{} for _ in self.layers]
            chain = Chain(self.layers, self.dtype, temps, self.learns, self.images_learn)
            for ws in chain.workspaces:
                ws.threads = self.threads
        self._chains[num_samples] = chain
        if len(self._chains) > RECENT_SIZES:
            self._chains.popitem(last=False)
        return chain
