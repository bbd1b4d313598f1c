"""Scores: how good predictions are, on the whole and by class, with what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.errors import UsageError

CORNER = "is \\ taken for"
WIDE = 20  # classes: beyond, a matrix of them is no longer read


@dataclass(frozen=True, eq=False)
class Scores:
    """Of N rows and K classes.

    confusion: (K, K), the rows of class i that were taken for class j. log_loss: mean of -log of the probability that a
        row's class was given; None where outputs are no probabilities.
    """

    classes: tuple[str, ...]
    confusion: NDArray[np.int64]
    log_loss: float | None = None

    @classmethod
    def of(
        cls, classes: tuple[str, ...], wanted: NDArray[Any], found: NDArray[Any], probabilities: NDArray[Any] | None
    ) -> Scores:
        """wanted, found: (N,) numbers of classes. probabilities: (N, K)."""
        num = len(classes)
        confusion = np.bincount(wanted.astype(np.int64) * num + found, minlength=num * num).reshape(num, num)
        if probabilities is None:
            return cls(classes, confusion)
        given = probabilities[np.arange(len(wanted)), wanted].astype(np.float64)
        return cls(classes, confusion, float(-np.log(np.maximum(given, np.finfo(np.float32).tiny)).mean()))

    @property
    def count(self) -> int:
        """N"""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return float(np.trace(self.confusion)) / self.count

    @property
    def precision(self) -> NDArray[np.float64]:
        """(K,): of those taken for a class, the share that is of it; NaN where there are none."""
        return _shares(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        """(K,): of those of a class, the share that is taken for it; NaN where there are none."""
        return _shares(np.diag(self.confusion), self.confusion.sum(axis=1))

    def values(self) -> dict[str, Any]:
        """As JSON values; null for what is not known."""
        return {
            "count": self.count,
            "accuracy": self.accuracy,
            "log_loss": self.log_loss,
            "classes": list(self.classes),
            "precision": [None if np.isnan(one) else float(one) for one in self.precision],
            "recall": [None if np.isnan(one) else float(one) for one in self.recall],
            "confusion": self.confusion.tolist(),
        }

    def __str__(self) -> str:
        loss = "" if self.log_loss is None else f", log loss {self.log_loss:.4f}"
        lines = [f"accuracy {self.accuracy:.4f} of {self.count:,} rows{loss}", "", *self._by_class()]
        return "\n".join(lines + (["", *self._matrix()] if len(self.classes) <= WIDE else []))

    def _by_class(self) -> list[str]:
        width = max(5, *(len(name) for name in self.classes))
        rows = zip(self.classes, self.precision, self.recall, self.confusion.sum(axis=1), strict=True)
        return [f"{'class':{width}}  precision  recall    rows"] + [
            f"{name:{width}}  {_text(precision):>9}  {_text(recall):>6}  {count:>6,}"
            for name, precision, recall, count in rows
        ]

    def _matrix(self) -> list[str]:
        cells = [[str(one) for one in row] for row in self.confusion.tolist()]
        widths = [max(len(name), *(len(row[at]) for row in cells)) for at, name in enumerate(self.classes)]
        first = max(len(CORNER), *(len(name) for name in self.classes))
        head = "  ".join(f"{name:>{width}}" for name, width in zip(self.classes, widths, strict=True))
        return [f"{CORNER:{first}}  {head}"] + [
            f"{name:{first}}  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
            for name, row in zip(self.classes, cells, strict=True)
        ]


@dataclass(frozen=True)
class Errors:
    """How far N amounts are off: root of the mean square, mean, and the share of the variance that is explained."""

    count: int
    rmse: float
    mae: float
    r2: float

    @classmethod
    def of(cls, wanted: NDArray[Any], found: NDArray[Any]) -> Errors:
        """wanted, found: (N,). Raises UsageError for what are no amounts."""
        try:
            numbers = wanted.astype(np.float64)
        except (TypeError, ValueError):
            numbers = np.full(1, np.nan)
        if numbers.shape != found.shape or not len(numbers) or not np.isfinite(numbers).all():
            raise UsageError(
                f"y: wanted an amount for each of {len(found):,} rows, found {wanted.dtype} {wanted.shape}"
            )
        errors, spread = found - numbers, float(np.square(numbers - numbers.mean()).sum())
        squares = float(np.square(errors).sum())
        r2 = 1 - squares / spread if spread else float("nan")
        return cls(len(numbers), float(np.sqrt(squares / len(numbers))), float(np.abs(errors).mean()), r2)

    def values(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        return f"RMSE {self.rmse:.4g}, mean error {self.mae:.4g}, R2 {self.r2:.4f} of {self.count:,} rows"


def numbers(labels: NDArray[Any], classes: Sequence[str], num_classes: int) -> NDArray[np.int64]:
    """The number of each label's class, (N,): labels are names of classes, or their numbers where they are no names.

    Raises UsageError for a label that is neither.
    """
    if labels.ndim != 1 or not len(labels):
        raise UsageError(f"y: wanted a label for each row, found {labels.shape}")
    texts, places = np.unique(labels.astype(str), return_inverse=True)
    if classes and all(text in classes for text in texts.tolist()):
        known = np.array([classes.index(text) for text in texts.tolist()], np.int64)
        return known[places.reshape(-1)]
    if labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < num_classes:
        return labels.astype(np.int64)
    unknown = next((text for text in texts.tolist() if text not in classes), "")
    known_ones = ", ".join(classes[:10]) or f"0 to {num_classes - 1}"
    raise UsageError(f"y: {unknown!r:.60} is no class of this model; there are {known_ones}")


def _shares(parts: NDArray[Any], wholes: NDArray[Any]) -> NDArray[np.float64]:
    found = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=found, where=wholes > 0)
    return found


def _text(share: float) -> str:
    return "-" if np.isnan(share) else f"{share:.3f}"
