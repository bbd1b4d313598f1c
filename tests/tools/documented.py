"""The tables of `docs/json.md`, and what is wrong with an object by them."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
Table = dict[str, str]  # field -> type
ALL, COST = "", "Cost"  # the table of what every object has; that of a cost


@cache
def tables() -> dict[tuple[str, str], Table]:
    """(command, event) -> its table."""
    found: dict[tuple[str, str], Table] = {}
    command = event = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            command, event = line[3:], ""
        elif line.startswith("### "):
            event = line[4:]
        elif row := re.fullmatch(r"\| `(\w+)` \| ([^|]+) \|[^|]*\|[^|]*\|", line):
            fields = found.setdefault((command, event), {})
            assert row[1] not in fields, f"{command} {event} has {row[1]} twice"
            fields[row[1]] = row[2]
    return found


def faults(command: str, line: str) -> list[str]:
    """What is wrong with a line that a command printed."""
    values = json.loads(line)
    event = values.get("event")
    if (command, event) not in tables():
        return [f"{command} has no event {event!r}"]
    return _faults(f"{command} {event}", {**tables()[ALL, ""], **tables()[command, event]}, values)


def check(command: str, text: str) -> set[str]:
    """Hold all lines that a command printed against the page. -> the events that were there"""
    lines = text.splitlines()
    assert lines, f"{command} said nothing"
    found = [fault for line in lines for fault in faults(command, line)]
    assert not found, "\n".join(found)
    return {json.loads(line)["event"] for line in lines}


def _faults(where: str, table: Table, values: dict[str, Any]) -> list[str]:
    found = [f"{where}: {name} is not documented" for name in values.keys() - table.keys()]
    found += [f"{where}: {name} is missing" for name in table.keys() - values.keys()]
    for name in table.keys() & values.keys():
        if table[name] == "cost":
            found += _faults(f"{where}: cost", tables()[COST, ""], values[name])
        elif not any(_is(values[name], kind) for kind in table[name].split(" or ")):
            found.append(f"{where}: {name} is {values[name]!r}, no {table[name]}")
    return sorted(found)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool) or kind == "yes/no":
        return isinstance(value, bool) and kind == "yes/no"
    if kind == "count":
        return isinstance(value, int) and value >= 0
    kinds = {"text": str, "number": (int, float), "list": list, "object": dict, "null": type(None)}
    return isinstance(value, kinds[kind])
