"""Losses: a number to make small, its gradient, and how many predictions are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.described import Described
from nnlite.errors import StructureError
from nnlite.nn.layer import Tensor
from nnlite.nn.parameters import Shape


class Loss(Described):
    """Base class. `outputs` are (K, N), features first, as a network leaves them; `targets` (N, ...)."""

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        """The mean loss of N samples; its gradient with respect to `outputs` is written into `out` (K, N)."""
        raise TypeError(f"{type(self).__name__} must define value_and_gradient()")

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        """How many of N predictions hit their target."""
        raise TypeError(f"{type(self).__name__} must define num_correct()")

    def check(self, output_shape: Shape) -> None:
        """Raise StructureError unless a network with this output shape can have this loss."""
        if len(output_shape) != 1:
            raise StructureError(
                f"{type(self).__name__} wants a vector of outputs, the network gives {output_shape}: "
                "end it with Flatten() and Dense(...)"
            )


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """-log softmax(outputs)[label], with the largest output subtracted first so that nothing overflows.

    Targets are integer labels (N,) in [0, K). With `label_smoothing` e the label's own class is wanted with a
    probability of 1 - e, and e is shared out among all K (Szegedy et al. 2015, arXiv:1512.00567). With
    `class_weights` a sample counts by the weight of its class; the mean is still one over N.
    """

    label_smoothing: float = 0.0
    class_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise StructureError(
                f"SoftmaxCrossEntropy: label_smoothing {self.label_smoothing}; wanted a number in [0, 1)"
            )
        if self.class_weights is not None:
            object.__setattr__(self, "class_weights", tuple(self.class_weights))
            if not all(weight >= 0 for weight in self.class_weights):
                raise StructureError(f"SoftmaxCrossEntropy: class_weights {self.class_weights}; wanted none below 0")

    def check(self, output_shape: Shape) -> None:
        super().check(output_shape)
        if self.class_weights is not None and output_shape != (len(self.class_weights),):
            raise StructureError(
                f"SoftmaxCrossEntropy: {len(self.class_weights)} class_weights for {output_shape[0]} outputs"
            )

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        num_classes, num_samples = outputs.shape
        classes = _labels(self, outputs, targets)
        np.subtract(outputs, np.maximum.reduce(outputs, axis=0), out=out)
        # Where the labels' entries lie in `out` read as a row: one index is found faster than two.
        labels = classes * num_samples + np.arange(num_samples)
        flat, smoothing = out.reshape(-1), self.label_smoothing
        wanted = flat[labels]
        if smoothing:
            wanted = (1 - smoothing) * wanted + smoothing / num_classes * np.add.reduce(out, axis=0)
        np.exp(out, out=out)
        total = np.add.reduce(out, axis=0)
        np.multiply(out, 1 / (total * num_samples), out=out)
        if smoothing:
            np.subtract(out, smoothing / (num_classes * num_samples), out=out)
        flat[labels] -= out.dtype.type((1 - smoothing) / num_samples)
        if self.class_weights is None:
            return float(np.log(total).sum() - wanted.sum()) / int(num_samples)
        weights = np.asarray(self.class_weights, out.dtype)[classes]
        np.multiply(out, weights, out=out)
        return float(np.vdot(weights, np.log(total) - wanted)) / int(num_samples)

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return int(np.count_nonzero(outputs.argmax(axis=0) == targets))


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """½ (output - target)², summed over the K outputs. Targets are (N,) for one output, or (N, K).

    A prediction counts as correct when every output has its target's sign.
    """

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        num_samples = int(outputs.shape[1])
        np.subtract(outputs, _columns(self, outputs, targets), out=out)
        value: float = 0.5 * float(np.vdot(out, out)) / num_samples
        np.multiply(out, out.dtype.type(1 / num_samples), out=out)
        return value

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return _num_same_sign(outputs, _columns(self, outputs, targets))


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """(output - target)², averaged over the K outputs, as PyTorch's `mse_loss`. Targets as of `HalfSquaredError`."""

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        np.subtract(outputs, _columns(self, outputs, targets), out=out)
        value = float(np.vdot(out, out)) / out.size
        np.multiply(out, out.dtype.type(2 / out.size), out=out)
        return value

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return _num_same_sign(outputs, _columns(self, outputs, targets))


@dataclass(frozen=True)
class Huber(Loss):
    """½ e² where the error e = output - target is at most delta, else delta (|e| - ½ delta), summed over the K outputs
    (Huber 1964). Targets as of `HalfSquaredError`.

    With c, the error clipped to ±delta, that is c (e - ½ c), and c is its derivative.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise StructureError(f"Huber: delta {self.delta}; wanted a positive number")

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        num_samples = int(outputs.shape[1])
        error = outputs - _columns(self, outputs, targets)
        np.clip(error, -self.delta, self.delta, out=out)
        value = float(np.vdot(out, error)) - 0.5 * float(np.vdot(out, out))
        np.multiply(out, out.dtype.type(1 / num_samples), out=out)
        return value / num_samples

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return _num_same_sign(outputs, _columns(self, outputs, targets))


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """-t log sigmoid(z) - (1 - t) log sigmoid(-z) for outputs z, summed over the K outputs: each is a yes or no of its
    own, so a sample may have several labels. Targets are in [0, 1]: (N,) for one output, or (N, K).

    It is max(z, 0) - t z + log(1 + exp(-|z|)), which overflows nowhere. A prediction counts as correct when every
    output is on its target's side.
    """

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        wanted, num_samples = self._wanted(outputs, targets), int(outputs.shape[1])
        np.abs(outputs, out=out)
        np.negative(out, out=out)
        np.exp(out, out=out)
        value = float(np.log1p(out).sum() + np.maximum(outputs, 0).sum()) - float(np.sum(wanted * outputs))
        np.multiply(outputs, 0.5, out=out)
        np.tanh(out, out=out)
        np.multiply(out, 0.5, out=out)
        np.add(out, 0.5, out=out)  # sigmoid(z)
        np.subtract(out, wanted, out=out)
        np.multiply(out, out.dtype.type(1 / num_samples), out=out)
        return value / num_samples

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        same_side = (outputs > 0) == (self._wanted(outputs, targets) > 0.5)
        return int(np.count_nonzero(same_side.all(axis=0)))

    def _wanted(self, outputs: Tensor, targets: NDArray[Any]) -> Tensor:
        columns = _columns(self, outputs, targets)
        if not (columns.min() >= 0 and columns.max() <= 1):
            raise StructureError(
                f"BinaryCrossEntropy: targets from {columns.min()} to {columns.max()}; wanted numbers in [0, 1]"
            )
        return columns


@dataclass(frozen=True)
class Hinge(Loss):
    """max(0, 1 - t z) for outputs z and targets t of ±1, or its square: linear support vector machines.

    Targets are (N,) of ±1 for one output, or, for K > 1, integer labels (N,): each class against the rest, summed.
    """

    squared: bool = False

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        signs, num_samples = self._signs(outputs, targets), int(outputs.shape[1])
        np.multiply(outputs, signs, out=out)
        np.subtract(1, out, out=out)
        np.maximum(out, 0, out=out)  # how far each output is short of its margin
        value = float(np.vdot(out, out)) if self.squared else float(out.sum())
        if self.squared:
            np.multiply(out, 2, out=out)
        else:
            np.sign(out, out=out)
        np.multiply(out, signs, out=out)
        np.multiply(out, out.dtype.type(-1 / num_samples), out=out)
        return value / num_samples

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        if len(outputs) == 1:
            return _num_same_sign(outputs, self._signs(outputs, targets))
        return int(np.count_nonzero(outputs.argmax(axis=0) == targets))

    def _signs(self, outputs: Tensor, targets: NDArray[Any]) -> Tensor:
        """(K, N) of ±1"""
        if len(outputs) > 1:
            labels = _labels(self, outputs, targets)
            signs = np.full(outputs.shape, -1, outputs.dtype)
            signs[labels, np.arange(len(labels))] = 1
            return signs
        columns = _columns(self, outputs, targets).astype(outputs.dtype)
        if not np.all(np.abs(columns) == 1):
            raise StructureError("Hinge with one output wants targets of -1 and +1; labels 0 and 1 want two outputs")
        return columns


def _labels(loss: Loss, outputs: Tensor, targets: NDArray[np.generic]) -> NDArray[np.intp]:
    """The labels, checked: NumPy would count a label of -1 from behind, and broadcast a column of labels."""
    num_classes, num_samples = outputs.shape
    name = type(loss).__name__
    if targets.shape != (num_samples,) or targets.dtype.kind not in "iu":
        raise StructureError(
            f"{name} wants integer labels of shape ({num_samples},), got {targets.dtype} of shape {targets.shape}"
        )
    labels = targets.astype(np.intp)
    if np.maximum.reduce(labels.view(np.uintp)) >= num_classes:  # read so, what is below 0 is huge
        raise StructureError(
            f"{name}: labels from {targets.min()} to {targets.max()} for a network of {num_classes} outputs; wanted 0 "
            f"to {num_classes - 1}"
        )
    return labels


def _columns(loss: Loss, outputs: Tensor, targets: NDArray[Any]) -> Tensor:
    """Targets as (K, N)."""
    columns = targets[None, :] if targets.ndim == 1 else targets.T
    if columns.shape != outputs.shape:
        raise StructureError(
            f"{type(loss).__name__}: {outputs.shape[0]} outputs for {outputs.shape[1]} samples, but targets of shape "
            f"{targets.shape}"
        )
    return columns


def _num_same_sign(outputs: Tensor, columns: Tensor) -> int:
    """Of how many samples every output has its target's sign."""
    return int(np.count_nonzero(((outputs > 0) == (columns > 0)).all(axis=0)))
