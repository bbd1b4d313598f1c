"""Faults: how often things go wrong in virtual time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from nnlite.errors import UsageError

# what people write -> the fields it sets, in order, separated by ":"
WORDS = {
    "crash": ("crash_rate",),
    "lose": ("lose_rate",),
    "double": ("double_rate",),
    "vanish": ("vanish_rate",),
    "straggler": ("straggler_rate", "straggler_factor"),
}


@dataclass(frozen=True)
class Faults:
    """How often things go wrong (rates in [0, 1]) and, for toys, how long things take (seconds, virtual)."""

    crash_rate: float = 0.0  #: of an invocation, before or after any one effect that does something
    lose_rate: float = 0.0  #: of invocations that never begin
    double_rate: float = 0.0  #: of invocations that begin twice
    cold_start_s: float = 0.5  #: at most
    latency_s: float = 0.02  #: of a store request, on average
    slice_s: float = 0.2  #: of a slice of training, on average
    straggler_rate: float = 0.0  #: of invocations that are `straggler_factor` slower in everything
    straggler_factor: float = 20.0
    max_crashes: int = 10_000
    timeout_s: float = math.inf  #: the platform kills every invocation after so long
    clock_skew_s: float = 0.0  #: by which clocks differ, at most
    wipe_at_s: tuple[float, ...] = ()  #: when the store forgets everything; the durable one does not
    vanish_rate: float = 0.0  #: of requests before which some object of the store, but not of the durable one, is gone
    vanish: tuple[str, ...] = ("",)  #: which can go: those whose key has one of these in it
    max_vanished: int = 10_000
    vanish_at: int | None = None  #: exactly one object goes, before this effect of the whole run, if that is a request
    crash_at: int | None = None  #: kill exactly one invocation, at this effect of the whole run
    crash_after: bool = False  #: whether that one dies after the effect took place, rather than before


def parse(text: str) -> Faults:
    """Faults as people write them: ``crash=0.001,lose=0.01,double=0.05,straggler=0.02:10``. Raises UsageError."""
    faults = Faults()
    for part in filter(None, text.split(",")):
        word, _, value = part.partition("=")
        names, numbers = WORDS.get(word, ()), value.split(":")
        if not 1 <= len(numbers) <= len(names):
            raise UsageError(
                f"fault {part!r}: wanted some of crash=, lose=, double=, vanish= RATE and straggler=RATE:FACTOR"
            )
        try:
            found: dict[str, Any] = dict(zip(names, map(float, numbers), strict=False))
        except ValueError:
            raise UsageError(f"fault {part!r}: {value!r} is not a number") from None
        faults = replace(faults, **found)
    _check(faults)
    return faults


def _check(faults: Faults) -> None:
    for names in WORDS.values():
        rate = getattr(faults, names[0])
        if not 0 <= rate < 1:
            raise UsageError(f"{names[0]} = {rate}: wanted a number from 0 to below 1")
    if not 1 <= faults.straggler_factor < math.inf:
        raise UsageError(f"a straggler's factor of {faults.straggler_factor}: wanted 1 or more")
