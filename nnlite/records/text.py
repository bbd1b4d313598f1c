"""The text of a record: JSON that is bounded in every direction."""

from __future__ import annotations

import json
import re
from collections import Counter
from math import isfinite
from typing import Any, NoReturn

Data = bytes | bytearray | memoryview | str

MOST_BYTES = 1_000_000  #: unless its reader knows better
MOST_PARTS = 100_000  #: objects and lists: an empty one takes 64 bytes of memory, and two of text
MOST_DEPTH = 64
EXACT = 2**53  #: the largest number up to which all whole ones are exact, for every reader
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_DEEPER = {"[": 1, "{": 1, "]": -1, "}": -1}


class Unsound(ValueError):
    """What is wrong with something that was read, and in which field of it."""

    def __init__(self, problem: str, path: str = ""):
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem, self.path = problem, path

    def inside(self, name: str) -> Unsound:
        """The same, of a field of something larger."""
        shown = name if name.startswith("[") or re.fullmatch(r"\w{1,60}", name) else quoted(name)
        return Unsound(self.problem, f"{shown}{'' if self.path[:1] in ('', '[') else '.'}{self.path}")


def refuse(expected: str, found: Any) -> NoReturn:
    """Raise Unsound."""
    raise Unsound(f"expected {expected}, found {quoted(found)}")


def quoted(value: Any) -> str:
    """A value as a message names it: in one short line, whatever it is."""
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value):,}"
    if isinstance(value, dict):
        return f"an object of {len(value):,} fields"
    if value is None or type(value) is bool:
        return {None: "null", True: "true", False: "false"}[value]
    if type(value) is int and abs(value) > EXACT:
        return "a number beyond 2**53"
    text = repr(value[:60]) if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def parse(data: Data, most_bytes: int = MOST_BYTES) -> Any:
    """The value of a JSON text. Raises Unsound for anything else, and for what is without bound."""
    if len(data) > most_bytes:
        raise Unsound(f"expected at most {most_bytes:,} bytes, found {len(data):,}")
    try:
        text = data if isinstance(data, str) else bytes(data).decode()
        num_parts = text.count("[") + text.count("{")
        if num_parts > MOST_PARTS:
            raise Unsound(f"expected at most {MOST_PARTS:,} lists and objects, found {num_parts:,}")
        if num_parts > MOST_DEPTH:
            _check_depth(text)
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Unsound(f"expected JSON, found something else at character {error.pos:,} ({error.msg})") from None
    except UnicodeDecodeError:
        raise Unsound("expected JSON, found bytes that are no text") from None
    except RecursionError:
        raise Unsound("nested too deeply") from None


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += _DEEPER.get(token[0], 0)
        if depth > MOST_DEPTH:
            raise Unsound(f"nested more than {MOST_DEPTH} deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(iter(Counter(name for name, _ in pairs) - Counter(found.keys())))
        raise Unsound(f"the field {quoted(name)} is there twice")
    return found


def _int(text: str) -> int:
    return int(text) if len(text) < 20 else refuse("a number that can be meant", text)  # int() takes quadratic time


def _float(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else refuse("a finite number", text)


def _constant(text: str) -> NoReturn:
    refuse("a finite number", text)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant)
