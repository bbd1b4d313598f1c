"""A space of configurations: what a search may try, and how it draws from it.

Write one into a case file::

    space = Space(learning_rate=Float(0.001, 0.1, log=True), hidden=Several(Int(10, 100), 1, 3))
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlite.errors import UsageError
from nnlite.numbers import PythonNumbers

MAX_REDRAWS = 10_000  # of a configuration that was drawn before


class Domain(metaclass=PythonNumbers):
    """The values that one name of a space can have."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """One of them, at random; a JSON value."""

    @property
    @abstractmethod
    def size(self) -> float:
        """How many there are; infinite for a continuum."""


@dataclass(frozen=True)
class Float(Domain):
    """A number from `low` to `high`; with `log`, every factor is equally likely: 0.001 to 0.01 as 0.01 to 0.1."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self)

    def draw(self, rng: np.random.Generator) -> float:
        """Uniform, or uniform in the logarithm."""
        if not self.log:
            return float(rng.uniform(self.low, self.high))
        drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return float(min(max(drawn, self.low), self.high))

    @property
    def size(self) -> float:
        """1, or a continuum."""
        return 1 if self.low == self.high else math.inf

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Int(Domain):
    """A whole number from `low` to `high`, both included; with `log`, small ones are as likely as in `Float`."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        if type(self.low) is not int or type(self.high) is not int:
            raise UsageError(f"{self!r}: wanted whole numbers")
        _check_range(self)

    def draw(self, rng: np.random.Generator) -> int:
        """Uniform, or uniform in the logarithm."""
        if not self.log:
            return int(rng.integers(self.low, self.high + 1))
        drawn = math.floor(math.exp(rng.uniform(math.log(self.low), math.log(self.high + 1))))
        return min(max(drawn, self.low), self.high)

    @property
    def size(self) -> float:
        """How many numbers."""
        return self.high - self.low + 1

    def __str__(self) -> str:
        return f"{self.low} to {self.high}{', log' if self.log else ''}"


class Choice(Domain):
    """One of some values: numbers, texts, or lists of them."""

    def __init__(self, *values: Any) -> None:
        if not values:
            raise UsageError("Choice(): wanted at least one value")
        try:
            self.values = json.loads(json.dumps(values, allow_nan=False))
        except (TypeError, ValueError):
            raise UsageError(f"Choice{values!r}: wanted numbers, texts, or lists of them") from None

    def draw(self, rng: np.random.Generator) -> Any:
        """Each as likely as the others."""
        return self.values[int(rng.integers(len(self.values)))]

    @property
    def size(self) -> float:
        """How many values, each counted once."""
        return len({json.dumps(value) for value in self.values})

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.values))})"

    def __str__(self) -> str:
        return " | ".join(map(str, self.values))


@dataclass(frozen=True)
class Several(Domain):
    """A list of `least` to `most` values, each drawn from `of`: the widths of hidden layers, say."""

    of: Domain
    least: int
    most: int

    def __post_init__(self) -> None:
        if not isinstance(self.of, Domain):
            raise UsageError(f"Several: {self.of!r} is no Float, Int or Choice")
        if not 0 <= self.least <= self.most:
            raise UsageError(f"Several: from {self.least} to {self.most} values: wanted 0 or more, least first")

    def draw(self, rng: np.random.Generator) -> list[Any]:
        """Each length as likely as the others."""
        return [self.of.draw(rng) for _ in range(int(rng.integers(self.least, self.most + 1)))]

    @property
    def size(self) -> float:
        """How many lists."""
        return sum(self.of.size**length for length in range(self.least, self.most + 1))

    def __str__(self) -> str:
        return f"{self.least} to {self.most} times {self.of}"


class Space(Mapping[str, Domain]):
    """Names and their domains. Raises UsageError when there is nothing to search."""

    def __init__(self, **domains: Domain) -> None:
        if not domains:
            raise UsageError(
                "an empty space: name what to search, as in Space(learning_rate=Float(0.001, 0.1, log=True))"
            )
        for name, domain in domains.items():
            if not isinstance(domain, Domain):
                raise UsageError(f"space: {name} = {domain!r} is no Float, Int, Choice or Several")
        self._domains = domains

    def __getitem__(self, name: str) -> Domain:
        return self._domains[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._domains)

    def __len__(self) -> int:
        return len(self._domains)

    @property
    def size(self) -> float:
        """How many configurations there are."""
        return math.prod(domain.size for domain in self._domains.values())

    def draw(self, count: int, seed: int) -> list[dict[str, Any]]:
        """`count` different configurations. The first n are the same for any count: trial i depends on seed and i.

        Raises UsageError when the space has not so many.
        """
        if count > self.size:
            raise UsageError(f"{count} trials, but the space has only {self.size:.0f} configurations: use fewer trials")
        drawn: list[dict[str, Any]] = []
        seen: set[str] = set()
        for trial in range(count):
            rng = np.random.default_rng([seed, trial])
            for _ in range(MAX_REDRAWS):
                configuration = {name: domain.draw(rng) for name, domain in self._domains.items()}
                if json.dumps(configuration) not in seen:
                    break
            else:
                raise UsageError(f"the space is all but used up after {trial} trials: use fewer trials")
            seen.add(json.dumps(configuration))
            drawn.append(configuration)
        return drawn

    def described(self) -> dict[str, str]:
        """Each name with its domain, in words."""
        return {name: str(domain) for name, domain in self._domains.items()}


def _check_range(domain: Float | Int) -> None:
    low, high = domain.low, domain.high
    if not all(isinstance(bound, (int, float)) and math.isfinite(bound) for bound in (low, high)):
        raise UsageError(f"{domain!r}: wanted two numbers")
    if low > high:
        raise UsageError(f"{domain!r}: the lower bound is above the upper one")
    if domain.log and low <= 0:
        raise UsageError(f"{domain!r}: a logarithmic range begins above 0")
