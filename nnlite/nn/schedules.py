"""Learning rates as functions of the step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, isfinite, pi

from nnlite.described import Described
from nnlite.errors import StructureError


class Schedule(Described):
    """A positive learning rate for every step, counted from 0."""

    def at(self, step: int) -> float:
        """The learning rate of `step`."""
        raise TypeError(f"{type(self).__name__} must define at()")


@dataclass(frozen=True)
class StepDecay(Schedule):
    """`start`, multiplied by `factor` every `every` steps."""

    start: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise StructureError(f"StepDecay: every = {self.every} steps, wanted at least 1")

    def at(self, step: int) -> float:
        return self.start * self.factor ** (step // self.every)


@dataclass(frozen=True)
class Exponential(Schedule):
    """`start * rate ** (step / every)`, smoothly."""

    start: float
    every: int
    rate: float = 0.1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise StructureError(f"Exponential: every = {self.every} steps, wanted at least 1")

    def at(self, step: int) -> float:
        return float(self.start * self.rate ** (step / self.every))


@dataclass(frozen=True)
class Cosine(Schedule):
    """From `start` down to `end` along half a cosine over `num_steps` (Loshchilov & Hutter 2016), after a
    linear warm-up of `warmup` steps."""

    start: float
    num_steps: int
    end: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < self.num_steps:
            raise StructureError(
                f"Cosine: a warm-up of {self.warmup} steps in {self.num_steps}; wanted 0 <= warmup < num_steps"
            )

    def at(self, step: int) -> float:
        if step < self.warmup:
            return self.start * (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / (self.num_steps - self.warmup))
        return self.end + (self.start - self.end) * (1 + cos(pi * done)) / 2


@dataclass(frozen=True)
class Warmup(Schedule):
    """A linear rise over `num_steps` to the first rate of `then`, and then that schedule from its beginning."""

    then: Schedule
    num_steps: int

    def __post_init__(self) -> None:
        if not isinstance(self.then, Schedule):
            raise StructureError(f"Warmup: then = {self.then!r:.80}; wanted a schedule")
        if self.num_steps < 1:
            raise StructureError(f"Warmup: num_steps = {self.num_steps}, wanted at least 1")

    def at(self, step: int) -> float:
        if step < self.num_steps:
            return self.then.at(0) * (step + 1) / self.num_steps
        return self.then.at(step - self.num_steps)


@dataclass(frozen=True)
class PiecewiseLinear(Schedule):
    """Straight lines between points (step, rate), in the order of steps; before the first and behind the last, their
    rates."""

    points: Sequence[tuple[int, float]]

    def __post_init__(self) -> None:
        points = tuple((step, rate) for step, rate in self.points)
        object.__setattr__(self, "points", points)
        is_rising = all(a < b for (a, _), (b, _) in pairwise(points))
        if not points or not is_rising or not all(isfinite(rate) and rate >= 0 for _, rate in points):
            raise StructureError(
                f"PiecewiseLinear: points {points!r:.80}; wanted (step, rate) with rising steps and no rate below 0"
            )

    def at(self, step: int) -> float:
        steps, rates = zip(*self.points, strict=True)
        place = bisect_right(steps, step)
        if place == 0 or place == len(steps):
            return float(rates[min(place, len(steps) - 1)])
        share = (step - steps[place - 1]) / (steps[place] - steps[place - 1])
        return float(rates[place - 1] + share * (rates[place] - rates[place - 1]))


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up to `peak` and down again over `num_steps`, along half cosines (Smith & Topin 2017, arXiv:1708.07120).

    The rise, from peak / start_divisor, takes the fraction `rise` of the steps; the end is end_divisor times below the
    start. As PyTorch's `OneCycleLR`.
    """

    peak: float
    num_steps: int
    rise: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 1e4

    def __post_init__(self) -> None:
        if self.num_steps < 2 or not 1 / self.num_steps < self.rise < 1:
            raise StructureError(
                f"OneCycle: {self.num_steps} steps, a rise of {self.rise}; wanted at least 2 steps, and a rise of "
                "more than one of them but not of all"
            )
        if not (self.start_divisor >= 1 and self.end_divisor >= 1):
            raise StructureError(f"OneCycle: divisors {self.start_divisor} and {self.end_divisor}; wanted at least 1")

    def at(self, step: int) -> float:
        start, top, last = self.peak / self.start_divisor, self.rise * self.num_steps - 1, self.num_steps - 1
        if step <= top:
            return _half_cosine(start, self.peak, step / top)
        return _half_cosine(self.peak, start / self.end_divisor, min(1.0, (step - top) / (last - top)))


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + cos(pi * done)) / 2


@dataclass(frozen=True)
class Scaled(Schedule):
    """Another schedule, times `factor`."""

    schedule: Schedule
    factor: float

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Schedule):
            raise StructureError(f"Scaled: schedule = {self.schedule!r:.80}; wanted a schedule")
        if not (isfinite(self.factor) and self.factor > 0):
            raise StructureError(f"Scaled: factor {self.factor}, wanted a positive number")

    def at(self, step: int) -> float:
        return self.factor * self.schedule.at(step)
