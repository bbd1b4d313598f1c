"""The same network in PyTorch: modules, weights, losses and optimizers, and gradients in nnlite's layout.

>>> twin = TorchTwin(network, weights)              # float32 or float64, as the vector is
>>> loss = twin.loss_and_gradient(x, y)             # x, y as nnlite wants them
>>> twin.gradient()                                 # (P,), comparable with nnlite's

Benchmarks use `twin.module` and `twin.loss` directly.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf

import numpy as np
import torch
from torch import Tensor, nn

from nnlite import nn as lite
from nnlite.nn.architecture import Architecture

TORCH_NAMES = {"weight": "weight", "gain": "weight", "bias": "bias"}


class TorchTwin:
    """A `Sequential` of nnlite as a `torch.nn.Sequential` that computes the same."""

    def __init__(self, network: lite.Sequential, weights: np.ndarray):
        self.network = network
        self.dtype = torch.from_numpy(weights[:0].copy()).dtype
        self.module, self._learning = row_of(network.architecture)
        self.module.to(self.dtype)
        self.loss = loss_of(network.loss)
        self.load(weights)

    def load(self, weights: np.ndarray) -> None:
        """Copy an nnlite vector (P,) into the modules."""
        views = self.network.layout.views(weights)
        with torch.no_grad():
            for name, module in self._learning.items():
                for key in self._keys(name):
                    getattr(module, TORCH_NAMES[key]).copy_(_to_torch(views[f"{name}/{key}"], module))

    def loss_and_gradient(self, x: np.ndarray, y: np.ndarray) -> float:
        """Mean loss of a minibatch in nnlite's shapes; the gradients are left in the parameters."""
        self.module.zero_grad(set_to_none=True)
        outputs = self.module(torch.from_numpy(x))
        loss = self.loss(outputs, self.targets(y))
        loss.backward()
        return loss.item()

    def targets(self, y: np.ndarray) -> Tensor:
        """Labels or targets as the torch loss wants them."""
        if isinstance(self.network.loss, (lite.SoftmaxCrossEntropy, lite.Hinge)):
            return torch.from_numpy(y.astype(np.int64))
        return torch.from_numpy(y.astype(np.float64)).to(self.dtype)

    def weights(self) -> np.ndarray:
        """The parameters as an nnlite vector (P,)."""
        return self._vector(lambda parameter: parameter)

    def gradient(self) -> np.ndarray:
        """The gradients of the last `loss_and_gradient` as an nnlite vector (P,)."""
        return self._vector(lambda parameter: parameter.grad)

    def _vector(self, what: Callable[[Tensor], Tensor]) -> np.ndarray:
        vector = np.empty(self.network.layout.size, torch.empty(0, dtype=self.dtype).numpy().dtype)
        views = self.network.layout.views(vector)
        for name, module in self._learning.items():
            for key in self._keys(name):
                views[f"{name}/{key}"][...] = _from_torch(what(getattr(module, TORCH_NAMES[key])), module)
        return vector

    def _keys(self, name: str) -> list[str]:
        return [key for key in TORCH_NAMES if f"{name}/{key}" in self.network.layout]


def row_of(architecture: Architecture) -> tuple[nn.Sequential, dict[str, nn.Module]]:
    """Layers in a row, and what learns in them by nnlite's names."""
    modules: list[nn.Module] = []
    learning: dict[str, nn.Module] = {}
    for name, layer, shape in zip(architecture.names, architecture.layers, architecture.input_shapes, strict=True):
        parts = module_of(layer, shape)
        modules += parts
        if isinstance(parts[-1], Added):
            learning |= {f"{name}/{inner}": module for inner, module in parts[-1].learning.items()}
        elif layer.parameters(shape):
            learning[name] = parts[-1]
    return nn.Sequential(*modules), learning


class Added(nn.Module):
    """A residual block."""

    def __init__(self, layer: lite.Residual, shape: tuple[int, ...]):
        super().__init__()
        rows = layer.architectures(shape)
        self.body, self.learning = row_of(rows[""])
        self.shortcut, around = row_of(rows["shortcut"])
        self.learning |= {f"shortcut/{name}": module for name, module in around.items()}

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.clone()) + self.shortcut(x)


class MeanOfWindows(nn.Module):
    """Average-pooling whose padding counts for nothing, also where it is not the same on both sides."""

    def __init__(self, layer: lite.AveragePool2D, shape: tuple[int, ...]):
        super().__init__()
        before_after = [_padding(size, layer) for size in shape[1:]]
        self.pad = nn.ZeroPad2d((*before_after[1], *before_after[0]))
        self.sum = nn.AvgPool2d(layer.kernel, layer.stride, divisor_override=1)
        self.register_buffer("counts", self.sum(self.pad(torch.ones(1, 1, *shape[1:]))), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.sum(self.pad(x)) / self.counts


class StandardizedConv2d(nn.Conv2d):
    """With weight standardization."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, _standardized(self.weight), self.bias)


class StandardizedLinear(nn.Linear):
    """With weight standardization."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, _standardized(self.weight), self.bias)


def _standardized(weight: Tensor) -> Tensor:
    """A batch normalization of the filters, taken as channels, normalizes them."""
    rows = weight.reshape(1, len(weight), -1)
    return nn.functional.batch_norm(rows, None, None, training=True, eps=1e-5).reshape(weight.shape)


class Vectors(nn.Embedding):
    """Of whole numbers that travel as floats, as everything does in nnlite."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.long()).flatten(1)


def module_of(layer: lite.Layer, shape: tuple[int, ...]) -> list[nn.Module]:
    """The modules of one layer for samples of `shape`; what learns comes last."""
    match layer:
        case lite.Dense():
            return [(StandardizedLinear if layer.standardized else nn.Linear)(shape[0], layer.units)]
        case lite.Embedding():
            return [Vectors(layer.count, layer.features)]
        case lite.ReLU():
            return [nn.ReLU()]
        case lite.Tanh():
            return [nn.Tanh()]
        case lite.LeakyReLU():
            return [nn.LeakyReLU(layer.slope)]
        case lite.Sigmoid():
            return [nn.Sigmoid()]
        case lite.SiLU():
            return [nn.SiLU()]
        case lite.GELU():
            return [nn.GELU(approximate="tanh")]
        case lite.Softplus():
            return [nn.Softplus()]
        case lite.ELU():
            return [nn.ELU(layer.alpha)]
        case lite.GroupNorm():
            return [nn.GroupNorm(layer.groups, shape[0], layer.epsilon)]
        case lite.LayerNorm():
            return [nn.LayerNorm(shape, layer.epsilon)]
        case lite.GlobalAveragePool2D():
            return [nn.AdaptiveAvgPool2d(1)]
        case lite.AveragePool2D():
            return [MeanOfWindows(layer, shape)]
        case lite.Dropout():
            return [nn.Dropout(layer.rate)]
        case lite.Flatten():
            return [nn.Flatten()]
        case lite.Residual():
            return [Added(layer, shape)]
        case lite.LocalResponseNorm():
            size = 2 * layer.radius + 1
            return [nn.LocalResponseNorm(size, layer.alpha * size, layer.beta, layer.bias)]
        case lite.Conv2D():
            pads = [_padding(size, layer) for size in shape[1:]]
            options = shape[0], layer.filters, layer.kernel, layer.stride
            more = {"groups": layer.groups, "dilation": layer.dilation}
            kind = StandardizedConv2d if layer.standardized else nn.Conv2d
            if all(before == after for before, after in pads):
                return [kind(*options, padding=tuple(before for before, _ in pads), **more)]
            return [nn.ZeroPad2d((*pads[1], *pads[0])), kind(*options, **more)]
        case lite.MaxPool2D():
            pads = [_padding(size, layer) for size in shape[1:]]
            if pads == [(0, 0), (0, 0)]:
                return [nn.MaxPool2d(layer.kernel, layer.stride)]
            hangs_over = pads == [(0, 1), (0, 1)] and layer.stride > 1 and min(shape[1:]) >= layer.kernel
            if hangs_over:  # nothing in front, and the last window one entry beyond the end
                return [nn.MaxPool2d(layer.kernel, layer.stride, ceil_mode=True)]
            return [nn.ConstantPad2d((*pads[1], *pads[0]), -inf), nn.MaxPool2d(layer.kernel, layer.stride)]
    raise TypeError(f"no twin for {layer}")


def loss_of(loss: lite.Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """outputs (N, K), targets -> mean loss."""
    if isinstance(loss, lite.SoftmaxCrossEntropy):
        return nn.CrossEntropyLoss(label_smoothing=loss.label_smoothing)
    if isinstance(loss, lite.Hinge):
        return lambda outputs, y: _hinge(outputs, y, loss.squared)
    if isinstance(loss, lite.MeanSquaredError):
        return lambda outputs, y: nn.functional.mse_loss(outputs, y.reshape(outputs.shape))
    if isinstance(loss, lite.Huber):
        return lambda outputs, y: (
            nn.functional.huber_loss(outputs, y.reshape(outputs.shape), reduction="sum", delta=loss.delta)
            / len(outputs)
        )
    if isinstance(loss, lite.BinaryCrossEntropy):
        return lambda outputs, y: (
            nn.functional.binary_cross_entropy_with_logits(outputs, y.reshape(outputs.shape), reduction="sum")
            / len(outputs)
        )
    if isinstance(loss, lite.HalfSquaredError):
        return lambda outputs, y: 0.5 * (outputs - y.reshape(outputs.shape)).square().sum() / len(outputs)
    raise TypeError(f"no twin for {loss}")


def _hinge(outputs: Tensor, labels: Tensor, squared: bool) -> Tensor:
    signs = 2 * nn.functional.one_hot(labels, outputs.shape[1]) - 1
    short = (1 - signs * outputs).clamp(min=0)
    return (short.square() if squared else short).sum() / len(outputs)


def optimizer_of(optimizer: lite.Optimizer, parameters: list[Tensor]) -> torch.optim.Optimizer:
    """The same optimizer over torch parameters; the learning rate must be a number."""
    rate = optimizer.learning_rate
    match optimizer:
        case lite.SGD():
            return torch.optim.SGD(parameters, rate)
        case lite.Nesterov():
            return torch.optim.SGD(parameters, rate, momentum=optimizer.momentum, nesterov=True)
        case lite.Momentum():
            return torch.optim.SGD(parameters, rate, momentum=optimizer.momentum)
        case lite.RMSProp():
            return torch.optim.RMSprop(parameters, rate, alpha=optimizer.decay, eps=optimizer.epsilon)
        case lite.Adam():
            betas = (optimizer.beta1, optimizer.beta2)
            return torch.optim.Adam(parameters, rate, betas, optimizer.epsilon)
    raise TypeError(f"no twin for {optimizer}")


def _padding(size: int, layer: lite.Conv2D | lite.MaxPool2D) -> tuple[int, int]:
    """(before, after) along one axis: TensorFlow's rule, the odd one after."""
    if layer.padding == "valid":
        return 0, 0
    reach = (layer.kernel - 1) * getattr(layer, "dilation", 1) + 1
    pad = max(0, (ceil(size / layer.stride) - 1) * layer.stride + reach - size)
    return pad // 2, pad - pad // 2


def _to_torch(tensor: np.ndarray, module: nn.Module) -> Tensor:
    axes = (0, 1) if isinstance(module, nn.Embedding) else {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}[tensor.ndim]
    return torch.from_numpy(np.ascontiguousarray(tensor.transpose(axes)))


def _from_torch(tensor: Tensor, module: nn.Module) -> np.ndarray:
    axes = (0, 1) if isinstance(module, nn.Embedding) else {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}[tensor.ndim]
    return tensor.detach().numpy().transpose(axes)
