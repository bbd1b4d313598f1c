"""Steps in a row with their memory, for one block of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace


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
        kept = True  # whether the following layer's output is kept; the layer after the chain may read it
        for index in reversed(range(len(self.layers))):
            layer, ws = self.layers[index], self.workspaces[index]
            inherits = (
                following is not None
                and kept
                and (self.workspaces[index + 1].may_overwrite_input or following.may_return_input)
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
            gradient = layer.backward(p[index], g[index], self._inputs[index], self._outputs[index], gradient, ws)
        return gradient
