"""The baseline: two points tell the direction, then downhill, a step at a time, until it gets worse."""

from __future__ import annotations

from collections.abc import Callable

from nnlite.cost.curve import score

STEP_MB = 256


def descend(
    probe: Callable[[int], float], objective: str, lowest_mb: int, highest_mb: int, max_probes: int = 8
) -> tuple[int, int]:
    """-> the memory size it ends at, and how many probes it made.

    It believes every timing, as there is no model behind it, and stops at the first that is worse.
    """
    made = 0

    def scored(memory_mb: int) -> float:
        nonlocal made
        made += 1
        return float(score(objective, memory_mb, probe(memory_mb)))

    here_mb = (lowest_mb + highest_mb) // 2
    here = scored(here_mb)
    ahead_mb = min(here_mb + STEP_MB, highest_mb)
    ahead = scored(ahead_mb)
    step_mb = STEP_MB if ahead < here else -STEP_MB
    if ahead < here:
        here_mb, here = ahead_mb, ahead
    while made < max_probes:
        next_mb = min(max(here_mb + step_mb, lowest_mb), highest_mb)
        if next_mb == here_mb:
            break
        found = scored(next_mb)
        if found >= here:
            break
        here_mb, here, step_mb = next_mb, found, step_mb * 2
    return here_mb, made
