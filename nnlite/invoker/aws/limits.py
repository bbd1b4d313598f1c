"""Limits of Lambda, so that what AWS would refuse is refused before AWS is asked."""

from __future__ import annotations

import re

from nnlite.errors import UsageError
from nnlite.quantities import ONE_CORE_MB

MEMORY_MB = (128, 10_240)
TIMEOUT_S = (1, 900)
MAX_CONCURRENCY = 100_000
UNRESERVED = 100  #: of an account's concurrency, which AWS keeps for functions without a reservation


def check_memory_mb(memory_mb: int) -> None:
    """Raise UsageError for a memory that Lambda does not have."""
    _within("memory_mb", memory_mb, MEMORY_MB, f"{ONE_CORE_MB} gives one whole core")


def check_timeout_s(timeout_s: int) -> None:
    """Raise UsageError for a timeout that Lambda does not have."""
    _within("timeout_s", timeout_s, TIMEOUT_S, "workers hand over before it, so any will do")


def check_concurrency(count: int) -> None:
    """Raise UsageError for a concurrency that cannot be."""
    _within("reserved_concurrency", count, (1, MAX_CONCURRENCY), "--workers or more; leave it out to reserve none")


def check_stack_name(name: str) -> None:
    """Raise UsageError for a name that CloudFormation, or the bucket named after it, cannot have."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", name) or name.endswith("-"):
        raise UsageError(
            f"stack_name {name!r}: wanted 1 to 30 of a-z, 0-9 and '-', beginning with a letter, "
            "as the bucket is named after it",
            parameter="stack_name",
        )


def _within(name: str, value: int, limits: tuple[int, int], hint: str) -> None:
    low, high = limits
    if not low <= value <= high:
        raise UsageError(f"{name} {value}: Lambda has {low:,} to {high:,}; {hint}", parameter=name)
