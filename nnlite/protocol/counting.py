"""Counting: from the protocol's counters, which begin at 0, to the rounds of people, 1 to n."""

from __future__ import annotations


def number(round: int) -> int:
    """The number of a round, or of a downpour checkpoint, as people and JSON see it."""
    return round + 1
