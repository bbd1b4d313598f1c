"""An architecture: layers in a row, with the names, shapes and parameters that follow from the shape of the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nnlite.errors import StructureError
from nnlite.nn.layer import Layer, Parameter, says
from nnlite.nn.layers.flatten import Flatten
from nnlite.nn.parameters import Shape

SHORT = {  # names of kinds, where not the class's
    "Conv2D": "conv",
    "MaxPool2D": "pool",
    "AveragePool2D": "averagepool",
    "GlobalAveragePool2D": "globalpool",
    "LocalResponseNorm": "lrn",
}


@dataclass(frozen=True)
class Architecture:
    """Layers in a row for samples of `input_shape`, (C, H, W) or (D,)."""

    layers: tuple[Layer, ...]
    input_shape: Shape
    names: tuple[str, ...]
    shapes: tuple[Shape, ...]  #: output shape of every layer
    parameters: tuple[dict[str, Parameter], ...]  #: what every layer learns

    @classmethod
    def of(cls, layers: Sequence[Layer], input_shape: Shape) -> Architecture:
        """Infer all shapes. Raises StructureError, with the layer's name, where they do not fit."""
        names, shape, shapes, parameters = _names(layers), input_shape, [], []
        for index, (name, layer) in enumerate(zip(names, layers, strict=True)):
            try:
                _check_batch(layer, shape)
                _check_place(layer, layers[:index])
                parameters.append(layer.parameters(shape))
                shape = _output_shape(layer, shape)
            except StructureError as error:
                raise StructureError(f"layer {name}: {error}") from None
            shapes.append(shape)
        return cls(tuple(layers), input_shape, tuple(names), tuple(shapes), tuple(parameters))

    @property
    def input_shapes(self) -> tuple[Shape, ...]:
        """Input shape of every layer."""
        return (self.input_shape, *self.shapes[:-1]) if self.shapes else ()

    @property
    def output_shape(self) -> Shape:
        """Shape of one output."""
        return self.shapes[-1] if self.shapes else self.input_shape

    @property
    def learns(self) -> tuple[bool, ...]:
        """Which layers have parameters."""
        return tuple(bool(parameters) for parameters in self.parameters)

    @property
    def multiply_adds(self) -> int:
        """Of all layers, for one sample."""
        return sum(layer.multiply_adds(shape) for layer, shape in zip(self.layers, self.input_shapes, strict=True))

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """("conv1/weight", its parameter) and so on, in the order in which they lie in the vector."""
        for name, parameters in zip(self.names, self.parameters, strict=True):
            for key, parameter in parameters.items():
                yield f"{name}/{key}", parameter


def _check_batch(layer: Layer, shape: Shape) -> None:
    if layer.whole_batch and len(shape) == 3:
        raise StructureError(
            f"{type(layer).__name__} needs the whole batch, and layers on images see it block by block: put it "
            "behind Flatten()"
        )


def _check_place(layer: Layer, before: Sequence[Layer]) -> None:
    if says(layer, "whole_numbers") and any(type(one) is not Flatten for one in before):
        raise StructureError(
            f"{type(layer).__name__} wants the whole numbers of the data itself, which have no gradient: put it first"
        )


def _output_shape(layer: Layer, shape: Shape) -> Shape:
    made = layer.output_shape(shape)
    if len(made) != len(shape) and type(layer) is not Flatten:
        raise StructureError(
            f"makes {made} of {shape}, but only Flatten() turns images into vectors: return (C, 1, 1) and put "
            "Flatten() behind it"
        )
    return made


def _names(layers: Sequence[Layer]) -> list[str]:
    """conv1, relu1, conv2, ...: the kind of layer and its number among its kind."""
    counts: dict[str, int] = {}
    names = []
    for layer in layers:
        kind = type(layer).__name__
        name = SHORT.get(kind, kind.lower())
        counts[name] = counts.get(name, 0) + 1
        names.append(f"{name}{counts[name]}")
    return names
