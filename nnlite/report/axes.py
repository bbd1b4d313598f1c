"""Axes: where ticks stand, and how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

UNITS_S = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))


@dataclass(frozen=True)
class Axis:
    """A scale from `low` to `high`, and its ticks: (value, label)."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    unit: str = ""
    is_log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, 0 at `low` and 1 at `high`."""
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def linear(values: Iterable[float], most: int = 5, zero: bool = False) -> Axis:
    """An axis that begins and ends at ticks around the values; `zero`: it begins at 0."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    low = min(0.0, low) if zero else low
    if high <= low:
        high = low + (abs(low) or 1.0)
    step = _step((high - low) / most)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [n * step for n in range(first, last + 1)]
    return Axis(ticks[0], ticks[-1], tuple((tick, number(tick, step)) for tick in ticks))


def exact(high: float, most: int = 6, factor: float = 1.0, unit: str = "") -> Axis:
    """An axis from 0 to exactly `high`, with labels in units of `factor`."""
    high = high if high > 0 else factor
    step = _step(high / factor / most)
    ticks = [n * step for n in range(int(high / factor / step + 1e-9) + 1)]
    return Axis(0.0, high, tuple((tick * factor, number(tick, step)) for tick in ticks), unit)


def logarithmic(values: Iterable[float]) -> Axis:
    """An axis of factors around positive values, with ticks at powers of ten, and between them if there are few."""
    known = list(values)
    low, high = min(known) / 1.1, max(known) * 1.1
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(ticks) >= 3:
            break
    return Axis(low, high, tuple((tick, f"{tick:g}") for tick in ticks), is_log=True)


def seconds(high_s: float) -> Axis:
    """A time axis from 0, in seconds, minutes or hours."""
    factor, unit = next(((f, u) for f, u in UNITS_S if high_s >= 3 * f), UNITS_S[-1])
    return exact(high_s, factor=factor, unit=unit)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= rough * 0.999999)


def number(value: float, step: float) -> str:
    """A tick's label: as many decimals as the step needs, and k or M for many."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if step >= factor / 10 and abs(value) >= factor:
            return f"{value / factor:.4g}{letter}"
    decimals = next((d for d in range(7) if abs(round(step, d) - step) < step * 1e-6), 7)
    return f"{value:,.{decimals}f}"
