"""New data: files that a model is to answer, read a part at a time, with their labels where they say them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite import places
from nnlite.data.inputs import Inputs, Table
from nnlite.data.own import arrays, pictures
from nnlite.data.own.lines import SUFFIXES, Lines
from nnlite.data.own.pictures import Form
from nnlite.errors import DataError, DataNotFound, UsageError

PICTURES = 64  # at a time
ROWS = 4096


@dataclass(frozen=True)
class Given:
    """Some rows to answer.

    names: what each is called: the file of a picture, else the file and line, or place from 0. x: the rows: of a table
        as its network wants them (`is_encoded`), else as they are in the file. labels: (n,), or None.
    """

    names: list[str]
    x: NDArray[Any]
    labels: NDArray[Any] | None
    is_encoded: bool = False


def read(path: str, inputs: Inputs | None, shape: tuple[int, ...]) -> Iterator[Given]:
    """What a file or folder holds, for a model with these inputs and this shape of a row.

    Raises DataNotFound, DataError with file and line, UsageError for what such a model does not take.
    """
    found = places.expanded(path)
    if not found.exists():
        raise DataNotFound(f"no file or folder {path}")
    suffix = found.suffix.lower()
    if isinstance(inputs, Table):
        if suffix not in SUFFIXES:
            raise UsageError(f"{path}: this model answers rows of a table: give a CSV or TSV file")
        yield from _table(found, inputs)
    elif suffix in (".npz", ".npy"):
        yield from _arrays(found)
    elif inputs is None and len(shape) == 3 and shape[0] in (1, 3):
        yield from _pictures(found, Form(*shape))
    else:
        raise UsageError(
            f"{path}: this model answers rows {shape} of numbers: give them as x in an .npz, or as an .npy"
        )


def _table(path: Path, table: Table) -> Iterator[Given]:
    lines = Lines(path)
    wanted = [column.name for column in table.columns]
    if missing := [name for name in wanted if name not in lines.names]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"{path}, line 1: no column {missing[0]!r:.60}{more}, which this model wants")
    at = [lines.names.index(name) for name in wanted]
    target = lines.names.index(table.target) if table.target in lines.names else None
    num_rows = 0
    for block in lines.blocks():
        num_rows += len(block.rows)
        rows = [[row[place] for place in at] for row in block.rows]
        labels = None if target is None else np.array([row[target] for row in block.rows])
        x = table.encoded(rows, lambda row, ends=block.lines: f"{path}, line {ends[row]}")  # type: ignore[misc]
        yield Given([f"{path}:{line}" for line in block.lines], x, labels, is_encoded=True)
    if not num_rows:
        raise DataError(f"{path} has no rows")


def _arrays(path: Path) -> Iterator[Given]:
    x, y = arrays.rows_and_labels(path)
    if y is not None and (y.ndim != 1 or len(y) != len(x)):
        raise DataError(f"{path}: {len(x)} rows of x, and y of {y.shape}: wanted a label for each")
    for start in range(0, len(x), ROWS):
        part = slice(start, start + ROWS)
        names = [f"{path}:{place}" for place in range(start, min(len(x), start + ROWS))]
        yield Given(names, x[part], None if y is None else y[part])


def _pictures(path: Path, form: Form) -> Iterator[Given]:
    """A picture; or those of a folder and of the folders in it, whose names are their labels."""
    if path.is_dir():
        files = [one for one in sorted(path.rglob("*")) if one.is_file() and pictures.is_picture(one)]
        if not files:
            raise DataError(f"{path} holds no pictures ({', '.join(pictures.SUFFIXES[:3])}, ...)")
    else:
        files = [path]
    for start in range(0, len(files), PICTURES):
        part = files[start : start + PICTURES]
        inside = [path.is_dir() and one.parent != path for one in part]
        labels = np.array([one.parent.name for one in part]) if all(inside) else None
        yield Given([str(one) for one in part], form.read_all(part), labels)
