"""Lines: the rows of a CSV or TSV file, a few thousand at a time, each with the number of its line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnlite import magic
from nnlite.data.files import opened
from nnlite.data.inputs import as_numbers
from nnlite.errors import DataError, shown, words

SUFFIXES = (".csv", ".tsv", ".txt")
ROWS = 4096  # at a time
MOST_BYTES = 1_000_000  # of a line
MOST_COLUMNS = 10_000
DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"')
_BOM = "\ufeff"


@dataclass(frozen=True)
class Block:
    """Some rows, without blanks around their cells, and the number of the line on which each ends, from 1."""

    rows: list[list[str]]
    lines: list[int]

    def columns(self) -> list[tuple[str, ...]]:
        """The cells by column."""
        return list(zip(*self.rows, strict=True))


class Lines:
    """A file of lines with cells, the first of which are the names of its columns. It is read as often as asked."""

    def __init__(self, path: Path):
        self.path = path
        with opened(path) as stream:
            first = next(self._texts(stream), "")
        plain = _QUOTED.sub("", first)
        self.delimiter = "\t" if path.suffix.lower() == ".tsv" else max(DELIMITERS, key=plain.count)
        with opened(path) as stream:
            found = next((row for row in self._read(stream)), None)
        if found is None:
            raise DataError(f"{path} is empty")
        self.names = self._names(*found)

    def blocks(self) -> Iterator[Block]:
        """The rows behind the names. Raises DataError for one that has more or fewer cells than there are names."""
        width, block = len(self.names), Block([], [])
        with opened(self.path) as stream:
            rows = self._read(stream)
            next(rows)
            for line, row in rows:
                if len(row) != width:
                    raise self.wrong(line, f"{len(row)} cells, expected {width}, as line 1 names so many columns")
                block.rows.append(row)
                block.lines.append(line)
                if len(block.rows) == ROWS:
                    yield block
                    block = Block([], [])
        if block.rows:
            yield block

    def wrong(self, line: int, problem: str) -> DataError:
        """The error for a line."""
        return DataError(f"{self.path}, line {line}: {problem}")

    def _read(self, stream: Any) -> Iterator[tuple[int, list[str]]]:
        """(the number of the line, its cells), but for empty lines."""
        rows = csv.reader(self._texts(stream), delimiter=self.delimiter, strict=True, skipinitialspace=True)
        try:
            for row in rows:
                if row:
                    yield rows.line_num, [cell.strip() for cell in row]
        except csv.Error as error:
            hint = (
                "a quote that does not end?"
                if "unexpected end" in str(error)
                else "a quote within a cell is written twice"
            )
            if "field limit" in str(error):
                hint = "is there a quote that does not end?"
            raise self.wrong(max(1, rows.line_num), f"no row of a CSV file ({words(error)}): {hint}") from None

    def _texts(self, stream: Any) -> Iterator[str]:
        """The lines as text. Raises DataError for bytes that are none."""
        number = 0
        while raw := stream.readline(MOST_BYTES + 1):
            number += 1
            if number == 1:
                raw = self._without_bom(raw)
            if len(raw) > MOST_BYTES:
                raise self.wrong(number, f"longer than {MOST_BYTES:,} bytes: this is no table")
            if b"\0" in raw:
                raise self.wrong(number, "holds a NUL byte, which no text has: save the table again, as CSV in UTF-8")
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = raw[error.start]
                raise self.wrong(
                    number, f"byte {byte:#04x} is no UTF-8 (Latin-1, perhaps): save the table again as CSV in UTF-8"
                ) from None
            if "\r" in text.rstrip("\r\n"):
                raise self.wrong(number, "lines end in a lone carriage return: save the table again as CSV")
            yield text

    def _without_bom(self, raw: bytes) -> bytes:
        if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise self.wrong(1, "this is UTF-16: save the table again as CSV in UTF-8")
        if (what := magic.name(raw)) is not None:
            raise DataError(f"{self.path} is not a table of text, but {what}")
        return raw.removeprefix(_BOM.encode())

    def _names(self, line: int, row: list[str]) -> list[str]:
        names = [name or f"column{place}" for place, name in enumerate(row, 1)]
        if len(names) < 2:
            raise self.wrong(
                line, f"one column, {names[0]!r:.60}: wanted cells with {' '.join(map(shown, DELIMITERS))} in between"
            )
        if len(names) > MOST_COLUMNS:
            raise self.wrong(line, f"{len(names):,} columns, wanted {MOST_COLUMNS:,} at most")
        counted = [name for name in names if as_numbers([name]) is not None]
        if counted and counted != [str(number) for number in range(len(counted))]:
            raise self.wrong(
                line, f"{counted[0]!r:.40} is a number, and line 1 has to name the columns: put a line of names first"
            )
        for place, name in enumerate(names):
            if (before := names.index(name)) != place:
                raise self.wrong(
                    line, f"the name {name!r:.60} is there twice, of columns {before + 1} and {place + 1}: rename one"
                )
        return names
