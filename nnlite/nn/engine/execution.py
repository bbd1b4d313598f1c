"""A network at work: its two stages, their memory, and the way of a minibatch through them and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.nn.architecture import Architecture
from nnlite.nn.engine.stages import ImageStage, VectorStage
from nnlite.nn.engine.threads import Threads
from nnlite.nn.layer import Tensor
from nnlite.nn.layers.flatten import Flatten
from nnlite.nn.parameters import Layout, Shape, aligned_empty

Views = list[dict[str, Tensor]]


class Execution:
    """An architecture bound to memory of one dtype. `layout`: that of its parameter vector."""

    def __init__(self, architecture: Architecture, layout: Layout, dtype: DTypeLike, threads: int):
        self.architecture, self.layout, self.dtype = architecture, layout, np.dtype(dtype)
        layers, learns = architecture.layers, architecture.learns
        self.cut = cut = _image_layers(architecture)  #: how many layers work on images
        shapes = [architecture.input_shape, *architecture.shapes[:cut]]
        self.images = ImageStage(layers[:cut], shapes, learns[:cut], dtype, threads) if cut else None
        self.parallel = Threads(threads)
        self.vectors = VectorStage(layers[cut:], learns[cut:], dtype, any(learns[:cut]), self.parallel)
        self._arrays: dict[Any, Tensor] = {}
        self._views: dict[str, tuple[Tensor, Views]] = {}

    def array(self, name: str, shape: Shape) -> Tensor:
        """Scratch memory by name; only the first `shape[-1]` columns change with the batch."""
        rows, columns = shape
        memory = self._arrays.get(name)
        if memory is None or memory.size < rows * columns:
            memory = self._arrays[name] = aligned_empty(rows * columns, self.dtype)
        return memory[: rows * columns].reshape(shape)

    def views(self, role: str, vector: Tensor) -> Views:
        """Parameters by layer, remembered while the same array comes again in the same role."""
        known = self._views.get(role)
        if known is None or known[0] is not vector:
            tensors = self.layout.views(vector)
            views: Views = [
                {key: tensors[f"{name}/{key}"] for key in parameters}
                for name, parameters in zip(self.architecture.names, self.architecture.parameters, strict=True)
            ]
            known = self._views[role] = (vector, views)
        return known[1]

    def forward(self, vector: Tensor, x: Tensor, training: bool, rng: np.random.Generator | None) -> Tensor:
        """Outputs (K, N) for x (N, *input_shape), in memory that the next call uses again."""
        p = self.views("weights", vector)
        if self.images is None:
            features = x.reshape(len(x), -1).T
        else:
            rows = int(np.prod(self.images.output_shape))
            features = self.array("features", (rows, len(x)))
            self.images.forward(p[: self.cut], x, features, training, rng, self.parallel)
        return self.vectors.chain(len(x)).forward(p[self.cut :], features, training, rng)

    def backward(self, vector: Tensor, gradient: Tensor, d_outputs: Tensor) -> None:
        """Write the gradient (P,) of the minibatch that went forward last."""
        p, g = self.views("weights", vector), self.views("gradient", gradient)
        chain = self.vectors.chain(d_outputs.shape[1])
        d_features = chain.backward(p[self.cut :], g[self.cut :], d_outputs)
        if self.images is None or d_features is None:
            return
        self.images.backward(g[: self.cut], d_features, self.parallel)


def _image_layers(architecture: Architecture) -> int:
    """How many layers come before the first Flatten, on images; 0 if the input can be read as vectors."""
    if len(architecture.input_shape) != 3:
        return 0
    kinds = [type(layer) for layer in architecture.layers]
    return kinds.index(Flatten) if Flatten in kinds else len(kinds)
