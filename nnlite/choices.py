"""Choices: fields of a dataclass that a person may set, each with the words of its help, written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any


def choice(
    default: Any, help: str, metavar: str | None = None, values: Sequence[str] | None = None, is_path: bool = False
) -> Any:
    """A field of a dataclass. values: all that it may be. is_path: it names a file, a folder or a store."""
    return field(
        default=default, metadata={"help": help, "metavar": metavar, "values": values, "is_path": is_path}
    )  # fmt: skip
