"""Asking before money is spent or things are deleted."""

from __future__ import annotations

import sys

from nnlite.errors import RunError, UsageError


def confirm(question: str, yes: bool) -> None:
    """Go on only after a yes, given beforehand (`--yes`) or now. Raises UsageError when nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody can be asked here: say --yes")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise RunError("not confirmed: nothing was done")
