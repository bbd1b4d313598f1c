"""Inputs: what a model of one's own data is given, and how that becomes the rows that its network was trained on.

It is learned from the train split, is written into the model's file, and makes the same rows of new data: numbers are
standardized, texts become one input for each that there was. Pixels need none of it: see `values`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from nnlite.errors import UsageError, shown
from nnlite.records import OneOf, Range, Unsound, fit

MOST = 1e38  #: float32 holds it, and the difference of two of it
EXACT = 2**53  #: so far whole numbers stay apart in float64
_WHOLE = re.compile(r"[+-]?\d+")
FAR = 10  # widths of the range that numbers may lie outside of it: beyond, they are on another scale
MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "#N/A"})  #: cells that say nothing
FLAGS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}  #: in any case of their letters
NUMBER, FLAG, CATEGORY = KINDS = ("number", "flag", "category")
Deviation = Annotated[float, Range(1e-300, 1e300)]
Where = Callable[[int], str]  #: of a row by its position: how an error names it


@dataclass(frozen=True)
class Column:
    """A column of a table: numbers, which are standardized; true or false; or texts, one input each."""

    name: str
    kind: Annotated[str, OneOf(KINDS)]
    mean: float = 0.0
    std: Deviation = 1.0
    low: float = 0.0  #: the range of the data
    high: float = 0.0
    texts: tuple[str, ...] = ()  #: of a category

    @property
    def width(self) -> int:
        """How many inputs it becomes."""
        return len(self.texts) if self.kind == CATEGORY else 1

    def fill(self, out: NDArray[np.float32], cells: Sequence[str]) -> None:
        """Write cells, (N,) texts without blanks around them, to `out` (N, width), as they are: numbers are not
        standardized yet, and a missing one is NaN. Raises Wrong."""
        if self.kind == CATEGORY:
            known = {text: place for place, text in enumerate(self.texts)}
            places = np.array([known.get(cell, -1) for cell in cells], np.intp)
            for row in np.flatnonzero(places < 0).tolist():
                if cells[row] not in MISSING:
                    raise Wrong(row, f"{self.name!r}: {cells[row]!r:.60} is not one of {_some(self.texts)}")
            out[:] = 0
            rows = np.flatnonzero(places >= 0)
            out[rows, places[rows]] = 1
            out[places < 0, 0] = np.nan
        else:
            out[:, 0] = self.numbers(cells) - self.mean

    def numbers(self, cells: Sequence[str]) -> NDArray[np.float64]:
        """The numbers of cells, NaN for missing ones. Raises Wrong."""
        found = as_flags(cells) if self.kind == FLAG else as_numbers(cells)
        if found is None:
            read = as_flags if self.kind == FLAG else as_numbers
            row = next(row for row, cell in enumerate(cells) if read([cell]) is None)
            wanted = "true or false" if self.kind == FLAG else "a number"
            raise Wrong(row, f"{self.name!r}: {cells[row]!r:.60} is not {wanted}")
        check_held(self.name, cells, found)
        return found

    def check_range(self, numbers: NDArray[np.float64]) -> None:
        """Raise Wrong for numbers on another scale than those of the train split."""
        width = FAR * ((self.high - self.low) or max(1.0, abs(self.low)))
        far = (numbers < self.low - width) | (numbers > self.high + width)
        if self.kind == NUMBER and far.any():
            row = int(np.argmax(far))
            raise Wrong(
                row,
                f"{self.name!r}: {numbers[row]:g} is far outside {self.low:g} to {self.high:g}, the range of the data "
                "that this model was trained on: give it in the same unit",
            )


def check_held(name: str, cells: Sequence[str], numbers: NDArray[np.float64]) -> None:
    """Raise Wrong for cells that are not what `as_numbers` made of them: too large, or whole and not exact any more."""
    for row in np.flatnonzero(np.abs(numbers) >= EXACT).tolist():
        if np.isinf(numbers[row]) or abs(numbers[row]) > MOST:
            raise Wrong(row, f"{name!r}: {cells[row]!r:.60} is not a finite number of at most {MOST:g}")
        if _WHOLE.fullmatch(cells[row]):
            raise Wrong(
                row,
                f"{name!r}: {cells[row]!r:.60} is beyond 2**53, where whole numbers become equal as floats: leave the "
                "column out, or subtract what its numbers have in common",
            )


class Wrong(ValueError):
    """What is wrong with a cell, and in which row of those that were given."""

    def __init__(self, row: int, problem: str):
        super().__init__(problem)
        self.row, self.problem = row, problem


@dataclass(frozen=True)
class Table:
    """Rows of a table: by name, or in the order of the columns."""

    columns: tuple[Column, ...]
    target: str = ""  #: the column that the network answers
    missing: Annotated[str, OneOf(("error", "mean"))] = "error"  #: what a missing cell is taken for

    def __post_init__(self) -> None:
        if not self.columns or len({column.name for column in self.columns}) != len(self.columns):
            raise UsageError("expected columns, each with a name of its own")
        for column in self.columns:
            if (column.kind == CATEGORY) != bool(column.texts) or column.low > column.high:
                raise UsageError(f"the column {column.name!r} contradicts itself")

    @property
    def width(self) -> int:
        """D, the number of inputs of a network."""
        return sum(column.width for column in self.columns)

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a network that wants rows of that shape can have these."""
        return shape == (self.width,)

    def rows(self, given: Any) -> NDArray[np.float32]:
        """(N, D) float32 of an array (N, columns), a list of rows, a list of dicts, one of these, or a data frame.

        Raises UsageError.
        """
        cells, names = _cells(given), [column.name for column in self.columns]
        if any(isinstance(row, Mapping) for row in cells):
            cells = [[_of(row, name, place) for name in names] for place, row in enumerate(cells)]
        for place, row in enumerate(cells):
            if len(row) != len(names):
                raise UsageError(f"row {place} has {len(row)} cells, wanted {len(names)}: {_some(names)}")
        return self.encoded([[as_text(cell) for cell in row] for row in cells], lambda row: f"row {row}")

    def encoded(self, rows: Sequence[Sequence[str]], where: Where) -> NDArray[np.float32]:
        """(N, D) float32 of rows of texts, in the order of the columns. Raises UsageError that names the row."""
        out = np.empty((len(rows), self.width), np.float32)
        start = 0
        for place, column in enumerate(self.columns):
            cells, part = [row[place].strip() for row in rows], out[:, start : start + column.width]
            try:
                column.fill(part, cells)
                if column.kind != CATEGORY:
                    column.check_range(column.numbers(cells))
            except Wrong as wrong:
                raise UsageError(f"{where(wrong.row)}: {wrong.problem}") from None
            self._fill_missing(column, part, where)
            part /= column.std
            start += column.width
        return out

    def _fill_missing(self, column: Column, part: NDArray[np.float32], where: Where) -> None:
        missing = np.isnan(part[:, 0])
        if missing.any() and self.missing == "error":
            raise UsageError(
                f"{where(int(np.argmax(missing)))}: {column.name!r} is missing, and this model was trained on rows "
                "that are whole"
            )
        part[missing] = 0

    def to_json(self) -> dict[str, Any]:
        """What `read` takes."""
        return {"kind": "table", **asdict(self)}


@dataclass(frozen=True)
class Numbers:
    """Arrays of numbers: (N, D), standardized by feature, or (N, C, H, W), by channel."""

    mean: tuple[float, ...]
    std: tuple[Deviation, ...]
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std) or self.low > self.high:
            raise UsageError("expected as many means as standard deviations, and a range that is one")

    @classmethod
    def of(cls, x: NDArray[Any]) -> Numbers:
        """What is learned of the rows of a train split."""
        axes = (0,) if x.ndim == 2 else (0, 2, 3)
        mean, std = x.mean(axis=axes, dtype=np.float64), x.std(axis=axes, dtype=np.float64)
        return cls(tuple(mean.tolist()), tuple(one or 1.0 for one in std.tolist()), float(x.min()), float(x.max()))

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a network that wants rows of that shape can have these."""
        return len(shape) in (1, 3) and len(self.mean) == shape[0]

    def rows(self, given: Any) -> NDArray[np.float32]:
        """The same shape as float32, standardized. Raises UsageError for numbers on another scale."""
        x = np.asarray(given)
        if x.dtype.kind not in "biuf":
            raise UsageError(f"rows to predict are integers or floats, not {x.dtype}: convert them")
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise UsageError("rows to predict hold what is no number: remove or replace it")
        low, high = (float(x.min()), float(x.max())) if x.size else (self.low, self.low)
        width = FAR * ((self.high - self.low) or max(1.0, abs(self.low)))
        if not self.low - width <= low <= high <= self.high + width:
            raise UsageError(
                f"this model was trained on numbers from {self.low:g} to {self.high:g}; found {x.dtype} from {low:g} "
                f"to {high:g}: rows to predict must be on the same scale"
            )
        return self.standardized(x)

    def standardized(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Of mean 0 and deviation 1, by feature or channel."""
        shape = (len(self.mean),) if x.ndim == 2 else (len(self.mean), 1, 1)
        out = np.empty(x.shape, np.float32)
        for start in range(0, len(x), 4096):  # in float64, but not all at once
            part = x[start : start + 4096].astype(np.float64)
            out[start : start + 4096] = (part - np.reshape(self.mean, shape)) / np.reshape(self.std, shape)
        return out

    def to_json(self) -> dict[str, Any]:
        """What `read` takes."""
        return {"kind": "numbers", **asdict(self)}


@dataclass(frozen=True)
class Amounts:
    """What a network answers where there are no classes: numbers, which it learns with mean 0 and deviation 1."""

    mean: float
    std: Deviation
    low: float  #: the range of the data
    high: float

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise UsageError("expected a range that is one")

    @classmethod
    def of(cls, y: NDArray[Any], every: NDArray[Any]) -> Amounts:
        """What is learned of the targets of a train split; every: of both."""
        return cls(float(y.mean()), float(y.std()) or 1.0, float(every.min()), float(every.max()))

    def standardized(self, y: NDArray[Any]) -> NDArray[np.float32]:
        """As a network learns them."""
        return ((y.astype(np.float64) - self.mean) / self.std).astype(np.float32)

    def restored(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs of a network as they were given."""
        return (outputs.astype(np.float64) * self.std + self.mean).astype(np.float32)


Inputs = Table | Numbers
_KINDS: dict[str, Any] = {"table": Table, "numbers": Numbers}


def read(values: Mapping[str, Any]) -> Inputs:
    """What `to_json` wrote. Raises Unsound."""
    fields = dict(values)
    kind = fields.pop("kind", None)
    if kind not in _KINDS:
        raise Unsound(f"expected a text like {' or '.join(_KINDS)}, found {shown(kind)}", "kind")
    found: Inputs = fit(_KINDS[kind], fields)
    return found


def as_numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Cells as numbers, NaN for missing ones; None when one is something else."""
    if "_" in "".join(cells):  # which Python allows in numbers
        return None
    try:
        return np.array(["nan" if cell in MISSING else cell for cell in cells], np.float64)
    except ValueError:
        return None


def as_flags(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """Cells of true and false, or yes and no, as 1 and 0, NaN for missing ones; None when one is something else."""
    found = [np.nan if cell in MISSING else FLAGS.get(cell.lower()) for cell in cells]
    return None if None in found else np.array(found, np.float64)


def as_text(cell: Any) -> str:
    """A cell as a file would have it."""
    if cell is None or (isinstance(cell, float) and isnan(cell)):
        return ""
    return repr(float(cell)) if isinstance(cell, float) else str(cell)


def _cells(given: Any) -> list[Any]:
    """The rows of whatever has some."""
    if hasattr(given, "to_dict") and hasattr(given, "columns"):  # a data frame
        given = given.to_dict("records")
    found = given.tolist() if isinstance(given, np.ndarray) else given
    if isinstance(found, Mapping) or (isinstance(found, (list, tuple)) and found and not _is_row(found[0])):
        found = [found]  # one row
    if not isinstance(found, (list, tuple)) or not found or not all(map(_is_row, found)):
        raise UsageError("rows of a table are an array (N, columns), a list of rows or a list of dicts, at least one")
    return [row.tolist() if isinstance(row, np.ndarray) else row for row in found]


def _is_row(row: Any) -> bool:
    return isinstance(row, (list, tuple, Mapping, np.ndarray))


def _of(row: Any, name: str, place: int) -> Any:
    if not isinstance(row, Mapping) or name not in row:
        raise UsageError(f"row {place} has no {name!r}")
    return row[name]


def _some(texts: Sequence[str]) -> str:
    few = ", ".join(text[:40] for text in texts[:8])
    return few if len(texts) <= 8 else f"{few} and {len(texts) - 8} more"
