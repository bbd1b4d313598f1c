"""Arrays of one's own: in memory, in an .npz, or in a folder of .npy files."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.data.dataset import Dataset, Split, first_not_finite, num_masked
from nnlite.data.files import opened
from nnlite.data.inputs import EXACT, MOST, Amounts, Numbers
from nnlite.data.own import splits
from nnlite.data.own.reading import AMOUNTS, TEST, Reading
from nnlite.errors import DataError, UsageError

X, Y = ("x", "data", "images", "features"), ("y", "target", "targets", "label", "labels")
_DAMAGED = (ValueError, OSError, EOFError, KeyError, SyntaxError, zipfile.BadZipFile, zlib.error, tokenize.TokenError,
            NotImplementedError, RuntimeError, MemoryError)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What is said of targets."""

    class_names: Any = None
    task: str | None = None


def from_arrays(
    x: Any, y: Any, *, test: Any = None, class_names: Any = None, task: str | None = None, name: str = "arrays",
    seed: int = splits.SEED,
) -> Dataset:  # fmt: skip
    """The dataset that two arrays are.

    x: (N, D), (N, H, W), (N, C, H, W) or (N, H, W, C). Integers from 0 to 255 of the latter three, and all of uint8,
        are pixels; other numbers are standardized by what the train split has, by feature or channel.
    y: (N,) labels: integers, texts or truth values; or amounts: floats that are no few whole numbers.
    test: (x, y), or the share of the rows that is set aside by `seed`, of each class alike (0.2).
    class_names: K names, where the labels are the numbers of classes.
    task: "classes" or "amounts", where y could be both.
    Raises DataError when they do not fit together, UsageError for a share that is none.
    """
    if test is None or isinstance(test, (int, float)):
        rate = Reading(test=TEST if test is None else test, task=task).test
        assert rate is not None
        return _split(x, y, rate, Said(class_names, task), name, name, seed)
    if not isinstance(test, (tuple, list)) or len(test) != 2:
        raise UsageError(f"test: wanted (x, y), or a share of the rows, found {type(test).__name__}")
    return _assembled((x, y), (test[0], test[1]), Said(class_names, task), name, name)


def read_npz(path: Path, reading: Reading) -> Dataset:
    """An .npz that holds x and y, or x_train, y_train, x_test and y_test. Raises DataError."""
    reading.refuse_but(("task", "test"), "arrays")
    with opened(path) as file, _loaded(file, path) as held:
        arrays = {key.lower(): _checked(lambda key=key: held[key], f"{path}, array {key!r}") for key in held.files}
    return _of_named(arrays, str(path), splits.name_of(path.name), reading)


def read_folder(folder: Path, reading: Reading) -> Dataset:
    """A folder that holds x.npy and y.npy, or x_train.npy, y_train.npy, x_test.npy and y_test.npy. Raises DataError."""
    reading.refuse_but(("task", "test"), "arrays")
    paths = {path.stem.lower(): path for path in sorted(folder.glob("*.npy"))}
    arrays = {
        stem: _checked(lambda path=path: np.load(path, allow_pickle=False), str(path)) for stem, path in paths.items()
    }
    return _of_named(arrays, str(folder), splits.name_of(folder.resolve().name), reading)


def rows_and_labels(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """x of an .npz or .npy; and y, where an .npz has it. Of one with splits, those of the test. Raises DataError."""
    with opened(path) as file:
        if path.suffix.lower() == ".npy":
            return _checked(lambda: np.load(file, allow_pickle=False), str(path)), None
        with _loaded(file, path) as held:
            named = {key.lower(): key for key in held.files}

            def first(names: tuple[str, ...]) -> Any:
                key = next((named[one + part] for part in ("", "_test") for one in names if one + part in named), None)
                return None if key is None else _checked(lambda: held[key], f"{path}, array {key!r}")

            if (x := first(X)) is None:
                raise DataError(f"{path}: wanted an array x; found {', '.join(sorted(named)) or 'none'}")
            return x, first(Y)


def _loaded(file: Any, path: Path) -> Any:
    found = _checked(lambda: np.load(file, allow_pickle=False), str(path))
    if isinstance(found, np.ndarray):
        raise DataError(f"{path} is one array: x and y are wanted, in an .npz or as x.npy and y.npy in a folder")
    return found


def _checked(make: Any, where: str) -> Any:
    """What a damaged file makes of NumPy is an error of ours."""
    try:
        return make()
    except FileNotFoundError:
        raise DataError(f"no file {where}") from None
    except _DAMAGED as error:
        pickled = "Object arrays" in str(error) or "pickled" in str(error)
        reason = "holds Python objects, which could run code: save numbers or texts" if pickled else str(error)
        raise DataError(f"{where}: damaged or no NumPy file ({reason})") from None


def _of_named(arrays: Mapping[str, NDArray[Any]], where: str, name: str, reading: Reading) -> Dataset:
    def named(names: tuple[str, ...], part: str) -> str | None:
        return next((one + part for one in names if one + part in arrays), None)

    whole, train, test = ([named(X, part), named(Y, part)] for part in ("", "_train", "_test"))
    heeded = [key for key in (whole if None not in whole else [*train, *test]) if key is not None]
    if None in whole and None in train:
        raise DataError(
            f"{where}: wanted arrays x and y, or x_train, y_train, x_test and y_test; found "
            f"{', '.join(sorted(arrays)) or 'none'}: name them so, as in numpy.savez('my.npz', x=x, y=y)"
        )
    if len(heeded) not in (2, 4):
        raise DataError(f"{where}: x_train and y_train are there, x_test and y_test are not")
    if others := sorted(set(arrays) - set(heeded)):
        raise DataError(f"{where}: nothing is known of its {others[0]!r} beside {', '.join(heeded)}: leave it out")
    if len(heeded) == 2:
        x, y = (arrays[key] for key in heeded)
        return _split(x, y, reading.test or TEST, Said(task=reading.task), name, where, splits.SEED)
    if reading.test is not None:
        raise UsageError(f"test does nothing for {where}, which has a test split: leave it out", parameter="test")
    x, y, u, v = (arrays[key] for key in heeded)
    return _assembled((x, y), (u, v), Said(task=reading.task), name, where)


def _split(x: Any, y: Any, rate: float, said: Said, name: str, where: str, seed: int) -> Dataset:
    rows = _rows(x, f"{where}, x")
    names, labels = _named(_labels(y, len(rows), f"{where}, y"), said, where)
    tested = splits.set_aside(labels if names else np.zeros(len(labels), np.uint8), rate, where, seed)
    rest = np.setdiff1d(np.arange(len(labels)), tested)
    return _made((rows[rest], labels[rest]), (rows[tested], labels[tested]), names, name, where)


def _assembled(train: tuple[Any, Any], test: tuple[Any, Any], said: Said, name: str, where: str) -> Dataset:
    x, u = _rows(train[0], f"{where}, x of train"), _rows(test[0], f"{where}, x of test")
    y = _labels(train[1], len(x), f"{where}, y of train")
    v = _labels(test[1], len(u), f"{where}, y of test")
    if x.shape[1:] != u.shape[1:] or x.dtype != u.dtype:
        raise DataError(
            f"{where}: rows of train are {x.shape[1:]} {x.dtype}, of test {u.shape[1:]} {u.dtype}: wanted the same"
        )
    names, labels = _named(y, said, where)
    if not names:
        _, amounts = _named(v, Said(task=AMOUNTS), where)
        return _made((x, labels), (u, amounts), names, name, where)
    known = np.unique(y) if said.class_names is None else np.arange(len(names))
    if (y.dtype.kind == "U") != (v.dtype.kind == "U") or not np.isin(v, known).all():
        unknown = [one for one in np.unique(v).tolist() if one not in known.tolist()][:5]
        raise DataError(f"{where}: the test split has classes {unknown} that the train split has not")
    return _made((x, labels), (u, splits.as_numbers(np.searchsorted(known, v), len(names))), names, name, where)


def _made(
    train: tuple[NDArray[Any], NDArray[Any]], test: tuple[NDArray[Any], NDArray[Any]], names: tuple[str, ...],
    name: str, where: str,
) -> Dataset:  # fmt: skip
    """The dataset of rows and numbers of classes, or amounts: pixels as they are, other numbers standardized."""
    (x, y), (u, v) = train, test
    amounts = None if names else Amounts.of(y, np.concatenate([y, v]))
    if amounts is not None:
        y, v = amounts.standardized(y), amounts.standardized(v)
    if x.dtype == np.uint8:
        return Dataset(name, Split(x, y), Split(u, v), len(names), names, *constants(x), amounts=amounts)
    for part, rows in (("train", x), ("test", u)):
        if (at := first_not_finite(rows, MOST)) is not None:
            raise DataError(f"{where}: x of {part} holds {at}: remove such rows, or replace the values")
    inputs = Numbers.of(x)
    made = Split(inputs.standardized(x), y), Split(inputs.standardized(u), v)
    return Dataset(name, *made, len(names), names, (0.0,), (1.0,), inputs=inputs, amounts=amounts)


def constants(x: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of pixels, by channel, in units of x/255."""
    whole, channels = np.arange(256), x.shape[1] if x.ndim == 4 else 1
    means, deviations = [], []
    for channel in range(channels):
        counts = np.bincount((x[:, channel] if x.ndim == 4 else x).reshape(-1), minlength=256)
        mean = float(whole @ counts / counts.sum())
        deviation = float(np.sqrt(((whole - mean) ** 2) @ counts / counts.sum()))
        means.append(float(mean) / 255)
        deviations.append(deviation / 255 or 1.0)
    return tuple(means), tuple(deviations)


def as_images(x: NDArray[Any], where: str) -> NDArray[Any]:
    """Rows (N, D) as they are; images as (N, C, H, W), wherever their channels were. Raises DataError."""
    if x.ndim == 3 and x.size:
        return x[:, None]
    if x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        return np.moveaxis(x, 3, 1)
    if x.ndim not in (2, 4) or 0 in x.shape:
        raise DataError(f"{where}: wanted rows (N, D), (N, H, W), (N, C, H, W) or (N, H, W, C), found {x.shape}")
    return x


def _array(given: Any, where: str) -> NDArray[Any]:
    if masked := num_masked(given):
        raise DataError(f"{where}: {masked:,} of its cells are masked: fill them (x.filled(0)), or leave such rows out")
    try:
        found: NDArray[Any] = np.asarray(given)
    except ValueError as error:
        raise DataError(f"{where} is no array: {error}") from None
    return found


def _exact(x: NDArray[Any], where: str) -> None:
    """Refuse whole numbers that would become equal as floats. Raises DataError."""
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8 and x.size:
        beyond = next((one for one in (int(x.max()), int(x.min())) if abs(one) >= EXACT), None)
        if beyond is not None:
            raise DataError(
                f"{where}: {beyond} is beyond 2**53, where whole numbers become equal as floats: subtract what they "
                "have in common, or leave them out"
            )


def _rows(given: Any, where: str) -> NDArray[Any]:
    """Rows as a split has them: uint8 are pixels, anything else is numbers, of any dtype yet."""
    x = _array(given, where)
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where}: wanted numbers, found {x.dtype}: a table with texts is read from a CSV file")
    _exact(x, where)
    x = as_images(x, where)
    are_pixels = x.dtype == np.uint8 or (x.ndim == 4 and x.dtype.kind in "iu" and x.min() >= 0 and x.max() <= 255)
    found: NDArray[Any] = np.ascontiguousarray(x, np.uint8 if are_pixels else x.dtype.newbyteorder("="))
    return found


def _labels(given: Any, num_rows: int, where: str) -> NDArray[Any]:
    y = _array(given, where)
    if y.dtype.kind == "O" and y.ndim == 1 and all(isinstance(one, str) for one in y.tolist()):
        y = y.astype(np.str_)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or len(y) != num_rows:
        raise DataError(f"{where}: wanted one label for each of {num_rows:,} rows, found {y.shape} {y.dtype}")
    if y.dtype.kind not in "biufUS":
        raise DataError(f"{where}: wanted labels, integers or texts, or amounts, found {y.dtype}")
    if (at := first_not_finite(y, MOST)) is not None:
        raise DataError(f"{where}: {at}: remove such rows")
    if y.dtype.kind == "S":
        return np.asarray(np.char.decode(y, "utf-8"))
    return y


def _named(y: NDArray[Any], said: Said, where: str) -> tuple[tuple[str, ...], NDArray[Any]]:
    """Names of the classes, and the number of each row's; or no names, and amounts as float64."""
    is_float = y.dtype.kind == "f"
    if said.task == AMOUNTS or (is_float and said.task is None and not splits.are_classes(y)):
        if y.dtype.kind not in "iuf":
            raise DataError(f"{where}, y: {y.dtype} are no amounts")
        _exact(y, f"{where}, y")
        return (), y.astype(np.float64)
    if is_float:
        if not np.array_equal(y, np.round(y)):
            raise DataError(f"{where}, y: numbers with fractions are of no classes, but amounts")
        y = y.astype(np.int64)
    if said.class_names is None:
        return splits.classes(y, f"{where}, y")
    names = tuple(str(one) for one in said.class_names)
    if y.dtype.kind not in "iu" or not len(y) or y.min() < 0 or y.max() >= len(names):
        raise DataError(f"{where}, y: with {len(names)} names of classes, labels are 0 to {len(names) - 1}")
    return names, splits.as_numbers(y, len(names))
