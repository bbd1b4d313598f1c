"""Residual blocks: layers around which their input may pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.composite import Composite
from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace
from nnlite.nn.parameters import Shape


@dataclass(frozen=True)
class Residual(Composite):
    """y = body(x) + shortcut(x), or body(x) + x without a shortcut (He et al. 2015, arXiv:1512.03385).

    `body` and `shortcut`: layers in a row, or a single one, of any kind, also composites. Both must make the same
    shape.
    """

    body: Sequence[Layer]
    shortcut: Sequence[Layer] | None = None
    needs_output: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", _row(self.body, "body"))
        object.__setattr__(self, "shortcut", _row(self.shortcut or (), "shortcut") or None)
        if not self.body:
            raise StructureError("Residual: an empty body; wanted at least one layer")

    def inside(self) -> Mapping[str, Sequence[Layer]]:
        return {"": self.body, "shortcut": self.shortcut or ()}

    def output_shape(self, shape: Shape) -> Shape:
        rows = self.architectures(shape)
        body, shortcut = rows[""].output_shape, rows["shortcut"].output_shape
        if body != shortcut:
            hint = "" if self.shortcut else ": give a shortcut=, such as a Conv2D with a kernel of 1, that does, too"
            raise StructureError(f"Residual: the body makes {body} of {shape}, the shortcut {shortcut}{hint}")
        return body

    def combine(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        body, shortcut = ws.inner(""), ws.inner("shortcut")
        around, through = shortcut.forward(x), body.forward(x)
        y = through if body.may_overwrite_output else ws.output(through.shape)
        return np.add(through, around, out=y)

    def combine_backward(
        self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace
    ) -> Tensor | None:
        for_shortcut = ws.temp("dy of the shortcut", dy.shape)
        np.copyto(for_shortcut, dy)
        through, around = ws.inner("").backward(dy), ws.inner("shortcut").backward(for_shortcut)
        if through is None or around is None:  # nobody wants dx
            return None
        return np.add(through, around, out=through)


def _row(layers: Sequence[Layer] | Layer, name: str) -> tuple[Layer, ...]:
    row = (layers,) if isinstance(layers, Layer) else tuple(layers)
    for layer in row:
        if not isinstance(layer, Layer):
            raise StructureError(f"Residual: {layer!r:.80} in its {name}; wanted layers")
    return row
