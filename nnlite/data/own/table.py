"""Tables: a CSV or TSV file becomes a dataset, in two passes over its lines, with no more in memory than its arrays.

The first pass finds out what each column is, and the labels, which decide about the split; the second one fills the
rows of both splits, which are standardized at last by what the train split has.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite.data.dataset import Dataset, Split
from nnlite.data.inputs import (
    CATEGORY,
    FLAG,
    MISSING,
    NUMBER,
    Amounts,
    Column,
    Table,
    Wrong,
    as_flags,
    as_numbers,
    check_held,
)
from nnlite.data.own import splits
from nnlite.data.own.lines import Block, Lines
from nnlite.data.own.reading import AMOUNTS, TEST, Reading
from nnlite.errors import DataError, UsageError

TARGETS = ("target", "label", "class", "y")  # names of columns, in any case of their letters
MOST_TEXTS = 256  # of a category: each is an input
ALMOST_ALL = 0.8  # of the cells are numbers: the others are mistakes
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


def read(path: Path, reading: Reading) -> Dataset:
    """The dataset of a CSV or TSV file. Raises DataError with the line of what is wrong, UsageError."""
    reading.refuse_but(("target", "features", "ignore", "missing", "task", "test"), "a table")
    lines = Lines(path)
    chosen = Chosen.of(lines, reading)
    seen = _survey(lines, chosen)
    columns = [seen.columns[name].column(lines) for name in chosen.features]
    names, labels = seen.targets(lines, chosen, reading.task)
    strata = labels if names else np.zeros(len(labels), np.uint8)
    tested = splits.set_aside(strata, reading.test or TEST, f"{path}, {chosen.target!r}")
    in_test = np.zeros(len(labels), bool)
    in_test[tested] = True
    table = Table(tuple(columns), chosen.target, "mean" if chosen.missing == "mean" else "error")
    train, test = (np.empty((count, table.width), np.float32) for count in (len(labels) - len(tested), len(tested)))
    _fill(lines, chosen, table, in_test, (train, test))
    table = _standardized(table, train, test)
    amounts = None if names else Amounts.of(labels[~in_test], labels)
    if amounts is not None:
        labels = amounts.standardized(labels)
    rows = Split(train, labels[~in_test]), Split(test, labels[in_test])
    constants = (0.0,), (1.0,)
    return Dataset(splits.name_of(path.name), *rows, len(names), names, *constants, inputs=table, amounts=amounts)


@dataclass(frozen=True)
class Chosen:
    """Which columns are used, and how."""

    target: str
    features: list[str]
    missing: str
    places: dict[str, int]  #: of the columns in the file

    @classmethod
    def of(cls, lines: Lines, reading: Reading) -> Chosen:
        """As the choices say. Raises UsageError for a column that is not there, DataError for one without a name."""
        names, ignored = lines.names, set(reading.ignore or ())
        for option in ("target", "features", "ignore"):
            given = getattr(reading, option)
            for name in (given,) if isinstance(given, str) else given or ():
                if name not in names:
                    there = f"{lines.path} has no column {name!r:.60}; there are {_some(names)}"
                    raise UsageError(f"{option}: {there}", parameter=option)
        target = reading.target or next((name for name in names if name.lower() in TARGETS), names[-1])
        features = [name for name in names if name != target and name not in ignored]
        if reading.features is not None:
            features = [name for name in reading.features if name != target]
        elif "column1" in features and lines.names[0] == "column1":
            raise DataError(
                f"{lines.path}, line 1: column 1 has no name, as where row numbers were written with a table: say "
                "ignore='column1' if it is one, or name it"
            )
        if target in ignored or not features:
            raise UsageError(f"{lines.path}: there is nothing to predict {target!r:.60} from, or it is ignored")
        return cls(target, features, reading.missing or "error", {name: names.index(name) for name in names})

    def whole_rows(self, columns: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
        """Which rows of a block have no cell missing in the columns that are used."""
        found = np.ones(len(columns[0]), bool)
        for name in (*self.features, self.target):
            cells = columns[self.places[name]]
            if not MISSING.isdisjoint(cells):
                found &= [cell not in MISSING for cell in cells]
        return found

    def kept(self, block: Block) -> Block:
        """The rows of a block that are used: all, or without those that miss something."""
        if self.missing != "drop" or (whole := self.whole_rows(block.columns())).all():
            return block
        places = np.flatnonzero(whole)
        return Block([block.rows[place] for place in places], [block.lines[place] for place in places])


# ---- the first pass


@dataclass
class Survey:
    """What the first pass has seen of a column."""

    name: str
    num_rows: int = 0
    num_numbers: int = 0
    missing: list[int] = field(default_factory=list)  #: lines, the first few
    num_missing: int = 0
    texts: set[str] = field(default_factory=set)
    first_text: tuple[int, str] | None = None
    low: float = np.inf
    high: float = -np.inf

    def see(self, cells: Sequence[str], block: Block, lines: Lines) -> None:
        """Some more of its cells."""
        self.num_rows += len(cells)
        if not MISSING.isdisjoint(cells):
            gone = [block.lines[place] for place, cell in enumerate(cells) if cell in MISSING]
            self.num_missing += len(gone)
            self.missing = (self.missing + gone)[:3]
        if len(self.texts) <= MOST_TEXTS:
            self.texts |= set(cells) - MISSING
        numbers = as_numbers(cells)
        if numbers is None:
            self._see_texts(cells, block)
            return
        try:
            check_held(self.name, cells, numbers)
        except Wrong as wrong:
            raise lines.wrong(block.lines[wrong.row], wrong.problem) from None
        there = numbers[~np.isnan(numbers)]
        self.num_numbers += len(there)
        if len(there):
            self.low, self.high = min(self.low, float(there.min())), max(self.high, float(there.max()))

    def _see_texts(self, cells: Sequence[str], block: Block) -> None:
        for place, cell in enumerate(cells):
            if cell in MISSING:
                continue
            if as_numbers([cell]) is not None:
                self.num_numbers += 1
            elif self.first_text is None:
                self.first_text = block.lines[place], cell

    def column(self, lines: Lines) -> Column:
        """What it is. Raises DataError for what can be no input."""
        num_there = self.num_rows - self.num_missing
        if not num_there:
            raise DataError(f"{lines.path}: {self.name!r} has no cell that holds something: ignore= it")
        if self.first_text is None:
            offset = (self.low + self.high) / 2 if self.low < self.high else self.low
            return Column(self.name, NUMBER, mean=offset, low=self.low, high=self.high)
        line, text = self.first_text
        if self.num_numbers >= ALMOST_ALL * num_there:
            raise lines.wrong(line, f"{self.name!r}: {text!r:.60} is not a number, as most others are: mend it")
        if all(_DECIMAL_COMMA.fullmatch(one) or as_numbers([one]) is not None for one in self.texts):
            number = text.replace(",", ".")
            raise lines.wrong(
                line, f"{self.name!r}: {text!r:.40} has a decimal comma: write {number} (and all others so)"
            )
        if as_flags(list(self.texts)) is not None:
            return Column(self.name, FLAG, mean=0.0, low=0.0, high=1.0)
        if len(self.texts) > MOST_TEXTS or 2 * len(self.texts) > max(num_there, 40):
            many = f"more than {MOST_TEXTS}" if len(self.texts) > MOST_TEXTS else f"{len(self.texts)}"
            raise lines.wrong(
                line, f"{self.name!r} has {many} different texts in {num_there:,} rows: no category; ignore= it"
            )
        return Column(self.name, CATEGORY, low=0.0, high=1.0, texts=tuple(sorted(self.texts)))


@dataclass
class Surveys:
    """What the first pass has seen."""

    columns: dict[str, Survey]
    labels: array[int]  #: of each row: the place of its text among `texts`
    texts: dict[str, int]
    amounts: array[float]  #: of each row, where all were numbers

    def see_targets(self, cells: Sequence[str], is_number: bool) -> None:
        """Some more targets. Texts are counted from the first on, as the column may turn out to be one of texts."""
        numbers = as_numbers(cells) if is_number else None
        if numbers is not None:
            self.amounts.extend(numbers)
        if len(self.texts) <= splits.MOST_CLASSES:
            self.labels.extend(self.texts.setdefault(text, len(self.texts)) for text in cells)

    def targets(self, lines: Lines, chosen: Chosen, task: str | None) -> tuple[tuple[str, ...], NDArray[Any]]:
        """Names of the classes, in order, and the number of each row's; no names, and the amounts, of a target that is
        an amount."""
        found, where = self.columns[chosen.target], f"{lines.path}, {chosen.target!r}"
        if found.num_missing:
            raise lines.wrong(
                found.missing[0],
                f"the target {chosen.target!r} is missing, {_times(found.num_missing)}: missing='drop'",
            )
        if found.first_text is None:
            return self._of_numbers(lines, chosen, task)
        if task == AMOUNTS:
            line, text = found.first_text
            raise lines.wrong(line, f"the target {chosen.target!r}: {text!r:.60} is no amount")
        counts = np.bincount(np.asarray(self.labels))
        splits.check_classes(len(counts), len(self.labels), list(self.texts), where)
        names = sorted(self.texts)
        order = np.array([names.index(text) for text in self.texts])
        return tuple(names), splits.as_numbers(order[np.asarray(self.labels)], len(names))

    def _of_numbers(self, lines: Lines, chosen: Chosen, task: str | None) -> tuple[tuple[str, ...], NDArray[Any]]:
        """The same of a target that is a number."""
        where, amounts = f"{lines.path}, {chosen.target!r}", np.asarray(self.amounts)
        if task == AMOUNTS or (task is None and not splits.are_classes(amounts)):
            if amounts.min() == amounts.max():
                raise DataError(f"{where}: all rows have the same amount {amounts[0]:g}: there is nothing to learn")
            return (), amounts
        if (fractions := amounts != np.round(amounts)).any():
            raise DataError(f"{where}: {amounts[np.argmax(fractions)]:g} is the number of no class: task='amounts'")
        return splits.classes(amounts.astype(np.int64), where)


def _survey(lines: Lines, chosen: Chosen) -> Surveys:
    """The first pass. Raises DataError when cells are missing, with their number, unless something is said of them."""
    found = {name: Survey(name) for name in (*chosen.features, chosen.target)}
    seen, target = Surveys(found, array("l"), {}, array("d")), found[chosen.target]
    for block, columns in _kept(lines, chosen):
        for name, survey in found.items():
            survey.see(columns[chosen.places[name]], block, lines)
        seen.see_targets(columns[chosen.places[chosen.target]], is_number=target.first_text is None)
        if target.first_text is not None and len(seen.texts) > splits.MOST_CLASSES:
            splits.check_classes(len(seen.texts), len(seen.labels), [], f"{lines.path}, {chosen.target!r}")
    if not target.num_rows:
        raise DataError(f"{lines.path} has no rows{' that are whole' if chosen.missing == 'drop' else ''}")
    gone = [survey for name, survey in found.items() if survey.num_missing and name != chosen.target]
    if gone and chosen.missing == "error":
        counts = ", ".join(f"{survey.name!r} {survey.num_missing:,}" for survey in gone[:5])
        more = f" and {len(gone) - 5} more columns" if len(gone) > 5 else ""
        raise lines.wrong(gone[0].missing[0], f"cells are missing ({counts}{more}): missing='mean', or drop")
    return seen


# ---- the second pass


def _fill(
    lines: Lines, chosen: Chosen, table: Table, in_test: NDArray[np.bool_], out: Sequence[NDArray[np.float32]]
) -> None:
    """Write the inputs of all rows, less an offset near their mean, into those of train and of test."""
    first, filled = 0, [0, 0]
    for block, columns in _kept(lines, chosen):
        part = np.empty((len(block.rows), table.width), np.float32)
        start = 0
        for column in table.columns:
            try:
                column.fill(part[:, start : start + column.width], columns[chosen.places[column.name]])
            except Wrong as wrong:
                raise lines.wrong(block.lines[wrong.row], f"{wrong.problem} (the file has changed?)") from None
            start += column.width
        if first + len(part) > len(in_test):
            raise DataError(f"{lines.path} has changed while it was read: try again")
        of_test = in_test[first : first + len(part)]
        for which, rows in enumerate((part[~of_test], part[of_test])):
            out[which][filled[which] : filled[which] + len(rows)] = rows
            filled[which] += len(rows)
        first += len(part)
    if first != len(in_test):
        raise DataError(f"{lines.path} has changed while it was read: try again")


def _kept(lines: Lines, chosen: Chosen) -> Iterator[tuple[Block, list[tuple[str, ...]]]]:
    for block in map(chosen.kept, lines.blocks()):
        if block.rows:
            yield block, block.columns()


def _standardized(table: Table, train: NDArray[np.float32], test: NDArray[np.float32]) -> Table:
    """The table with what the train split says of it, after both splits were standardized in place."""
    made, start = [], 0
    for column in table.columns:
        end = start + column.width
        learned = column if column.kind == CATEGORY else _learned(column, train[:, start])
        for rows in (train[:, start:end], test[:, start:end]):
            np.subtract(rows, learned.mean - column.mean, out=rows)
            np.divide(rows, learned.std, out=rows)
            rows[np.isnan(rows)] = 0
        made.append(learned)
        start = end
    return replace(table, columns=tuple(made))


def _learned(column: Column, cells: NDArray[np.float32]) -> Column:
    """A column with mean and deviation of its cells, (N,), which are less the mean that it had."""
    there = cells[~np.isnan(cells)].astype(np.float64)
    if not len(there):
        return column
    return replace(column, mean=column.mean + float(there.mean()), std=float(there.std()) or 1.0)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
