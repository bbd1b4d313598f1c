"""Losses: a number to make small, its gradient, and how many predictions are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nnlite.described import Described
from nnlite.errors import StructureError
from nnlite.mixed import Mixed
from nnlite.nn.layer import Tensor
from nnlite.nn.parameters import Shape

Weights = NDArray[np.floating[Any]]  # of samples, (N,)


class Loss(Described):
    """Base class. `outputs` are (K, N), features first, as a network leaves them; `targets` (N, ...)."""

    def value_and_gradient(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor) -> float:
        """The mean loss of N samples; its gradient with respect to `outputs` is written into `out` (K, N)."""
        raise TypeError(f"{type(self).__name__} must define value_and_gradient()")

    def of_samples(
        self,
        outputs: Tensor,
        targets: NDArray[np.generic] | Mixed,
        out: Tensor,
        weights: Weights | None = None,
    ) -> float:
        """As `value_and_gradient`, also for mixed targets, and for samples of different `weights` (N,): each counts by
        its own, and the mean is still one over N. Raises StructureError for weights that cannot be."""
        if isinstance(targets, Mixed):
            other, share = np.empty_like(out), targets.share
            first = self.of_samples(outputs, targets.first, out, weights)
            second = self.of_samples(outputs, targets.second, other, weights)
            np.multiply(out, share, out=out)
            np.multiply(other, 1 - share, out=other)
            np.add(out, other, out=out)
            return share * first + (1 - share) * second
        if weights is None:
            return self.value_and_gradient(outputs, targets, out)
        return self._weighted(outputs, targets, out, weights)

    def _weighted(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor, weights: Weights) -> float:
        raise StructureError(f"{type(self).__name__} knows no weights of samples: derive it from nn.WeightedLoss")

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


class WeightedLoss(Loss, described=False):
    """Base class of losses that know weights: those of samples, which come with the targets, and those of classes, a
    field `class_weights`. The mean is one over N, whatever the weights add up to.

    With labels a sample counts by the weight of its class. With a target for each of K outputs, K weights are those of
    the outputs; and two weights for a single output are those of samples whose target is low, and high.
    """

    middle: ClassVar[float] = 0.0  #: between a low target and a high one

    @property
    def weights_of_classes(self) -> Sequence[float] | None:
        """The field."""
        weights: Sequence[float] | None = vars(self).get("class_weights")
        return weights

    def __post_init__(self) -> None:
        weights = self.weights_of_classes
        if weights is not None:
            object.__setattr__(self, "class_weights", tuple(weights))
            if not all(weight >= 0 for weight in weights):
                raise StructureError(f"{type(self).__name__}: class_weights {tuple(weights)}; wanted none below 0")

    def check(self, output_shape: Shape) -> None:
        super().check(output_shape)
        weights = self.weights_of_classes
        if weights is not None and len(weights) != max(2, *output_shape):
            raise StructureError(
                f"{type(self).__name__}: {len(weights)} class_weights for {output_shape[0]} outputs; wanted "
                f"{max(2, *output_shape)}"
            )

    def value_and_gradient(
        self,
        outputs: Tensor,
        targets: NDArray[np.generic],
        out: Tensor,
        weights: Weights | None = None,
    ) -> float:
        raise TypeError(f"{type(self).__name__} must define value_and_gradient()")

    def _weighted(self, outputs: Tensor, targets: NDArray[np.generic], out: Tensor, weights: Weights) -> float:
        if weights.shape != outputs.shape[1:] or not (weights.min() >= 0 and weights.max() < np.inf):
            raise StructureError(
                f"{type(self).__name__}: weights of shape {weights.shape} from {weights.min():g} to {weights.max():g} "
                f"for {outputs.shape[1]} samples; wanted one a sample, none below 0"
            )
        return self.value_and_gradient(outputs, targets, out, weights)

    def by_label(self, labels: NDArray[np.intp], outputs: Tensor, weights: Weights | None) -> Tensor | None:
        """By what each sample counts, (N,) of the outputs' dtype; None: all by 1."""
        of_classes = self.weights_of_classes
        if of_classes is None:
            return None if weights is None else weights.astype(outputs.dtype)
        factors: Tensor = np.asarray(of_classes, outputs.dtype)[labels]
        return factors if weights is None else factors * weights.astype(outputs.dtype)

    def by_column(self, columns: Tensor, outputs: Tensor, weights: Weights | None) -> Tensor | None:
        """By what each output of each sample counts, (K, N), or (K, 1), or (1, N); None: all by 1."""
        of_classes = self.weights_of_classes
        if of_classes is not None and len(outputs) > 1:
            of_outputs: Tensor = np.asarray(of_classes, outputs.dtype)[:, None]
            return of_outputs if weights is None else of_outputs * weights.astype(outputs.dtype)
        factors = self.by_label((columns[0] > self.middle).astype(np.intp), outputs, weights)
        return None if factors is None else factors[None]


@dataclass(frozen=True)
class SoftmaxCrossEntropy(WeightedLoss):
    """-log softmax(outputs)[label], with the largest output subtracted first so that nothing overflows.

    Targets are integer labels (N,) in [0, K). With `label_smoothing` e the label's own class is wanted with a
    probability of 1 - e, and e is shared out among all K (Szegedy et al. 2015, arXiv:1512.00567). A
    sample counts by the weight of its class.
    """

    label_smoothing: float = 0.0
    class_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise StructureError(
                f"SoftmaxCrossEntropy: label_smoothing {self.label_smoothing}; wanted a number in [0, 1)"
            )
        super().__post_init__()

    def value_and_gradient(
        self,
        outputs: Tensor,
        targets: NDArray[np.generic],
        out: Tensor,
        weights: Weights | None = None,
    ) -> float:
        num_classes, num_samples = outputs.shape
        classes = _labels(self, outputs, targets)
        np.subtract(outputs, np.maximum.reduce(outputs, axis=0), out=out)
        if not out.flags.c_contiguous:
            raise StructureError("SoftmaxCrossEntropy writes its gradient into a contiguous array: this one is not")
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
        factors = self.by_label(classes, outputs, weights)
        if factors is None:
            return float(np.log(total).sum() - wanted.sum()) / int(num_samples)
        np.multiply(out, factors, out=out)
        return float(np.vdot(factors, np.log(total) - wanted)) / int(num_samples)

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return int(np.count_nonzero(outputs.argmax(axis=0) == targets))


@dataclass(frozen=True)
class HalfSquaredError(WeightedLoss):
    """½ (output - target)², summed over the K outputs. Targets are (N,) for one output, or (N, K).

    A prediction counts as correct when every output has its target's sign.
    """

    class_weights: Sequence[float] | None = None

    def value_and_gradient(
        self,
        outputs: Tensor,
        targets: NDArray[np.generic],
        out: Tensor,
        weights: Weights | None = None,
    ) -> float:
        num_samples = int(outputs.shape[1])
        columns = _columns(self, outputs, targets)
        np.subtract(outputs, columns, out=out)
        weighted = _times(out, self.by_column(columns, outputs, weights))
        value: float = 0.5 * float(np.vdot(out, weighted)) / num_samples
        np.multiply(weighted, out.dtype.type(1 / num_samples), out=out)
        return value

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return _num_same_sign(outputs, _columns(self, outputs, targets))


@dataclass(frozen=True)
class MeanSquaredError(WeightedLoss):
    """(output - target)², averaged over the K outputs, as PyTorch's `mse_loss`. Targets as of `HalfSquaredError`."""

    class_weights: Sequence[float] | None = None

    def value_and_gradient(
        self,
        outputs: Tensor,
        targets: NDArray[np.generic],
        out: Tensor,
        weights: Weights | None = None,
    ) -> float:
        columns = _columns(self, outputs, targets)
        np.subtract(outputs, columns, out=out)
        weighted = _times(out, self.by_column(columns, outputs, weights))
        value = float(np.vdot(out, weighted)) / out.size
        np.multiply(weighted, out.dtype.type(2 / out.size), out=out)
        return value

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return _num_same_sign(outputs, _columns(self, outputs, targets))


@dataclass(frozen=True)
class Huber(WeightedLoss):
    """½ e² where the error e = output - target is at most delta, else delta (|e| - ½ delta), summed over the K outputs
    (Huber 1964). Targets as of `HalfSquaredError`.

    With c, the error clipped to ±delta, that is c (e - ½ c), and c is its derivative.
    """

    delta: float = 1.0
    class_weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if not self.delta > 0:
            raise StructureError(f"Huber: delta {self.delta}; wanted a positive number")
        super().__post_init__()

    def value_and_gradient(
        self,
        outputs: Tensor,
        targets: NDArray[np.generic],
        out: Tensor,
        weights: Weights | None = None,
    ) -> float:
        num_samples = int(outputs.shape[1])
        columns = _columns(self, outputs, targets)
        error = outputs - columns
        np.clip(error, -self.delta, self.delta, out=out)
        weighted = _times(out, self.by_column(columns, outputs, weights))
        value = float(np.vdot(weighted, error)) - 0.5 * float(np.vdot(weighted, out))
        np.multiply(weighted, out.dtype.type(1 / num_samples), out=out)
        return value / num_samples

    def num_correct(self, outputs: Tensor, targets: NDArray[np.generic]) -> int:
        return _num_same_sign(outputs, _columns(self, outputs, targets))


@dataclass(frozen=True)
class BinaryCrossEntropy(WeightedLoss):
    """-t log sigmoid(z) - (1 - t) log sigmoid(-z) for outputs z, summed over the K outputs: each is a yes or no of its
    own, so a sample may have several labels. Targets are in [0, 1]: (N,) for one output, or (N, K).

    It is max(z, 0) - t z + log(1 + exp(-|z|)), which overflows nowhere. A prediction counts as correct when every
    output is on its target's side.
    """

    class_weights: Sequence[float] | None = None
    middle: ClassVar[float] = 0.5

    def value_and_gradient(
        self,
        outputs: Tensor,
        targets: NDArray[np.generic],
        out: Tensor,
        weights: Weights | None = None,
    ) -> float:
        wanted, num_samples = self._wanted(outputs, targets), int(outputs.shape[1])
        np.abs(outputs, out=out)
        np.negative(out, out=out)
        np.exp(out, out=out)
        factors = self.by_column(wanted, outputs, weights)
        parts = np.log1p(out), np.maximum(outputs, 0), -(wanted * outputs)
        value = sum(float(_times(part, factors).sum()) for part in parts)
        np.multiply(outputs, 0.5, out=out)
        np.tanh(out, out=out)
        np.multiply(out, 0.5, out=out)
        np.add(out, 0.5, out=out)  # sigmoid(z)
        np.subtract(out, wanted, out=out)
        np.multiply(_times(out, factors), out.dtype.type(1 / num_samples), out=out)
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
class Hinge(WeightedLoss):
    """max(0, 1 - t z) for outputs z and targets t of ±1, or its square: linear support vector machines.

    Targets are (N,) of ±1 for one output, or, for K > 1, integer labels (N,): each class against the rest, summed.
    """

    squared: bool = False
    class_weights: Sequence[float] | None = None

    def value_and_gradient(
        self,
        outputs: Tensor,
        targets: NDArray[np.generic],
        out: Tensor,
        weights: Weights | None = None,
    ) -> float:
        signs, num_samples = self._signs(outputs, targets), int(outputs.shape[1])
        if len(outputs) > 1:
            factors = self.by_label(_labels(self, outputs, targets), outputs, weights)
        else:
            factors = self.by_column(signs, outputs, weights)
        np.multiply(outputs, signs, out=out)
        np.subtract(1, out, out=out)
        np.maximum(out, 0, out=out)  # how far each output is short of its margin
        short = _times(out, factors)
        value = float(np.vdot(out, short)) if self.squared else float(short.sum())
        if self.squared:
            np.multiply(out, 2, out=out)
        else:
            np.sign(out, out=out)
        np.multiply(out, signs, out=out)
        np.multiply(_times(out, factors), out.dtype.type(-1 / num_samples), out=out)
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


def _times(array: Tensor, factors: Tensor | None) -> Tensor:
    """array * factors; the array itself where there are none."""
    return array if factors is None else array * factors


def _num_same_sign(outputs: Tensor, columns: Tensor) -> int:
    """How many samples have every output on its target's side of zero."""
    return int(np.count_nonzero(((outputs > 0) == (columns > 0)).all(axis=0)))
