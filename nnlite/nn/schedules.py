"""Learning rates as functions of the step."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

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
