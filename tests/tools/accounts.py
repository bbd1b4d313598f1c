"""The cost of a run, as everybody says it: the command that drove it, status, and the report."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

from nnlite.commands import report, status
from nnlite.commands.program import run


def cost_of(text: str) -> dict[str, Any]:
    """What the last line of a command's JSON says."""
    cost: dict[str, Any] = json.loads(text.splitlines()[-1])["cost"]
    return cost


def said_by(module: Any, *argv: object) -> dict[str, Any]:
    """What a command says in its first line of JSON."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert run(module.main, module._parser(), [*map(str, argv), "--json"]) == 0
    found: dict[str, Any] = json.loads(out.getvalue().splitlines()[0])
    return found


def assert_one_account(told: dict[str, Any], name: str, store: str = ".nnlite", *platform: object) -> None:
    """To the last digit."""
    assert told["worker_seconds"] > 0
    assert told["reads"] > 0 < told["writes"]
    assert said_by(status, name, "--store", store, *platform)["cost"] == told
    assert said_by(report, name, "--store", store)["cost"] == told
