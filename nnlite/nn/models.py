"""The networks of cases a, b, c and emnist, for any input shape and number of classes."""

from __future__ import annotations

from collections.abc import Sequence

from nnlite.errors import StructureError
from nnlite.nn.initializers import Constant, Glorot, Initializer, Normal
from nnlite.nn.layer import Layer
from nnlite.nn.layers.activations import ReLU, Tanh
from nnlite.nn.layers.conv import Conv2D
from nnlite.nn.layers.dense import Dense
from nnlite.nn.layers.dropout import Dropout
from nnlite.nn.layers.flatten import Flatten
from nnlite.nn.layers.lrn import LocalResponseNorm
from nnlite.nn.layers.pool import MaxPool2D
from nnlite.nn.losses import HalfSquaredError
from nnlite.nn.network import Sequential
from nnlite.nn.parameters import Shape


def bits_mlp(input_shape: Shape = (20,), hidden: Sequence[int] = (100,) * 5) -> Sequential:
    """Case a: an MLP 20-100-100-100-100-100-1 with tanh, ½ (output - target)² on targets of ±1."""
    layers: list[Layer] = []
    for units in hidden:
        layers += [Dense(units, Glorot()), Tanh()]
    layers += [Dense(1, Glorot()), Tanh()]
    return Sequential(layers, input_shape, HalfSquaredError())


def cifar_cnn(input_shape: Shape = (3, 32, 32), num_classes: int = 10) -> Sequential:
    """Case b: two convolutions with pooling and local response normalization, three dense layers."""
    narrow, wide = Normal(0.05), Normal(0.04)
    return Sequential(
        [
            Conv2D(64, 5, weight=narrow),
            ReLU(),
            MaxPool2D(3, 2),
            LocalResponseNorm(),
            Conv2D(64, 5, weight=narrow, bias=Constant(0.1)),
            ReLU(),
            LocalResponseNorm(),
            MaxPool2D(3, 2),
            Flatten(),
            Dense(384, wide, Constant(0.1)),
            ReLU(),
            Dense(192, wide, Constant(0.1)),
            ReLU(),
            Dense(num_classes, Normal(1 / 192)),
        ],
        input_shape,
    )


def mlp(input_shape: Shape = (1, 28, 28), num_classes: int = 10, hidden: Sequence[int] = (64, 64)) -> Sequential:
    """Case c: an MLP with ReLU and one to three hidden layers of 10 to 100 units (any number is allowed)."""
    if not hidden:
        raise StructureError("mlp: give at least one hidden layer")
    layers: list[Layer] = [Flatten()]
    for units in hidden:
        layers += [Dense(units), ReLU()]
    return Sequential([*layers, Dense(num_classes, Glorot())], input_shape)


def emnist_mlp(
    input_shape: Shape = (1, 28, 28), num_classes: int = 47, hidden: int = 100, dropout_rate: float = 0.2
) -> Sequential:
    """Case emnist: 784-100-47 with tanh and dropout."""
    weight: Initializer = Glorot()
    return Sequential(
        [Flatten(), Dense(hidden, weight), Tanh(), Dropout(dropout_rate), Dense(num_classes, weight)], input_shape
    )
