"""The fields of a record: what type and range each has, as its annotation says, and how JSON is made to fit them."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from math import isfinite
from sys import float_info
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from nnlite.errors import NnliteError
from nnlite.records.text import EXACT, MOST_DEPTH, Unsound, quoted, refuse

T = TypeVar("T")
Reader = Callable[[Any], Any]  #: a value as JSON has it -> the value of a field; raises Unsound


@dataclass(frozen=True)
class Range:
    """A number's least and most."""

    least: float = -EXACT
    most: float = EXACT

    def check(self, value: Any) -> bool:
        """Whether it lies in between."""
        return bool(self.least <= value <= self.most)

    def __str__(self) -> str:
        if self.least == self.most:
            return f", {self.least:,} (what another version of nnlite wrote, that version can go on with)"
        return f", {self.least:,} or more" if self.most >= EXACT else f" from {self.least:,} to {self.most:,}"


@dataclass(frozen=True)
class OneOf:
    """The texts that can be meant."""

    texts: tuple[str, ...]

    def check(self, value: Any) -> bool:
        """Whether it is one of them."""
        return value in self.texts

    def __str__(self) -> str:
        return f" like {' or '.join(self.texts)}"


@dataclass(frozen=True)
class Hexadecimal:
    """So many of 0-9, a-f."""

    num_digits: int

    def check(self, value: Any) -> bool:
        """Whether it is made of them."""
        return len(value) == self.num_digits and not value.strip("0123456789abcdef")

    def __str__(self) -> str:
        return f" of {self.num_digits} hexadecimal digits"


Count = Annotated[int, Range(0, EXACT)]
Amount = Annotated[float, Range(0, float("inf"))]  #: of seconds, bytes, dollars; finite
Share = Annotated[float, Range(0, 1)]
Sha256 = Annotated[str, Hexadecimal(64)]


def younger(default: Any) -> Any:
    """A field of a record that older ones lack: what it is in those."""
    return field(default=default, metadata={"younger": True})


def fit(kind: type[T], values: Any, partial: bool = False, others: bool = False) -> T:
    """A dataclass of decoded JSON: every field is there but `younger` ones, and nothing besides. Raises Unsound, also
    for what the dataclass itself refuses.

    partial: fields with a default may be left out. others: there may be more, as in somebody else's format.
    """
    if not isinstance(values, dict):
        refuse("an object", values)
    of: Any = kind
    readers = _readers(of, partial, others)
    if "format" in readers and "format" in values:  # what else is there follows from it
        at("format", readers["format"][0], values["format"])
    if values.keys() != readers.keys():
        _check_names(values, readers, others)
    found, name = {}, ""
    try:  # one for all: this is the innermost loop of everything that is read
        for name, (read, _) in readers.items():
            if name in values:
                found[name] = read(values[name])
    except Unsound as fault:
        raise fault.inside(name) from None
    try:
        return kind(**found)
    except NnliteError as error:
        raise Unsound(str(error)) from None


def _check_names(values: dict[str, Any], readers: dict[str, tuple[Reader, bool]], others: bool) -> None:
    for name, (_, may_lack) in readers.items():
        if name not in values and not may_lack:
            raise Unsound(f"the field {name!r} is missing")
    for name in values:
        if name not in readers and not others:
            raise Unsound(f"there is no field {quoted(name)}")


@cache
def _readers(kind: Any, partial: bool, others: bool) -> dict[str, tuple[Reader, bool]]:
    """The fields of a dataclass by name: how each is read, and whether it may be left out."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        one.name: (
            _reader(hints[one.name], partial, others),
            bool(one.metadata.get("younger"))
            or (partial and (one.default is not MISSING or one.default_factory is not MISSING)),
        )
        for one in fields(kind)
        if one.init
    }


@cache
def _reader(hint: Any, partial: bool = False, others: bool = False) -> Reader:
    """How a value of that type is read; the dataclasses in it as `fit` says."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _limited(inner[0], inner[1])
    if origin in (Union, types.UnionType):
        (one,) = (arg for arg in inner if arg is not type(None))
        read = _reader(one, partial, others)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        return _listed(_reader(inner[0], partial, others))
    if origin is dict:
        return _named(_reader(inner[1], partial, others))
    if is_dataclass(hint):
        return lambda value: fit(hint, value, partial, others)  # type: ignore[arg-type]
    return PLAIN[hint]


def _limited(plain: Any, limit: Any) -> Reader:
    read, name = _reader(plain), NAMES[plain]

    def limited(value: Any) -> Any:
        made = read(value)
        return made if limit.check(made) else refuse(f"{name}{limit}", value)

    if not isinstance(limit, Range):
        return limited
    bound = EXACT if plain is int else float_info.max  # beyond which `read` takes nothing
    least, most = max(limit.least, -bound), min(limit.most, bound)

    def ranged(value: Any) -> Any:
        return value if type(value) is plain and least <= value <= most else limited(value)

    return ranged


def _listed(read: Reader) -> Reader:
    def listed(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            refuse("a list", value)
        made: list[Any] = []
        try:
            for one in value:
                made.append(read(one))
        except Unsound as fault:
            raise fault.inside(f"[{len(made)}]") from None
        return tuple(made)

    return listed


def _named(read: Reader) -> Reader:
    def named(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            refuse("an object", value)
        return {_text(name): at(name, read, one) for name, one in value.items()}

    return named


def at(name: str, read: Reader, value: Any) -> Any:
    """Read the value of a field of that name."""
    try:
        return read(value)
    except Unsound as fault:
        raise fault.inside(name) from None


def any_object(values: Any) -> dict[str, Any]:
    """An object of any names and JSON values. Raises Unsound for anything else."""
    made: dict[str, Any] = _reader(dict[str, Any])(values)
    return made


# ---- plain values


def _whole(value: Any) -> int:
    return value if type(value) is int and abs(value) <= EXACT else refuse(NAMES[int], value)


def _number(value: Any) -> float:
    if type(value) is float:
        return value if isfinite(value) else refuse("a finite number", value)
    return float(value) if type(value) is int and abs(value) <= EXACT else refuse(NAMES[float], value)


def _text(value: Any) -> str:
    if type(value) is not str:
        refuse(NAMES[str], value)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a character, written as an escape: it can be neither shown nor written
            refuse("a text of whole characters", value)
    return value


def _flag(value: Any) -> bool:
    return value if type(value) is bool else refuse(NAMES[bool], value)


def _anything(value: Any, depth: int = 0) -> Any:
    """Any JSON value, of bounded depth."""
    if depth > MOST_DEPTH:
        raise Unsound(f"nested more than {MOST_DEPTH} deep")

    def deeper(one: Any) -> Any:
        return _anything(one, depth + 1)

    if isinstance(value, (list, tuple)):
        return [at(f"[{place}]", deeper, one) for place, one in enumerate(value)]
    if isinstance(value, dict):
        return {_text(name): at(name, deeper, one) for name, one in value.items()}
    if value is None:
        return None
    read = PLAIN.get(type(value))
    return read(value) if read is not None else refuse("a JSON value", value)


NAMES: dict[Any, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
PLAIN: dict[Any, Reader] = {int: _whole, float: _number, str: _text, bool: _flag, Any: _anything}
