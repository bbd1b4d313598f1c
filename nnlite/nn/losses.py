"""Losses: a number to make small, its gradient, and how many predictions are right."""

from __future__ import annotations

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

    Targets are integer labels (N,) in [0, K).
    """

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        num_samples = int(outputs.shape[1])
        np.subtract(outputs, np.maximum.reduce(outputs, axis=0), out=out)
        # Where the labels' entries lie in `out` read as a row: one index is found faster than two.
        labels = self._labels(outputs, targets) * num_samples + np.arange(num_samples)
        flat = out.reshape(-1)
        at_label = flat[labels]
        np.exp(out, out=out)
        total = np.add.reduce(out, axis=0)
        np.multiply(out, 1 / (total * num_samples), out=out)
        flat[labels] -= out.dtype.type(1 / num_samples)
        return float(np.log(total).sum() - at_label.sum()) / num_samples

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return int(np.count_nonzero(outputs.argmax(axis=0) == targets))

    def _labels(self, outputs: Tensor, targets: NDArray[np.generic]) -> NDArray[np.intp]:
        """The labels, checked: NumPy would count a label of -1 from behind, and broadcast a column of labels."""
        num_classes, num_samples = outputs.shape
        if targets.shape != (num_samples,) or targets.dtype.kind not in "iu":
            raise StructureError(
                f"SoftmaxCrossEntropy wants integer labels of shape ({num_samples},), got {targets.dtype} "
                f"of shape {targets.shape}"
            )
        labels = targets.astype(np.intp)
        if np.maximum.reduce(labels.view(np.uintp)) >= num_classes:  # read so, what is below 0 is huge
            raise StructureError(
                f"SoftmaxCrossEntropy: labels from {targets.min()} to {targets.max()} for a network of "
                f"{num_classes} outputs; wanted 0 to {num_classes - 1}"
            )
        return labels


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """½ (output - target)², summed over the K outputs. Targets are (N,) for one output, or (N, K).

    A prediction counts as correct when every output has its target's sign.
    """

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        num_samples = int(outputs.shape[1])
        np.subtract(outputs, self._columns(outputs, targets), out=out)
        value: float = 0.5 * float(np.vdot(out, out)) / num_samples
        np.multiply(out, out.dtype.type(1 / num_samples), out=out)
        return value

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        same_sign = (outputs > 0) == (self._columns(outputs, targets) > 0)
        return int(np.count_nonzero(same_sign.all(axis=0)))

    def _columns(self, outputs: Tensor, targets: NDArray[Any]) -> Tensor:
        """Targets as (K, N)."""
        columns = targets[None, :] if targets.ndim == 1 else targets.T
        if columns.shape != outputs.shape:
            raise StructureError(
                f"HalfSquaredError: {outputs.shape[0]} outputs for {outputs.shape[1]} samples, but targets "
                f"of shape {targets.shape}"
            )
        return columns
