"""Reading: what a person says of a file or folder of their own that is to be read as a dataset."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from nnlite.choices import choice
from nnlite.described import check_types
from nnlite.errors import UsageError
from nnlite.numbers import PythonNumbers

TEST = 0.2  # of the rows, where no test split is given
MISSING = ("error", "mean", "drop")
TASKS = CLASSES, AMOUNTS = ("classes", "amounts")
LARGEST = 1024  # pixels of a side


@dataclass(frozen=True)
class Reading(metaclass=PythonNumbers):
    """The choices; each is refused where it would do nothing."""

    target: str | None = choice(
        None, "of a table: the column to predict (target, label, class or y, else the last)", "COLUMN", group="own"
    )
    features: tuple[str, ...] | None = choice(
        None, "of a table: the columns to predict from (all others)", "A,B", group="own"
    )
    ignore: tuple[str, ...] | None = choice(None, "of a table: columns to leave out, as an id", "A,B", group="own")
    missing: str | None = choice(
        None, "of a table: a missing cell is an error, the mean, or drops its row (error)", values=MISSING, group="own"
    )
    size: int | None = choice(
        None, "of pictures: pixels of a side (as they are if all are alike and small, else 32)", "PIXELS", group="own"
    )
    channels: int | None = choice(None, "of pictures: 1 for grey, 3 for colour (as they are)", "C", group="own")
    task: str | None = choice(
        None, "of a table or arrays: predict classes, or amounts (numbers with fractions, or of many values)",
        values=TASKS, group="own",
    )  # fmt: skip
    test: float | None = choice(None, f"share of the rows for the test split ({TEST})", "SHARE", group="own")

    def __post_init__(self) -> None:
        check_types(type(self), vars(self), UsageError)
        if self.missing not in (None, *MISSING):
            raise UsageError(f"missing {self.missing!r:.40}: there are {', '.join(MISSING)}", parameter="missing")
        if self.task not in (None, *TASKS):
            raise UsageError(f"task {self.task!r:.40}: there are {', '.join(TASKS)}", parameter="task")
        if self.size is not None and not 4 <= self.size <= LARGEST:
            raise UsageError(f"size {self.size}: wanted 4 to {LARGEST} pixels", parameter="size")
        if self.channels not in (None, 1, 3):
            raise UsageError(f"channels {self.channels}: wanted 1, grey, or 3, colour", parameter="channels")
        if self.test is not None and not 0 < self.test < 1:
            raise UsageError(f"test {self.test}: wanted a share above 0, below 1", parameter="test")
        if self.features is not None and self.ignore is not None:
            raise UsageError("features and ignore both say which columns: leave one out", parameter="features")

    def refuse_but(self, heeded: Collection[str], what: str) -> None:
        """Raise UsageError for a choice that would do nothing for `what`."""
        for name in self.given():
            if name not in heeded:
                raise UsageError(f"{name} does nothing for {what}: leave it out", parameter=name)

    def given(self) -> dict[str, Any]:
        """Those that were chosen."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) is not None}
