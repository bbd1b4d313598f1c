"""Choices: fields of a dataclass that a person may set, each with the words of its help, written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import MISSING, field
from typing import Any


def choice(
    default: Any = MISSING,
    help: str = "",
    metavar: str | None = None,
    values: Sequence[str] | Callable[[], Sequence[str]] | None = None,
    is_path: bool = False,
    group: str = "",
) -> Any:
    """A field of a dataclass. values: all that it may be. is_path: it names a file, a folder or a store. group: under
    which of a help's headings it stands."""
    about = {"help": help, "metavar": metavar, "values": values, "is_path": is_path, "group": group}
    return field(default=default, metadata=about)
