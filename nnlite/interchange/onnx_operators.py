"""Layers as operators of ONNX. Images there are (N, C, H, W), vectors (N, D), as outside a network here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlite import nn
from nnlite.errors import StructureError
from nnlite.interchange.onnx_graph import Graph
from nnlite.nn.architecture import Architecture
from nnlite.nn.convolution.window import Window
from nnlite.nn.layer import Layer, Tensor, Workspace
from nnlite.nn.layers.activations import GELU_CUBIC, GELU_SCALE
from nnlite.nn.layers.pooling import Pool2D
from nnlite.nn.parameters import Shape
from nnlite.nn.standardization import standardize

INT64 = 7  # onnx.TensorProto.INT64


@dataclass(frozen=True)
class Place:
    """A layer's place in a graph: the value that goes in, of `shape` a sample, and the parameters under `prefix`."""

    graph: Graph
    x: str
    shape: Shape
    tensors: Mapping[str, Tensor]  #: of the whole network
    prefix: str  #: "residual1/conv2/"

    def tensor(self, key: str) -> Tensor:
        """A parameter of this layer."""
        return self.tensors[self.prefix + key]

    def parameter(self, key: str, value: Tensor | None = None) -> str:
        """A parameter of this layer, or another value in its place, as a constant of its name."""
        return self.graph.constant(self.prefix + key, self.tensor(key) if value is None else value)

    def apply(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """An operator applied to x and further values."""
        return self.graph.node(operator, self.x, *inputs, **attributes)


def row(graph: Graph, of: Architecture, tensors: Mapping[str, Tensor], prefix: str, x: str) -> str:
    """Add layers in a row. -> what the last one makes. Raises StructureError for one that ONNX cannot have."""
    for name, layer, shape in zip(of.names, of.layers, of.input_shapes, strict=True):
        write = OPERATORS.get(type(layer))
        if write is None:
            raise StructureError(
                f"layer {prefix}{name}: {type(layer).__name__} is no layer of nnlite, and ONNX has no operator for it"
            )
        x = write(layer, Place(graph, x, shape, tensors, f"{prefix}{name}/"))
    return x


def _conv(layer: nn.Conv2D, at: Place) -> str:
    weight, windows = at.tensor("weight"), layer.windows(at.shape)
    if layer.standardized:
        weight = standardize(weight, Workspace(weight.dtype, {}))
    return at.apply(
        "Conv",
        at.parameter("weight", weight.transpose(3, 2, 0, 1)),
        at.parameter("bias"),
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        dilations=[layer.dilation] * 2,
        pads=_pads(*windows),
        group=layer.groups,
    )


def _dense(layer: nn.Dense, at: Place) -> str:
    weight = at.tensor("weight")
    if layer.standardized:
        weight = standardize(weight, Workspace(weight.dtype, {}))
    return at.apply("Gemm", at.parameter("weight", weight), at.parameter("bias"))


def _embedding(layer: nn.Embedding, at: Place) -> str:
    rows = at.graph.node("Gather", at.parameter("weight"), at.apply("Cast", to=INT64), axis=0)
    return at.graph.node("Flatten", rows, axis=1)


def _max_pool(layer: nn.MaxPool2D, at: Place) -> str:
    return at.apply("MaxPool", **_window(layer, at))


def _average_pool(layer: nn.AveragePool2D, at: Place) -> str:
    return at.apply("AveragePool", count_include_pad=0, **_window(layer, at))


def _lrn(layer: nn.LocalResponseNorm, at: Place) -> str:
    size = 2 * layer.radius + 1
    return at.apply("LRN", size=size, alpha=layer.alpha * size, beta=layer.beta, bias=layer.bias)


def _group_norm(layer: nn.GroupNorm, at: Place) -> str:
    """An instance normalization of groups as channels; then gain and bias of the channel."""
    graph, groups = at.graph, layer.groups
    by_group = at.apply("Reshape", graph.constant("by group", [0, groups, -1], np.int64))
    ones, zeros = graph.constant("ones", np.ones(groups)), graph.constant("zeros", np.zeros(groups))
    z = graph.node("InstanceNormalization", by_group, ones, zeros, epsilon=layer.epsilon)
    z = graph.node("Reshape", z, graph.constant("by channel", [0, *at.shape], np.int64))
    gain, bias = (at.parameter(key, at.tensor(key)[:, None, None]) for key in ("gain", "bias"))
    return graph.node("Add", graph.node("Mul", z, gain), bias)


def _layer_norm(layer: nn.LayerNorm, at: Place) -> str:
    return at.apply("LayerNormalization", at.parameter("gain"), at.parameter("bias"), epsilon=layer.epsilon)


def _residual(layer: nn.Residual, at: Place) -> str:
    rows = layer.architectures(at.shape)
    body, shortcut = (
        row(at.graph, rows[name], at.tensors, f"{at.prefix}{name}/" if name else at.prefix, at.x)
        for name in ("", "shortcut")
    )
    return at.graph.node("Add", body, shortcut)


def _gelu(layer: nn.GELU, at: Place) -> str:
    """½ x (1 + tanh(x (√(2/π) + √(2/π) 0.044715 x²)))"""
    graph, x = at.graph, at.x
    cubic, scale, half, one = (graph.constant("gelu", n) for n in (GELU_SCALE * GELU_CUBIC, GELU_SCALE, 0.5, 1.0))
    slope = graph.node("Add", graph.node("Mul", graph.node("Mul", x, x), cubic), scale)
    t = graph.node("Tanh", graph.node("Mul", x, slope))
    return graph.node("Mul", graph.node("Mul", x, half), graph.node("Add", t, one))


def _silu(layer: nn.SiLU, at: Place) -> str:
    return at.apply("Mul", at.apply("Sigmoid"))


Write = Callable[[Any, Place], str]
OPERATORS: dict[type[Layer], Write] = {
    nn.Conv2D: _conv,
    nn.Dense: _dense,
    nn.Embedding: _embedding,
    nn.MaxPool2D: _max_pool,
    nn.AveragePool2D: _average_pool,
    nn.GlobalAveragePool2D: lambda layer, at: at.apply("GlobalAveragePool"),
    nn.LocalResponseNorm: _lrn,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
    nn.Residual: _residual,
    nn.Flatten: lambda layer, at: at.apply("Flatten", axis=1),
    nn.Dropout: lambda layer, at: at.x,  # nothing is dropped while predicting
    nn.ReLU: lambda layer, at: at.apply("Relu"),
    nn.Tanh: lambda layer, at: at.apply("Tanh"),
    nn.LeakyReLU: lambda layer, at: at.apply("LeakyRelu", alpha=layer.slope),
    nn.Sigmoid: lambda layer, at: at.apply("Sigmoid"),
    nn.SiLU: _silu,
    nn.GELU: _gelu,
    nn.Softplus: lambda layer, at: at.apply("Softplus"),
    nn.ELU: lambda layer, at: at.apply("Elu", alpha=layer.alpha),
}


def _window(layer: Pool2D, at: Place) -> dict[str, Any]:
    return {
        "kernel_shape": [layer.kernel] * 2,
        "strides": [layer.stride] * 2,
        "pads": _pads(*layer.windows(at.shape)),
    }


def _pads(rows: Window, columns: Window) -> list[int]:
    """In front of both axes, then behind them."""
    return [rows.before, columns.before, rows.after, columns.after]
