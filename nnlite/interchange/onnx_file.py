"""ONNX files: a network with its weights and the scale of its inputs, as other programs run it.

The package `onnx` writes them, an extra that is imported when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.errors import RunError, words
from nnlite.interchange import onnx_operators
from nnlite.interchange.onnx_graph import Graph
from nnlite.nn import Sequential

OPSET, IR_VERSION = 17, 8  # of ONNX 1.12, 2022: what has operators for all layers, and no younger
INPUT, OUTPUT = "x", "outputs"
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class OnnxInput:
    """What a network's inputs are made of: x, which becomes (x - mean) / std, by feature or by channel."""

    what: str = "used as they are"
    mean: Sequence[float] = (0.0,)
    std: Sequence[float] = (1.0,)

    @classmethod
    def pixels(cls, mean: Sequence[float], std: Sequence[float]) -> OnnxInput:
        """Pixels from 0 to 255 that become ((x / 255) - mean) / std."""
        return cls("pixels from 0 to 255", [255 * one for one in mean], [255 * one for one in std])

    @property
    def is_scaled(self) -> bool:
        """Whether there is something to do."""
        return any(self.mean) or any(one != 1 for one in self.std)


def package() -> Any:
    """The package onnx. Raises RunError when it is not installed, or does not load."""
    try:
        import onnx
    except ImportError as error:
        raise RunError(
            f"ONNX files are written by the package onnx ({words(error)}): pip install 'nnlite-serverless[onnx]'"
        ) from None
    return onnx


def encode(
    network: Sequential,
    weights: Weights,
    given: OnnxInput,
    about: Mapping[str, str],
    amounts: tuple[float, float] | None = None,
) -> bytes:
    """The file: x float32 (N, *input_shape), rows as the dataset has them, -> outputs (N, K), as `predict`.

    about: what else the file tells. amounts: their mean and deviation, where the network answers such.
    Raises StructureError for a layer of one's own, for which ONNX has no operator; RunError without the package onnx.
    """
    onnx = package()
    graph = Graph(onnx.helper, onnx.numpy_helper)
    value = _scaled(graph, given, len(network.input_shape) == 3) if given.is_scaled else INPUT
    value = onnx_operators.row(graph, network.architecture, network.layout.views(weights), "", value)
    if amounts is not None:
        mean, deviation = (graph.constant("amounts", number) for number in amounts)
        value = graph.node("Add", graph.node("Mul", value, deviation), mean)
    graph.node("Identity", value, name=OUTPUT)
    number = onnx.TensorProto.FLOAT
    made = onnx.helper.make_graph(
        graph.nodes,
        "network",
        [onnx.helper.make_tensor_value_info(INPUT, number, ["N", *network.input_shape])],
        [onnx.helper.make_tensor_value_info(OUTPUT, number, ["N", *network.output_shape])],
        graph.constants,
        doc_string=f"{INPUT}: rows, {given.what}; {OUTPUT}: {_answers(amounts is not None)}",
    )
    version = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(made, opset_imports=version, ir_version=IR_VERSION, producer_name="nnlite")
    onnx.helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _answers(are_amounts: bool) -> str:
    return "amounts in the unit of the data" if are_amounts else "those of the network, without a softmax"


def _scaled(graph: Graph, given: OnnxInput, are_images: bool) -> str:
    """The mean first, so that no digit is lost where it is large."""
    shape = (-1, 1, 1) if are_images else (-1,)
    mean = graph.constant("mean", np.reshape(given.mean, shape))
    scale = graph.constant("scale", 1 / np.reshape(given.std, shape))
    return graph.node("Mul", graph.node("Sub", INPUT, mean), scale)
