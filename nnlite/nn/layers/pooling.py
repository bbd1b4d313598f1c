"""What pooling layers share: windows along both axes of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nnlite.errors import StructureError
from nnlite.nn.convolution.window import Window
from nnlite.nn.layer import Layer
from nnlite.nn.parameters import Shape


@dataclass(frozen=True)
class Pool2D(Layer, described=False):
    """Base of layers that make one entry of every window: x (H, W, n, C) -> y (H', W', n, C)."""

    kernel: int
    stride: int
    padding: str = "same"
    needs_input: ClassVar[bool] = False
    needs_output: ClassVar[bool] = False

    def windows(self, shape: Shape) -> tuple[Window, Window]:
        """The windows along H and W for images of `shape` (C, H, W)."""
        name = type(self).__name__
        if len(shape) != 3:
            raise StructureError(f"{name} wants images (C, H, W), got {shape}")
        rows, columns = (Window.along(size, self.kernel, self.stride, self.padding, name) for size in shape[1:])
        return rows, columns

    def output_shape(self, shape: Shape) -> Shape:
        rows, columns = self.windows(shape)
        return (shape[0], rows.count, columns.count)
