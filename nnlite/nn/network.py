"""A network: layers in a row over one flat parameter vector."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.errors import StructureError
from nnlite.mixed import Mixed
from nnlite.nn.architecture import Architecture
from nnlite.nn.composite import Composite
from nnlite.nn.engine.execution import Execution
from nnlite.nn.layer import Layer, Tensor, says
from nnlite.nn.losses import Loss, SoftmaxCrossEntropy
from nnlite.nn.parameters import Layout, Shape, aligned_zeros
from nnlite.numbers import PythonNumbers

USUAL = {
    ("groups", 1),
    ("dilation", 1),
    ("shortcut", None),
    ("standardized", False),
}  # options that `summary` leaves out
PREDICT_BATCH = 256  # samples at a time when only predicting


@dataclass(frozen=True)
class Evaluation:
    """Sums over `count` samples, so that evaluations of parts add up to that of the whole."""

    loss_sum: float
    num_correct: int
    count: int

    @property
    def loss(self) -> float:
        """Mean loss of a sample."""
        return self.loss_sum / self.count

    @property
    def accuracy(self) -> float:
        """Fraction predicted right."""
        return self.num_correct / self.count

    def __add__(self, other: Evaluation) -> Evaluation:
        return Evaluation(
            self.loss_sum + other.loss_sum, self.num_correct + other.num_correct, self.count + other.count
        )


class Sequential(metaclass=PythonNumbers):
    """Layers applied one after the other to samples of `input_shape` ((C, H, W) or (D,)), and a loss.

    It holds no weights: every method takes the vector (P,) float32 (or float64, for gradient checks), whose
    named tensors are described by `layout`. Outside, x is (N, C, H, W) or (N, D), and outputs are (N, K).
    A network is not for use by several threads at once: its scratch memory is made once and used again. It may
    use `threads` itself, for layers on images; then give BLAS one thread (OPENBLAS_NUM_THREADS=1). The same
    number of threads gives the same bits.
    """

    refusal = StructureError

    def __init__(
        self, layers: Sequence[Layer], input_shape: Sequence[int], loss: Loss | None = None, *, threads: int = 1
    ):
        self.threads = threads
        if threads < 1:
            raise StructureError(f"Sequential: threads = {threads}; wanted at least 1")
        self.input_shape: Shape = tuple(input_shape)
        self.loss = loss or SoftmaxCrossEntropy()
        if not self.input_shape or not all(isinstance(size, int) and size > 0 for size in self.input_shape):
            raise StructureError(f"the input shape is {self.input_shape}; wanted positive whole numbers")
        self.architecture = Architecture.of(tuple(layers), self.input_shape)
        self.layers, self.names = self.architecture.layers, list(self.architecture.names)
        #: output shape, and parameters, of every layer
        self.shapes, self.parameters = list(self.architecture.shapes), list(self.architecture.parameters)
        self.output_shape = self.architecture.output_shape
        self.loss.check(self.output_shape)
        named = dict(self.architecture.named_parameters())
        undecayed = {name for name, parameter in named.items() if not parameter.decays}
        self.layout = Layout({name: parameter.shape for name, parameter in named.items()}, undecayed)
        self.is_random = any(says(layer, "random") for layer in self.layers)  #: whether training needs an rng
        self._executions: dict[np.dtype[Any], Execution] = {}

    # ---- parameters

    def init(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Fresh weights (P,) float32, drawn layer by layer from `rng`."""
        vector = self.empty()
        views = self.layout.views(vector)
        for name, p in self.architecture.named_parameters():
            p.initializer.fill_inplace(views[name], rng, p.fan_in, p.fan_out)
        return vector

    def empty(self) -> NDArray[np.float32]:
        """A zeroed, aligned vector (P,) float32, for weights or gradients."""
        vector: Tensor = aligned_zeros(self.layout.size)
        return vector

    @property
    def wants_whole_numbers(self) -> bool:
        """Whether inputs are whole numbers, for an `Embedding`."""
        return any(says(layer, "whole_numbers") for layer in self.layers)

    def noise(self, num_samples: int, rng: np.random.Generator) -> Tensor:
        """Inputs (N, *input_shape) float32 that the network takes, to time it with: in [0, 1), or whole numbers."""
        shape = (num_samples, *self.input_shape)
        choosy = next((layer for layer in self.layers if says(layer, "whole_numbers")), None)
        return rng.random(shape, np.float32) if choosy is None else choosy.draw_input(shape, rng).astype(np.float32)

    # ---- learning

    def loss_and_gradient(
        self,
        vector: Tensor,
        x: Tensor,
        y: NDArray[np.generic] | Mixed,
        out: Tensor,
        rng: np.random.Generator | None = None,
        sample_weights: NDArray[np.floating[Any]] | None = None,
    ) -> float:
        """Mean loss of N samples; the gradient (P,) is written into `out`.

        x: (N, *input_shape) of the vector's dtype; y: what the loss wants, or two of them, mixed. `rng` is needed
        where a layer draws (Dropout). `sample_weights` (N,): by what each sample counts; the mean is still one over
        N. Raises StructureError when shapes do not fit.
        """
        self._check(vector, x)
        self.layout.check(out, "the gradient")
        _check_lengths(x, y)
        execution = self._execution(vector.dtype)
        outputs = execution.forward(vector, x, training=True, rng=rng)
        d_outputs = execution.array("d_outputs", outputs.shape)
        value = self.loss.of_samples(outputs, y, d_outputs, sample_weights)
        execution.backward(vector, out, d_outputs)
        return value

    def predict(self, vector: Tensor, x: Tensor) -> Tensor:
        """Outputs (N, K) for x (N, *input_shape): logits for a softmax loss. In batches of a few hundred."""
        outputs = np.empty((len(x), *self.output_shape), vector.dtype)
        for start in range(0, len(x), PREDICT_BATCH):
            part = x[start : start + PREDICT_BATCH]
            outputs[start : start + len(part)] = self._forward(vector, part).T
        return outputs

    def evaluate(self, vector: Tensor, x: Tensor, y: NDArray[np.generic]) -> Evaluation:
        """Loss and hits over N samples, in batches of a few hundred."""
        _check_lengths(x, y)
        total = Evaluation(0.0, 0, 0)
        for start in range(0, len(x), PREDICT_BATCH):
            part = slice(start, start + PREDICT_BATCH)
            outputs = self._forward(vector, x[part])
            scratch = np.empty(outputs.shape, outputs.dtype)  # in C order, whatever that of the outputs is
            count = outputs.shape[1]
            loss_sum = self.loss.value_and_gradient(outputs, y[part], scratch) * count
            total += Evaluation(loss_sum, self.loss.num_correct(outputs, y[part]), count)
        return total

    def _forward(self, vector: Tensor, x: Tensor) -> Tensor:
        self._check(vector, x)
        return self._execution(vector.dtype).forward(vector, x, training=False, rng=None)

    def _execution(self, dtype: np.dtype[Any]) -> Execution:
        if dtype not in self._executions:
            self._executions[dtype] = Execution(self.architecture, self.layout, dtype, self.threads)
        return self._executions[dtype]

    def check_rows(self, x: Tensor) -> None:
        """Raise StructureError unless x has the shape (N, *input_shape), N > 0."""
        if x.shape[1:] != self.input_shape or x.shape[:1] in ((), (0,)):
            wanted = ", ".join(str(size) for size in self.input_shape)
            raise StructureError(f"x has shape {x.shape}; this network wants (N, {wanted}), N > 0")

    def _check(self, vector: Tensor, x: Tensor) -> None:
        self.layout.check(vector)
        self.check_rows(x)
        if x.dtype != vector.dtype:
            raise StructureError(f"x is {x.dtype}, the parameter vector {vector.dtype}: convert x first")

    # ---- descriptions

    def config(self) -> dict[str, Any]:
        """The network as plain JSON values, from which `from_config` builds it again.

        Raises StructureError when that would be another.
        """
        if type(self) is not Sequential:
            raise StructureError(
                f"{type(self).__name__}, a subclass of Sequential, cannot be described: workers would build a "
                "Sequential. Put what is your own into layers and the loss"
            )
        return {
            "layers": [layer.config() for layer in self.layers],
            "input_shape": list(self.input_shape),
            "loss": self.loss.config(),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], *, threads: int = 1) -> Sequential:
        """The network that `config()` described. Raises StructureError for anything else. How many threads it
        may use is no part of the description: that is up to the machine."""
        try:
            layers = [Layer.from_config(c) for c in config["layers"]]
            return cls(layers, config["input_shape"], Loss.from_config(config["loss"]), threads=threads)
        except (KeyError, TypeError) as error:
            raise StructureError(f"not the description of a network: {error!r} in {config!r:.80}") from None

    def summary(self) -> str:
        """A table of layers, those inside others indented, with output shapes and numbers of parameters; and, for one
        sample, multiply-adds and the bytes of the output as float32."""
        rows = [("layer", "", "output", "parameters", "multiply-adds", "bytes"), _line("input", "", self.input_shape)]
        rows += _lines(self.architecture)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        aligned = [
            [
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            for row in rows
        ]
        lines = ["  ".join(row).rstrip() for row in aligned]
        of = self.architecture
        lines.append(
            f"{self.layout.size:,} parameters, {self.layout.size * 4 / 1e6:.2f} MB as float32; a sample: "
            f"{of.multiply_adds:,} multiply-adds, {_num_bytes(of):,} bytes of outputs"
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Sequential({list(self.layers)}, {self.input_shape}, {self.loss})"


def _check_lengths(x: Tensor, y: NDArray[np.generic] | Mixed) -> None:
    if len(y) != len(x):
        raise StructureError(f"{len(x)} samples in x, but {len(y)} targets in y")


def _line(name: str, options: str, shape: Shape, num_parameters: int = 0, multiply_adds: int = 0) -> tuple[str, ...]:
    """Cells of the summary; a zero is left out."""
    counts = num_parameters, multiply_adds
    return (name, options, _times(shape), *(f"{count:,}" if count else "" for count in counts), f"{4 * prod(shape):,}")


def _num_bytes(of: Architecture) -> int:
    """Of the outputs of all layers, and of those inside others, for one sample as float32."""
    inside = (
        row
        for layer, shape in zip(of.layers, of.input_shapes, strict=True)
        if isinstance(layer, Composite)
        for row in layer.architectures(shape).values()
    )
    return sum(4 * prod(shape) for shape in of.shapes) + sum(map(_num_bytes, inside))


def _lines(architecture: Architecture, indent: str = "") -> Iterator[tuple[str, ...]]:
    """The line of every layer."""
    of = architecture
    for name, layer, before, shape, ps in zip(
        of.names, of.layers, of.input_shapes, of.shapes, of.parameters, strict=True
    ):
        count = sum(prod(p.shape) for p in ps.values())
        yield _line(indent + name, _options(layer), shape, count, layer.multiply_adds(before))
        if isinstance(layer, Composite):
            for row, inside in layer.architectures(before).items():
                yield from _lines(inside, f"{indent}  {row}/" if row else f"{indent}  ")


def _times(shape: Shape) -> str:
    return " x ".join(str(size) for size in shape)


def _options(layer: Layer) -> str:
    """The hyper-parameters of a layer that are plain values, as in ``filters=64 kernel=5``, without USUAL ones."""
    plain = {k: v for k, v in layer.config().items() if k != "is" and not isinstance(v, (dict, list))}
    return " ".join(f"{k}={v}" for k, v in plain.items() if (k, v) not in USUAL)
