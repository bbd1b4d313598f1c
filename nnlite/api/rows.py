"""Arrays of one's own as a dataset: rows, labels of any kind as classes, and a test split."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.data import Dataset, Split
from nnlite.data.shuffle import permutation
from nnlite.errors import UsageError

TEST_RATE = 0.2  # of the rows, unless a test split is given
NAME = "arrays"


def dataset_of(rows: Any, test: Any = None, seed: int = 0, num_outputs: int | None = None) -> Dataset:
    """The dataset that two arrays are.

    rows: (x, y). x: (N, D), (N, H, W) or (N, C, H, W), of uint8 (pixels, which are scaled to mean 0 and deviation 1
        by channel) or of other numbers, which are used as they are. y: (N,) labels, integers or texts.
    test: (x, y), or the share of the rows that is set aside by `seed`, of each class alike.
    num_outputs: of the network, if that is known; with one, labels of -1 and +1 stay targets.
    Raises UsageError.
    """
    x, y = _pair(rows, "the data")
    whole = _rows(x, "x")
    names, labels = _classes(_labels(y, len(whole), "y"), num_outputs)
    if test is None or isinstance(test, (int, float)):
        chosen = _stratified(labels, TEST_RATE if test is None else test, seed)
        rest = np.setdiff1d(np.arange(len(labels)), chosen)
        train, tested = Split(whole[rest], labels[rest]), Split(whole[chosen], labels[chosen])
    else:
        test_x, test_y = _pair(test, "test")
        of_test = _rows(test_x, "x of test")
        train = Split(whole, labels)
        tested = Split(of_test, _as_known(_labels(test_y, len(of_test), "y of test"), names, labels.dtype))
        if tested.x.shape[1:] != whole.shape[1:] or tested.x.dtype != whole.dtype:
            raise UsageError(
                f"test: its rows are {tested.x.shape[1:]} {tested.x.dtype}, those to train on {whole.shape[1:]} "
                f"{whole.dtype}"
            )
    mean, std = _constants(train.x)
    is_target = names is None
    texts = () if names is None else tuple(str(one) for one in names.tolist())
    return Dataset(NAME, train, tested, 1 if is_target else len(texts), texts, mean, std)


def _pair(given: Any, what: str) -> tuple[Any, Any]:
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise UsageError(f"{what}: wanted (x, y), two arrays with a row each a sample, found {type(given).__name__}")
    return given[0], given[1]


def _array(given: Any, what: str) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError as error:
        raise UsageError(f"{what} is no array: {error}") from None


def _rows(given: Any, what: str) -> NDArray[Any]:
    """Rows as a split has them."""
    x = _array(given, what)
    if x.dtype.kind not in "biuf" or x.ndim not in (2, 3, 4):
        raise UsageError(
            f"{what}: wanted numbers (N, D), or images (N, H, W) or (N, C, H, W), found {x.dtype} {x.shape}"
        )
    if x.ndim == 4 and x.shape[3] in (1, 3, 4) and x.shape[1] > 4:
        raise UsageError(f"{what}: images {x.shape[1:]} have their channels last: say x.transpose(0, 3, 1, 2)")
    shaped = x[:, None] if x.ndim == 3 else x
    return np.ascontiguousarray(shaped, None if x.dtype == np.uint8 else np.float32)


def _labels(given: Any, num_rows: int, what: str) -> NDArray[Any]:
    y = _array(given, what)
    if y.dtype.kind == "O" and y.ndim == 1 and all(isinstance(one, str) for one in y.tolist()):
        y = y.astype(np.str_)
    if y.dtype.kind == "f":
        raise UsageError(
            f"{what}: numbers with fractions ({y.dtype}) are targets of a regression, which runs do not train yet: "
            "wanted labels, integers or texts; if these are labels, say y.astype(int)"
        )
    if y.dtype.kind not in "biuUS" or y.ndim != 1 or len(y) != num_rows:
        raise UsageError(f"{what}: wanted {num_rows} labels (N,), integers or texts, found {y.dtype} {y.shape}")
    return y


def _classes(y: NDArray[Any], num_outputs: int | None) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    """(the labels that there are, the number of each row's among them); (None, y) for targets of -1 and +1."""
    names, numbers = np.unique(y, return_inverse=True)
    if num_outputs == 1 and y.dtype.kind == "i" and names.tolist() == [-1, 1]:
        return None, y.astype(np.int8)
    if len(names) < 2:
        raise UsageError(f"y: all rows have the same label {names[:1].tolist()}: there is nothing to learn")
    return names, numbers.reshape(-1).astype(np.uint8 if len(names) <= 256 else np.int32)


def _as_known(y: NDArray[Any], names: NDArray[Any] | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The labels of a test split as the numbers that they have in the train split."""
    if names is None:
        return y.astype(np.int8)
    try:
        found = np.isin(y, names)
    except TypeError:
        found = np.zeros(len(y), bool)
    if not found.all():
        unknown = np.unique(y[~found])[:5].tolist()
        raise UsageError(f"y of test: the labels {unknown} are in no row to train on")
    return np.searchsorted(names, y).astype(dtype)


def _stratified(labels: NDArray[Any], rate: float, seed: int) -> NDArray[np.int64]:
    """The rows of a test split: of each class its share, at least one where it has two; in order."""
    if isinstance(rate, bool) or not 0 < rate < 1:
        raise UsageError(f"test {rate}: wanted (x, y), or a share of the rows above 0, below 1")
    chosen = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = min(len(rows) - 1, max(1, round(rate * len(rows))))
        chosen.append(rows[permutation(len(rows), seed)[:count]])
    found = np.sort(np.concatenate(chosen))
    if not len(found):
        raise UsageError(f"test {rate}: each class has one row alone, so none can be set aside: give test=(x, y)")
    return found


def _constants(x: NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of pixels by channel, in units of x/255; 0 and 1 of numbers, which are used as they are."""
    if x.dtype != np.uint8:
        return (0.0,), (1.0,)
    axes = (0, 2, 3) if x.ndim == 4 else None
    mean = np.atleast_1d(x.mean(axis=axes, dtype=np.float64)) / 255
    std = np.atleast_1d(x.std(axis=axes, dtype=np.float64)) / 255
    return tuple(mean.tolist()), tuple(float(one) or 1.0 for one in std)
