"""Losses: a number to make small, its gradient, and how many predictions are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.errors import StructureError
from nnlite.nn.config import Described
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
        self._check_labels(outputs, targets)
        columns = np.arange(outputs.shape[1])
        np.subtract(outputs, outputs.max(axis=0), out=out)
        at_label = out[targets, columns]
        np.exp(out, out=out)
        total = out.sum(axis=0)
        np.divide(out, total * len(columns), out=out)
        out[targets, columns] -= out.dtype.type(1 / len(columns))
        return float(np.mean(np.log(total) - at_label))

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return int(np.count_nonzero(outputs.argmax(axis=0) == targets))

    def _check_labels(self, outputs: Tensor, targets: NDArray[np.generic]) -> None:
        """NumPy would count a label of -1 from behind, and broadcast a column of labels."""
        num_classes, num_samples = outputs.shape
        if targets.shape != (num_samples,) or targets.dtype.kind not in "iu":
            raise StructureError(
                f"SoftmaxCrossEntropy wants integer labels of shape ({num_samples},), got {targets.dtype} "
                f"of shape {targets.shape}"
            )
        lowest, highest = int(targets.min()), int(targets.max())
        if lowest < 0 or highest >= num_classes:
            raise StructureError(
                f"SoftmaxCrossEntropy: labels from {lowest} to {highest} for a network of {num_classes} outputs; "
                f"wanted 0 to {num_classes - 1}"
            )


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """½ (output - target)², summed over the K outputs. Targets are (N,) for one output, or (N, K).

    A prediction counts as correct when every output has its target's sign.
    """

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        num_samples = outputs.shape[1]
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
