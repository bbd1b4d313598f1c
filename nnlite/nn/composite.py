"""What a layer made of layers is: rows of layers, and how they go together."""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import ClassVar

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.architecture import Architecture
from nnlite.nn.engine.rows import Inner, Row, Rows
from nnlite.nn.layer import Layer, Parameter, Tensor, Tensors, Workspace, says
from nnlite.nn.parameters import Shape


class Composite(Layer):
    """Base class. A composite is a frozen dataclass whose fields hold layers; `inside` names the rows of layers that it
    is made of, and `combine` and `combine_backward` are its forward and backward, with the rows at hand as
    `ws.inner(name)`.

    The parameters of a row are the composite's, named ``row/conv1/weight``, or ``conv1/weight`` in the row "". The
    order of steps, their preparation and their memory are planned inside a row as they are in a network.
    """

    is_root: ClassVar[bool] = True
    _rows: Rows | None = None  # in the step that stands for this layer: its rows, planned for a shape

    def combine(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        """y for a block x, by way of `ws.inner(name).forward`. Read x only: all rows may need it."""
        raise TypeError(f"{type(self).__name__} must define combine()")

    def combine_backward(
        self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace
    ) -> Tensor | None:
        """dx, by way of `ws.inner(name).backward`, which writes the gradients of the row's parameters and may
        overwrite the dy that it is given."""
        raise TypeError(f"{type(self).__name__} must define combine_backward()")

    # ---- the layer

    def architectures(self, shape: Shape) -> dict[str, Architecture]:
        """Names, shapes and parameters inside each row, for inputs of `shape`. Raises StructureError."""
        found = {name: Architecture.of(layers, shape) for name, layers in self.inside().items()}
        for name, row in found.items():
            if len(row.output_shape) != len(shape):
                where = f"in the row {name!r}" if name else "inside"
                raise StructureError(f"Flatten() {where} would end the images {shape}: put it behind")
        return found

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        return {
            f"{name}/{key}" if name else key: parameter
            for name, row in self.architectures(shape).items()
            for key, parameter in row.named_parameters()
        }

    def multiply_adds(self, shape: Shape) -> int:
        return sum(row.multiply_adds for row in self.architectures(shape).values())

    def draw_input(self, shape: Shape, rng: np.random.Generator) -> Tensor:
        choosy = (layer for row in self.inside().values() for layer in row if says(layer, "whole_numbers"))
        first = next(choosy, None)
        return super().draw_input(shape, rng) if first is None else first.draw_input(shape, rng)

    def steps(self, shape: Shape) -> tuple[Layer]:
        """This layer, planned for images of `shape`."""
        step = copy(self)
        object.__setattr__(step, "_rows", {name: Row(name, row, shape) for name, row in self.inside().items()})
        return (step,)

    def prepare(self, p: Tensors, ws: Workspace) -> Tensors:
        prepared = dict(p)
        for row in (self._rows or {}).values():
            prepared.update(row.prepare(p, _workspaces(row, ws)))
        return prepared

    def collect(self, d: Tensors, g: Tensors, ws: Workspace) -> None:
        rows = (self._rows or {}).values()
        of_rows = {name for row in rows for name in row.names()}
        super().collect({name: tensor for name, tensor in d.items() if name not in of_rows}, g, ws)
        for row in rows:
            row.collect(d, g, _workspaces(row, ws))

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        if self._rows is None:
            step = self._step(x, ws)
            return step.forward(step.prepare(p, ws), x, ws)
        for row in self._rows.values():
            ws.add_inner(row.name, partial(Inner, row, ws)).bind(p)
        return self.combine(p, x, ws)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor | None:
        if self._rows is None:
            return self._backward_of_step(p, g, x, y, dy, ws)
        for row in self._rows.values():
            ws.inner(row.name).bind(p, g)
        return self.combine_backward(p, g, x, y, dy, ws)

    # ---- on its own, without a stage that prepares and collects for a minibatch

    def _step(self, x: Tensor, ws: Workspace) -> Layer:
        shape = (x.shape[3], *x.shape[:2]) if x.ndim == 4 else x.shape[:1]
        return ws.once(f"step for {shape}", lambda: self.steps(shape)[0])

    def _backward_of_step(
        self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace
    ) -> Tensor | None:
        step = self._step(x, ws)
        prepared = step.prepare(p, ws)
        d = {n: g[n] if prepared[n] is p[n] else ws.temp(f"d {n}", prepared[n].shape) for n in prepared if n in g}
        dx = step.backward(prepared, d, x, y, dy, ws)
        step.collect(d, g, ws)
        return dx


def _workspaces(row: Row, ws: Workspace) -> list[Workspace]:
    """Those in which the steps of a row prepare."""
    return ws.once(f"preparing {row.name}", lambda: [Workspace(ws.dtype, {}) for _ in row.steps])
