"""Networks for any input shape and number of classes: those of cases a, b, c, emnist and r, and well-known ones."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from nnlite.errors import StructureError
from nnlite.nn.initializers import Constant, Glorot, Initializer, Normal
from nnlite.nn.layer import Layer
from nnlite.nn.layers.activations import ReLU, Tanh
from nnlite.nn.layers.average_pool import AveragePool2D, GlobalAveragePool2D
from nnlite.nn.layers.conv import Conv2D
from nnlite.nn.layers.dense import Dense
from nnlite.nn.layers.dropout import Dropout
from nnlite.nn.layers.flatten import Flatten
from nnlite.nn.layers.lrn import LocalResponseNorm
from nnlite.nn.layers.normalization import GroupNorm
from nnlite.nn.layers.pool import MaxPool2D
from nnlite.nn.layers.residual import Residual
from nnlite.nn.losses import HalfSquaredError, Hinge, MeanSquaredError, SoftmaxCrossEntropy
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


def suited(input_shape: Shape, num_classes: int, hidden: Sequence[int] = (100,)) -> Sequential:
    """What suits rows of any kind: an MLP with ReLU for numbers, with convolutions before it for images.

    num_classes: 0 for amounts, with one output and the squared error; 1 for a target of ±1, with half of that. Images
    are halved by each of two or three convolutions, as long as they have 8 pixels a side.
    """
    layers: list[Layer] = []
    if len(input_shape) == 3:
        for stage, filters in enumerate((16, 32, 64)):
            is_large = min(input_shape[1:]) >= 8 * 2**stage
            if is_large or stage < 2:
                layers += [Conv2D(filters, 3), ReLU()]
            if is_large:
                layers.append(MaxPool2D(2, 2))
    layers.append(Flatten())
    for units in hidden:
        layers += [Dense(units), ReLU()]
    if num_classes == 0:
        return Sequential([*layers, Dense(1, Glorot())], input_shape, MeanSquaredError())
    if num_classes == 1:
        return Sequential([*layers, Dense(1, Glorot()), Tanh()], input_shape, HalfSquaredError())
    return Sequential([*layers, Dense(num_classes, Glorot())], input_shape)


def emnist_mlp(
    input_shape: Shape = (1, 28, 28), num_classes: int = 47, hidden: int = 100, dropout_rate: float = 0.2
) -> Sequential:
    """Case emnist: 784-100-47 with tanh and dropout."""
    weight: Initializer = Glorot()
    return Sequential(
        [Flatten(), Dense(hidden, weight), Tanh(), Dropout(dropout_rate), Dense(num_classes, weight)], input_shape
    )


def airbench(
    input_shape: Shape = (3, 32, 32), num_classes: int = 10, widths: Sequence[int] = (24, 32, 128, 128), groups: int = 8
) -> Sequential:
    """Case r: a convolution, then blocks of two with a pooling between, as in airbench94 (Jordan 2024,
    arXiv:2404.00498), but narrow, and with group normalization of standardized weights.

    widths: filters of the first convolution and of each block.
    """
    if not widths:
        raise StructureError("airbench: give at least one width")
    layers = _normalized(Conv2D(widths[0], 3), widths[0], groups)
    for filters in widths[1:]:
        first, second = (_normalized(Conv2D(filters, 3, standardized=True), filters, groups) for _ in range(2))
        layers += [first[0], MaxPool2D(2, 2), *first[1:], *second]
    layers += [GlobalAveragePool2D(), Flatten(), Dense(num_classes, Glorot())]
    return Sequential(layers, input_shape, SoftmaxCrossEntropy(label_smoothing=0.1))


def linear(input_shape: Shape = (1, 28, 28), num_classes: int = 10) -> Sequential:
    """Logistic regression: one dense layer, from zero, with softmax cross-entropy."""
    return Sequential([Flatten(), Dense(num_classes, Constant(0.0))], input_shape)


def svm(input_shape: Shape = (1, 28, 28), num_classes: int = 10, squared: bool = True) -> Sequential:
    """A linear support vector machine, each class against the rest: the optimizer's weight_decay is its 1 / (N C)."""
    return Sequential([Flatten(), Dense(num_classes, Constant(0.0))], input_shape, Hinge(squared))


def lenet(input_shape: Shape = (1, 28, 28), num_classes: int = 10) -> Sequential:
    """LeNet-5: two convolutions with tanh and average-pooling, three dense layers (LeCun et al. 1998)."""
    weight = Glorot()
    return Sequential(
        [
            *(Conv2D(6, 5, weight=weight), Tanh(), AveragePool2D(2, 2)),
            *(Conv2D(16, 5, padding="valid", weight=weight), Tanh(), AveragePool2D(2, 2)),
            *(Flatten(), Dense(120, weight), Tanh(), Dense(84, weight), Tanh(), Dense(num_classes, weight)),
        ],
        input_shape,
    )


def vgg11(input_shape: Shape = (3, 32, 32), num_classes: int = 10, width: int = 64, groups: int = 8) -> Sequential:
    """VGG-11 for small images: eight 3x3 convolutions in five stages, each halved by a pooling, and one dense layer
    (Simonyan & Zisserman 2014, arXiv:1409.1556), with group normalization."""
    layers: list[Layer] = []
    for filters, count in ((1, 1), (2, 1), (4, 2), (8, 2), (8, 2)):
        for _ in range(count):
            layers += _normalized(Conv2D(filters * width, 3), filters * width, groups)
        layers.append(MaxPool2D(2, 2))
    return Sequential([*layers, Flatten(), Dense(num_classes, Glorot())], input_shape)


def resnet(
    input_shape: Shape = (3, 32, 32), num_classes: int = 10, depth: int = 14, width: int = 16, groups: int = 8
) -> Sequential:
    """ResNet-8, 14, 20, ... for CIFAR: three stages of `width`, 2 `width` and 4 `width` filters (He et al. 2015,
    arXiv:1512.03385, section 4.2), with group normalization. depth: 6 n + 2, for n blocks a stage.

    The last normalization of a block begins with a gain of zero, so that each block begins as its shortcut (Goyal et
    al. 2017, arXiv:1706.02677).
    """
    if depth < 8 or depth % 6 != 2:
        raise StructureError(f"resnet: depth {depth}; wanted 8, 14, 20 or another 6 n + 2")
    layers, channels = _normalized(Conv2D(width, 3), width, groups), width
    for stage in range(3):
        for block in range((depth - 2) // 6):
            stride, filters = (2 if stage > 0 and block == 0 else 1), width * 2**stage
            body = [
                *_normalized(Conv2D(filters, 3, stride), filters, groups),
                Conv2D(filters, 3),
                GroupNorm(gcd(groups, filters), gain=Constant(0.0)),
            ]
            around = [Conv2D(filters, 1, stride), GroupNorm(gcd(groups, filters))]
            layers += [Residual(body, around if filters != channels else None), ReLU()]
            channels = filters
    return Sequential([*layers, GlobalAveragePool2D(), Flatten(), Dense(num_classes, Glorot())], input_shape)


def mobilenet(input_shape: Shape = (3, 32, 32), num_classes: int = 10, width: int = 32, groups: int = 8) -> Sequential:
    """A small MobileNet: depthwise 3x3 and pointwise convolutions by turns (Howard et al. 2017, arXiv:1704.04861), with
    group normalization."""
    layers, channels = _normalized(Conv2D(width, 3), width, groups), width
    for filters, stride in ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1)):
        depthwise = Conv2D(channels, 3, stride, groups=channels)
        layers += _normalized(depthwise, channels, groups)
        channels = filters * width
        layers += _normalized(Conv2D(channels, 1), channels, groups)
    return Sequential([*layers, GlobalAveragePool2D(), Flatten(), Dense(num_classes, Glorot())], input_shape)


def _normalized(convolution: Conv2D, filters: int, groups: int) -> list[Layer]:
    """A convolution, its normalization and its ReLU; as many groups as `filters` can be shared out to."""
    return [convolution, GroupNorm(gcd(groups, filters)), ReLU()]
