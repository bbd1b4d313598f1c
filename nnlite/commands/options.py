"""Options: made of the fields of a dataclass, whose `choice` says their words, and taken out again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields
from typing import Any

from nnlite.commands import named
from nnlite.errors import UsageError

Group = argparse._ArgumentGroup


def add(group: Any, kind: type, names: Collection[str], **instead: Any) -> None:
    """An option for each of these fields. instead: what argparse is told otherwise, of all of them."""
    found = {one.name: one for one in fields(kind)}
    for name in names:
        group.add_argument("--" + name.replace("_", "-"), **{**_about(found[name]), **instead})


def add_groups(parser: argparse.ArgumentParser, kind: type, groups: dict[str, str]) -> dict[str, Group]:
    """An option for every field of a dataclass that stands in one of these groups, under its heading, in this order."""
    made = {name: parser.add_argument_group(title) for name, title in groups.items()}
    for one in fields(kind):
        if one.metadata["group"] in made:
            add(made[one.metadata["group"]], kind, [one.name])
    return made


def given(args: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The fields of a dataclass that the options of a command have."""
    return {one.name: getattr(args, one.name) for one in fields(kind) if hasattr(args, one.name)}


def typed(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """A type for argparse, whose errors name the option, of a function that raises UsageError."""

    def typed_(text: str) -> Any:
        try:
            return read(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed_


def _about(one: Field[Any]) -> dict[str, Any]:
    """What argparse is told of a field."""
    of, kind = one.metadata, str(one.type).removesuffix(" | None").removesuffix(" | Protocol")
    found = {"default": None if one.default is MISSING else one.default, "help": of["help"].replace("%", "%%")}
    if kind == "bool":
        return found | {"action": argparse.BooleanOptionalAction if one.default else "store_true"}
    values = of["values"]() if callable(of["values"]) else of["values"]
    more = {"metavar": of["metavar"], "choices": values}
    of_text = named.path if of["is_path"] else _type(kind)
    return found | {"type": of_text} | {name: value for name, value in more.items() if value is not None}


def _type(kind: str) -> Callable[[str], Any]:
    """What reads the option of a field with this annotation."""
    plain: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float, "tuple[str, ...]": _names}
    if kind in plain:
        return plain[kind]
    from nnlite.runs import job  # needs NumPy, which nobody needs for options of plain types

    return {"tuple[int, ...]": typed(job.tree), "Augment": typed(job.augmentation)}[kind]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))
