"""The record: a dataclass as a JSON object, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar

from nnlite.errors import NnliteError, StoreError
from nnlite.records.fields import any_object, fit
from nnlite.records.text import MOST_BYTES, Data, Unsound, parse

T = TypeVar("T")
R = TypeVar("R", bound="Record")


class Record:
    """Base of the frozen dataclasses that are kept as JSON. `what`: how an error calls one, and `hint`: what it says to
    do; `error`: what is raised for bytes that are none; `most_bytes`: it ever takes; `indent`: for people."""

    what: ClassVar[str]
    hint: ClassVar[str]
    error: ClassVar[type[NnliteError]]
    most_bytes: ClassVar[int]
    indent: ClassVar[int | None]

    def __init_subclass__(
        cls,
        *,
        what: str,
        hint: str = "",
        error: type[NnliteError] = StoreError,
        most_bytes: int = MOST_BYTES,
        indent: int | None = None,
    ):
        super().__init_subclass__()
        cls.what, cls.hint, cls.error, cls.most_bytes, cls.indent = what, hint, error, most_bytes, indent

    def to_json(self) -> bytes:
        """Deterministic JSON, UTF-8."""
        values = asdict(self)  # type: ignore[call-overload]
        return json.dumps(values, sort_keys=True, indent=self.indent, allow_nan=False).encode()

    @classmethod
    def from_json(cls: type[R], data: Data, where: str) -> R:
        """Read what `to_json` wrote. Raises `error` for anything else, in one line that begins with `where`."""
        return load(cls, data, where)

    @classmethod
    def from_values(cls: type[R], values: Any, where: str) -> R:
        """The same of JSON that somebody else has decoded."""
        try:
            return fit(cls, values)
        except Unsound as fault:
            raise refusal(cls, where, fault) from None


def load_object(data: Data, where: str, what: str) -> dict[str, Any]:
    """An object of any names, whose values are any JSON. Raises StoreError for anything else."""
    try:
        values: dict[str, Any] = any_object(parse(data))
    except Unsound as fault:
        raise StoreError(f"{where} is not {what} (damaged, or not ours): {fault}") from None
    return values


def load(kind: type[R], data: Data, where: str) -> R:
    """A record as it is in `data`. Raises its `error` for anything else, in one line that begins with `where`."""
    try:
        return fit(kind, parse(data, kind.most_bytes))
    except Unsound as fault:
        raise refusal(kind, where, fault) from None


def refusal(kind: type[Record], where: str, fault: Unsound) -> NnliteError:
    """The error for what is no record of that kind."""
    hint = f"; {kind.hint}" if kind.hint else ""
    return kind.error(f"{where} is not {kind.what} (damaged, or not ours): {fault}{hint}")
