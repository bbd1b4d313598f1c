"""Sizing: how many workers, and which merge tree, by a model of their runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from nnlite.cost.bill import Cost, cost
from nnlite.cost.curve import OBJECTIVES
from nnlite.cost.prices import Tariff
from nnlite.cost.profile import Profile
from nnlite.cost.rounds import RunModel, Shape
from nnlite.errors import UsageError
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.records.tree import Tree

FAN_INS = (4, 8, 16, 32)
Model = Callable[[Shape, Profile], RunModel]  # what predicts a run; `RunModel` itself, or something better


@dataclass(frozen=True)
class Sized:
    """One way to run: so many workers, this tree; and what that takes, for the whole run."""

    num_workers: int
    tree: Tree
    seconds: float
    cost: Cost

    def score(self, objective: str) -> float:
        """What is to be made small."""
        money = self.cost.total_usd or self.cost.total_gb_s
        return {"time": self.seconds, "cost": money, "performance-per-cost": self.seconds * money}[objective]


def sized(
    spec: RunSpec,
    tree: Tree,
    profile: Profile,
    model_bytes: int,
    memory_mb: int,
    tariff: Tariff | None,
    model: Model = RunModel,
) -> Sized:
    """A run by `spec`, but with the workers of `tree`, each in a function of `memory_mb`.

    With `steps_per_round` the steps of all workers together stay the same: more workers take fewer each.
    """
    num = tree.widths[-1]
    steps = spec.steps_per_round and max(1, round(spec.steps_per_round * spec.num_workers / num))
    resized = replace(spec, num_workers=num, tree_widths=tree.widths, steps_per_round=steps)
    made = model(Shape.of(resized, model_bytes), profile)
    return Sized(num, tree, made.seconds, cost(made.usage, memory_mb, tariff))


def best(
    spec: RunSpec,
    profile: Profile,
    model_bytes: int,
    memory_mb: int,
    tariff: Tariff | None,
    objective: str,
    workers: tuple[int, int],
    model: Model = RunModel,
) -> Sized:
    """The candidate with the best score; among equals, the one with fewer workers."""
    if objective not in OBJECTIVES:
        raise UsageError(f"no objective {objective!r}; there are {', '.join(OBJECTIVES)}")
    lowest, highest = workers
    if not 1 <= lowest <= highest:
        raise UsageError(f"workers {lowest}:{highest}: wanted LOWEST:HIGHEST, at least 1")
    if lowest > spec.data.num_train:
        raise UsageError(
            f"{lowest} workers, but {spec.data.name} has {spec.data.num_train} training samples: use fewer"
        )
    trees = candidates(lowest, min(highest, spec.data.num_train))
    runs = (sized(spec, tree, profile, model_bytes, memory_mb, tariff, model) for tree in trees)
    return min(runs, key=lambda s: (s.score(objective), s.num_workers))


def candidates(lowest: int, highest: int) -> Iterator[Tree]:
    """Trees of some thirty numbers of workers: of one level, and of several with the usual numbers of children."""
    for num in np.unique(np.geomspace(lowest, highest, 32).round().astype(int)):
        yield from _trees(int(num))


def _trees(num_workers: int) -> Iterator[Tree]:
    seen = {Tree.for_workers(num_workers).widths}
    if num_workers <= max(FAN_INS):
        seen.add((1, num_workers) if num_workers > 1 else (1,))
    for fan_in in FAN_INS:
        widths = [num_workers]
        while widths[0] > fan_in:
            widths.insert(0, ceil(widths[0] / fan_in))
        seen.add((1, *widths) if widths[0] > 1 else tuple(widths))
    for widths_of in sorted(seen):
        yield Tree(widths_of)
