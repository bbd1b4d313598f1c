"""A dataset: a train and a test split of rows with their targets, checked when they are put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

import numpy as np

from nnlite.data.inputs import Amounts, Inputs
from nnlite.data.shuffle import permutation
from nnlite.errors import DataError, UsageError

_X_DTYPES = ("uint8", "int8", "float32")


@dataclass(frozen=True, eq=False)
class Split:
    """Rows and their targets, in the same order.

    x: (N, C, H, W) or (N, D), uint8, int8 or float32.
    y: (N,) integers: class labels, or targets of -1/+1; or float32: amounts.
    Raises DataError when they do not fit together, and for values of x that are no numbers.
    """

    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        if self.x.dtype.name not in _X_DTYPES or self.x.ndim not in (2, 4):
            raise DataError(
                f"x must be (N, C, H, W) or (N, D) of {', '.join(_X_DTYPES)}, not {self.x.shape} {self.x.dtype}"
            )
        if (self.y.dtype.kind not in "iu" and self.y.dtype.name != "float32") or self.y.ndim != 1:
            raise DataError(f"y must be (N,) integers or float32, not {self.y.shape} {self.y.dtype}")
        if len(self.x) != len(self.y):
            raise DataError(f"mislabelled: {len(self.x)} rows of x, {len(self.y)} of y")
        if (at := first_not_finite(self.x)) is not None:
            raise DataError(f"x holds {at}: remove such rows, or replace the values")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: np.ndarray) -> Split:
        """The rows at `indices`, (n,) integers, in that order (a copy)."""
        return Split(self.x[indices], self.y[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Two splits and what a network has to know about them.

    num_classes: K; 1 for a target of -1/+1, which needs one output; 0 for amounts, which do, too.
    class_names: K names, or () where classes have none.
    mean, std: per channel in units of x/255 for uint8, for `to_float`; 0 and 1 for rows of numbers, which are used
        as they are.
    note: how this copy differs from the official dataset; "" if it does not.
    inputs: of one's own data that are no pixels: what makes such rows of what a person gives.
    amounts: what the targets were before they were standardized, where they are no classes.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    note: str = ""
    inputs: Inputs | None = None
    amounts: Amounts | None = None

    def __post_init__(self) -> None:
        if self.train.x.shape[1:] != self.test.x.shape[1:] or self.train.x.dtype != self.test.x.dtype:
            raise DataError(
                f"{self.name}: train has rows {self.train.x.shape[1:]} {self.train.x.dtype}, "
                f"test {self.test.x.shape[1:]} {self.test.x.dtype}"
            )
        if len(self.class_names) not in (0, self.num_classes):
            raise DataError(f"{self.name}: {len(self.class_names)} names for {self.num_classes} classes")
        if (self.num_classes == 0) != (self.amounts is not None):
            raise DataError(f"{self.name}: {self.num_classes} classes, and amounts: {self.amounts}: wanted one of them")
        self._check_constants()
        for part, split in (("train", self.train), ("test", self.test)):
            check_targets(split.y, self.num_classes, f"{self.name} {part}")

    def _check_constants(self) -> None:
        mean, std, x = self.mean, self.std, self.train.x
        channels = x.shape[1] if x.ndim == 4 else 1
        if len(mean) != len(std) or len(mean) not in (1, channels):
            raise DataError(f"{self.name}: mean and std want 1 or {channels} numbers each, not {len(mean)}, {len(std)}")
        if not all(isfinite(number) for number in (*mean, *std)) or not all(number > 0 for number in std):
            raise DataError(f"{self.name}: mean {mean} and std {std} must be numbers, and std above 0")
        if x.dtype != np.uint8 and (any(mean) or any(number != 1 for number in std)):
            raise DataError(
                f"{self.name}: rows of {x.dtype} are used as they are: scale them when they are made, with mean (0,) "
                f"and std (1,), not {mean} and {std}"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row: (C, H, W) or (D,)."""
        return self.train.x.shape[1:]

    def split_validation(self, fraction: float, seed: int) -> tuple[Dataset, Split]:
        """Part of the train split set aside to choose by, so that the test split is looked at once.

        fraction: of the train rows, in (0, 1); at least one row goes to each side.
        Returns the dataset with what is left, and the validation split: disjoint, nothing lost, both
        in the original order, and a function of the dataset and `seed` alone.
        Raises UsageError.
        """
        num_rows = len(self.train)
        num_validation = round(num_rows * fraction) if 0 < fraction < 1 else 0
        if not 0 < num_validation < num_rows or seed < 0:
            raise UsageError(
                f"a validation split of {fraction} of {num_rows} rows with seed {seed} cannot be made: "
                "both sides need a row, and the seed is 0 or more"
            )
        order = permutation(num_rows, seed)
        chosen, rest = np.sort(order[:num_validation]), np.sort(order[num_validation:])
        return replace(self, train=self.train.take(rest)), self.train.take(chosen)

    def digest(self) -> str:
        """The sha256, in hex, of dtype, shape and bytes of x and y of both splits; the name is not in it."""
        import hashlib

        state = hashlib.sha256()
        for array in (self.train.x, self.train.y, self.test.x, self.test.y):
            little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
            state.update(f"{little.dtype.name} {array.shape};".encode())
            state.update(little.reshape(-1).view(np.uint8).data)
        return state.hexdigest()


def check_targets(y: np.ndarray, num_classes: int, where: str) -> None:
    """Raise DataError unless y, (N,) integers, are labels below num_classes, or -1/+1 for num_classes 1; for 0, finite
    float32."""
    if num_classes == 0 and y.dtype.name == "float32" and y.ndim == 1 and len(y) and np.isfinite(y).all():
        return
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise DataError(f"{where}: mislabelled: expected labels (N,), found {y.shape} {y.dtype}")
    if not len(y):
        raise DataError(f"{where}: no rows")
    if num_classes == 1:
        if not np.all((y == 1) | (y == -1)):
            raise DataError(f"{where}: mislabelled: expected -1 and +1, found {np.unique(y)[:5].tolist()}")
    elif int(y.min()) < 0 or int(y.max()) >= num_classes:
        raise DataError(f"{where}: mislabelled: expected labels 0 to {num_classes - 1}, found {y.min()} to {y.max()}")


def num_masked(x: Any) -> int:
    """How many cells of a masked array, or of rows that are such, are masked: NumPy forgets it in `np.asarray`."""
    if isinstance(x, (list, tuple)):
        return sum(num_masked(row) for row in x if isinstance(row, np.ma.MaskedArray))
    return int(np.count_nonzero(np.ma.getmask(x)))


def first_not_finite(x: np.ndarray, most: float = inf) -> str | None:
    """The first value that is no number (NaN, infinite, or beyond `most`) and where it is; None if there is none."""
    if x.dtype.kind != "f" or not x.size:
        return None
    low, high = float(x.min()), float(x.max())  # NaN, if any is
    if isfinite(low) and isfinite(high) and -most <= low <= high <= most:
        return None
    whole = x.astype(np.float64)
    wrong = np.argwhere(~(np.isfinite(whole) & (np.abs(whole) <= most)))
    names = ("row", "column") if x.ndim < 3 else ("sample", "channel", "row", "column")
    place = ", ".join(f"{name} {index}" for name, index in zip(names, wrong[0].tolist(), strict=False))
    more = f" (and {len(wrong) - 1:,} more)" if len(wrong) > 1 else ""
    return f"{x[tuple(wrong[0])]} in {place}, counted from 0{more}"


def to_float(
    x: np.ndarray,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    out: np.ndarray | None = None,
    are_pixels: bool | None = None,
    ends: tuple[float, float] = (0.0, 255.0),
) -> np.ndarray:
    """Rows as float32, as a network wants them.

    x: (N, C, H, W) or (N, D). Pixels become ((x / 255) - mean) / std, as one multiply-add per channel;
    anything else is only converted, as it is on its scale already.
    mean, std: one number for everything, or C of them.
    out: an array of the shape of x, float32, to write to; made if None.
    are_pixels: whether x are pixels, of any dtype; by default those of uint8 are. ends: the values of black and white.
    Returns out. Raises UsageError when mean and std do not fit x.
    """
    if out is None:
        out = np.empty(x.shape, np.float32)
    if not (x.dtype == np.uint8 if are_pixels is None else are_pixels):
        np.copyto(out, x, casting="unsafe")
        return out
    channels = x.shape[1] if x.ndim == 4 else 1
    if len(mean) != len(std) or len(mean) not in (1, channels):
        raise UsageError(f"mean has {len(mean)} and std {len(std)} numbers; x {x.shape} wants 1 or {channels} of both")
    shape, (black, white) = (len(mean), 1, 1) if x.ndim == 4 else (1,), ends
    deviation = np.asarray(std, np.float64)
    scale = (1 / ((white - black) * deviation)).astype(np.float32).reshape(shape)
    shift = (-(np.asarray(mean, np.float64) + black / (white - black)) / deviation).astype(np.float32).reshape(shape)
    if x.dtype != np.uint8:
        np.copyto(out, x, casting="unsafe")
        x = out
    np.multiply(x, scale, out=out)
    np.add(out, shift, out=out)
    return out
