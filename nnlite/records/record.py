"""The record: a dataclass as a JSON object, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, ClassVar, TypeVar

from nnlite.errors import NnliteError, StoreError
from nnlite.records import identity
from nnlite.records.fields import fit
from nnlite.records.text import MOST_BYTES, Data, Unsound, parse, refuse

T = TypeVar("T")
R = TypeVar("R", bound="Record")
K = TypeVar("K", bound="Kept")
MOST_SHOWN = 1_000  #: characters of what is wrong: what was found may be as long as it likes


class RecordKind:
    """What records say of their kind. `what`: how an error calls one, and `hint`: what it says to
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

    def _encode(self, **more: str) -> bytes:
        return _encoder(self.indent).encode({**_values(self), **more}).encode()


@cache
def _names(kind: Any) -> tuple[str, ...]:
    """The annotations of a dataclass. Raises TypeError for any other class, as `json` does."""
    try:
        return tuple(one.name for one in fields(kind))
    except TypeError:
        raise TypeError(f"Object of type {kind.__name__} is not JSON serializable") from None


def _values(one: Any) -> dict[str, Any]:
    """The values of a dataclass by name; `json` asks again for a dataclass among them, so nothing is copied."""
    kind: Any = type(one)
    return {name: getattr(one, name) for name in _names(kind)}


@cache
def _encoder(indent: int | None) -> json.JSONEncoder:
    return json.JSONEncoder(sort_keys=True, indent=indent, allow_nan=False, default=_values)


class Record(RecordKind, what="a record"):
    """Base of the frozen dataclasses that travel as JSON."""

    def to_json(self) -> bytes:
        """Deterministic JSON, UTF-8."""
        return self._encode()

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


class Kept(RecordKind, what="a record"):
    """Base of the frozen dataclasses that stand in a store as JSON, each under a key that it names: see `identity`."""

    def to_json(self, key: str) -> bytes:
        """Deterministic JSON, UTF-8, for `key`."""
        return self._encode(**{identity.KEY: key})

    @classmethod
    def from_json(cls: type[K], data: Data, key: str) -> K:
        """Read what `to_json` wrote for `key`. Raises `error` for anything else, and StoreError for what was written
        for another key, in one line that begins with it."""
        return load_kept(cls, data, key)


def load_kept(kind: type[K], data: Data, key: str) -> K:
    """A record as it stands under a key, see `Kept.from_json`."""
    try:
        values = parse(data, kind.most_bytes)
        if isinstance(values, dict) and identity.KEY not in values:
            raise Unsound(f"the field {identity.KEY!r} is missing")
        belongs = values.pop(identity.KEY) if isinstance(values, dict) else None
        found = fit(kind, values)
    except Unsound as fault:
        raise refusal(kind, key, fault) from None
    identity.check(belongs, key)
    return found


def message(kinds: Mapping[str, type[Any]], text: str) -> dict[str, Any] | None:
    """A message of another process: its "event", which is one of `kinds`, and the fields of that dataclass, with their
    defaults; what else it has is left out. None for what is no JSON object with an event. Raises Unsound for one of
    another kind, or that does not fit."""
    try:
        values = parse(text)
    except Unsound:
        return None
    if not isinstance(values, dict) or "event" not in values:
        return None
    event = values.pop("event")
    kind = kinds.get(event) if isinstance(event, str) else None
    if kind is None:
        refuse(f"an event like {' or '.join(kinds)}", event)
    return {"event": event, **_values(fit(kind, values, partial=True, others=True))}


def load(kind: type[R], data: Data, where: str) -> R:
    """A record as it is in `data`. Raises its `error` for anything else, in one line that begins with `where`."""
    try:
        return fit(kind, parse(data, kind.most_bytes))
    except Unsound as fault:
        raise refusal(kind, where, fault) from None


def refusal(kind: type[RecordKind], where: str, fault: Unsound) -> NnliteError:
    """The error for what is no record of that kind."""
    hint, found = f"; {kind.hint}" if kind.hint else "", str(fault)
    shown = found if len(found) <= MOST_SHOWN else f"{found[:MOST_SHOWN]}..."
    return kind.error(f"{where} is not {kind.what} (damaged, or not ours): {shown}{hint}")
