"""ONNX files: a network with its weights and the scale of its inputs, as other programs run it.

The package `onnx` writes them, an extra that is imported when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.errors import RunError
from nnlite.interchange import onnx_operators
from nnlite.interchange.onnx_graph import Graph
from nnlite.nn import Sequential

OPSET, IR_VERSION = 17, 8  # of ONNX 1.12, 2022: what has operators for all layers, and no younger
INPUT, OUTPUT = "x", "outputs"
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Pixels:
    """The scale of a network's inputs: pixels from 0 to 255 become ((x / 255) - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def package() -> Any:
    """The package onnx. Raises RunError when it is not installed."""
    try:
        import onnx
    except ImportError:
        raise RunError(
            "ONNX files are written by the package onnx, which is not installed: pip install 'nnlite-serverless[onnx]'"
        ) from None
    return onnx


def encode(network: Sequential, weights: Weights, pixels: Pixels | None, about: Mapping[str, str]) -> bytes:
    """The file: x float32 (N, *input_shape), rows as the dataset has them, -> outputs (N, K), as `predict`.

    pixels: their scale; None for rows that are used as they are. about: what else the file tells.
    Raises StructureError for a layer of one's own, for which ONNX has no operator; RunError without the package onnx.
    """
    onnx = package()
    graph = Graph(onnx.helper, onnx.numpy_helper)
    value = INPUT if pixels is None else _scaled(graph, pixels, len(network.input_shape) == 3)
    value = onnx_operators.row(graph, network.architecture, network.layout.views(weights), "", value)
    graph.node("Identity", value, name=OUTPUT)
    number = onnx.TensorProto.FLOAT
    made = onnx.helper.make_graph(
        graph.nodes,
        "network",
        [onnx.helper.make_tensor_value_info(INPUT, number, ["N", *network.input_shape])],
        [onnx.helper.make_tensor_value_info(OUTPUT, number, ["N", *network.output_shape])],
        graph.constants,
        doc_string=_describe(pixels),
    )
    version = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(made, opset_imports=version, ir_version=IR_VERSION, producer_name="nnlite")
    onnx.helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _scaled(graph: Graph, pixels: Pixels, are_images: bool) -> str:
    """As `data.to_float`: one multiply-add a channel."""
    deviation, shape = np.asarray(pixels.std, np.float64), (-1, 1, 1) if are_images else (-1,)
    scale = graph.constant("scale", (1 / (255 * deviation)).reshape(shape))
    shift = graph.constant("shift", (-np.asarray(pixels.mean, np.float64) / deviation).reshape(shape))
    return graph.node("Add", graph.node("Mul", INPUT, scale), shift)


def _describe(pixels: Pixels | None) -> str:
    rows = "pixels from 0 to 255" if pixels is not None else "used as they are"
    return f"{INPUT}: rows as the dataset has them, {rows}; {OUTPUT}: those of the network, without a softmax"
