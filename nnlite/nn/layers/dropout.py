"""Dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.layer import Layer, Tensor, Tensors, Workspace


@dataclass(frozen=True)
class Dropout(Layer):
    """While training, drop a fraction `rate` of the features and scale the rest by 1 / (1 - rate).

    "Inverted" dropout (Srivastava et al. 2014): nothing is done while predicting. Forward and backward use
    the one mask that forward drew.
    """

    rate: float
    needs_input: ClassVar[bool] = False
    in_place: ClassVar[bool] = True
    needs_output: ClassVar[bool] = False
    may_return_input: ClassVar[bool] = True
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise StructureError(f"Dropout rate is the fraction dropped, in [0, 1): got {self.rate}")

    def forward(self, p: Tensors, x: Tensor, ws: Workspace) -> Tensor:
        if not ws.training:
            return x
        if ws.rng is None:
            raise StructureError("a network with Dropout needs rng= while training")
        mask = ws.keep("mask", x.shape)
        ws.rng.random(dtype=mask.dtype.type, out=mask)
        np.greater_equal(mask, self.rate, out=mask)
        np.multiply(mask, mask.dtype.type(1 / (1 - self.rate)), out=mask)
        y = x if ws.may_overwrite_input else ws.output(x.shape)
        return np.multiply(x, mask, out=y)

    def backward(self, p: Tensors, g: Tensors, x: Tensor, y: Tensor, dy: Tensor, ws: Workspace) -> Tensor:
        return np.multiply(dy, ws.keep("mask", dy.shape), out=dy)
