"""A dataset: a train and a test split of rows with their targets, checked when they are put together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nnlite.data.shuffle import permutation
from nnlite.errors import DataError, UsageError

_X_DTYPES = ("uint8", "int8", "float32")


@dataclass(frozen=True, eq=False)
class Split:
    """Rows and their targets, in the same order.

    x: (N, C, H, W) or (N, D), uint8, int8 or float32.
    y: (N,) integers: class labels, or targets of -1/+1.
    Raises DataError when they do not fit together.
    """

    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        if self.x.dtype.name not in _X_DTYPES or self.x.ndim not in (2, 4):
            raise DataError(
                f"x must be (N, C, H, W) or (N, D) of {', '.join(_X_DTYPES)}, not {self.x.shape} {self.x.dtype}"
            )
        if self.y.dtype.kind not in "iu" or self.y.ndim != 1:
            raise DataError(f"y must be (N,) integers, not {self.y.shape} {self.y.dtype}")
        if len(self.x) != len(self.y):
            raise DataError(f"mislabelled: {len(self.x)} rows of x, {len(self.y)} of y")

    def __len__(self) -> int:
        return len(self.y)

    def take(self, indices: np.ndarray) -> Split:
        """The rows at `indices`, (n,) integers, in that order (a copy)."""
        return Split(self.x[indices], self.y[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Two splits and what a network has to know about them.

    num_classes: K; 1 for a target of -1/+1, which needs one output.
    class_names: K names, or () where classes have none.
    mean, std: per channel in units of x/255 for uint8, for `to_float`.
    note: how this copy differs from the official dataset; "" if it does not.
    """

    name: str
    train: Split
    test: Split
    num_classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    note: str = ""

    def __post_init__(self) -> None:
        if self.train.x.shape[1:] != self.test.x.shape[1:] or self.train.x.dtype != self.test.x.dtype:
            raise DataError(
                f"{self.name}: train has rows {self.train.x.shape[1:]} {self.train.x.dtype}, "
                f"test {self.test.x.shape[1:]} {self.test.x.dtype}"
            )
        if len(self.class_names) not in (0, self.num_classes):
            raise DataError(f"{self.name}: {len(self.class_names)} names for {self.num_classes} classes")
        for part, split in (("train", self.train), ("test", self.test)):
            check_targets(split.y, self.num_classes, f"{self.name} {part}")

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
    """Raise DataError unless y, (N,) integers, are labels below num_classes, or -1/+1 for num_classes 1."""
    if y.dtype.kind not in "iu" or y.ndim != 1:
        raise DataError(f"{where}: mislabelled: expected labels (N,), found {y.shape} {y.dtype}")
    if not len(y):
        raise DataError(f"{where}: no rows")
    if num_classes == 1:
        if not np.all((y == 1) | (y == -1)):
            raise DataError(f"{where}: mislabelled: expected -1 and +1, found {np.unique(y)[:5].tolist()}")
    elif int(y.min()) < 0 or int(y.max()) >= num_classes:
        raise DataError(f"{where}: mislabelled: expected labels 0 to {num_classes - 1}, found {y.min()} to {y.max()}")


def to_float(
    x: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...], out: np.ndarray | None = None
) -> np.ndarray:
    """Rows as float32, as a network wants them.

    x: (N, C, H, W) or (N, D). uint8 becomes ((x / 255) - mean) / std, as one multiply-add per channel;
    anything else is only converted, as it is on its scale already.
    mean, std: one number for everything, or C of them.
    out: an array of the shape of x, float32, to write to; made if None.
    Returns out. Raises UsageError when mean and std do not fit x.
    """
    if out is None:
        out = np.empty(x.shape, np.float32)
    if x.dtype != np.uint8:
        np.copyto(out, x, casting="unsafe")
        return out
    channels = x.shape[1] if x.ndim == 4 else 1
    if len(mean) != len(std) or len(mean) not in (1, channels):
        raise UsageError(f"mean has {len(mean)} and std {len(std)} numbers; x {x.shape} wants 1 or {channels} of both")
    shape = (len(mean), 1, 1) if x.ndim == 4 else (1,)
    deviation = np.asarray(std, np.float64)
    scale = (1 / (255 * deviation)).astype(np.float32).reshape(shape)
    shift = (-np.asarray(mean, np.float64) / deviation).astype(np.float32).reshape(shape)
    np.multiply(x, scale, out=out)
    np.add(out, shift, out=out)
    return out
