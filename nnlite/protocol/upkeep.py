"""Upkeep: what a waiting worker does for its own contribution, which a store may forget before it is merged.

While the worker lives and beats, nobody replaces it; so nobody else can make its contribution again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nnlite.protocol.effects import Missing, Program
from nnlite.protocol.rounds import Rounds

Make = Callable[[], bytes]


class Again(Exception):  # not an error: how deep code says that a round has to be done again
    """Something of a round is lost that this worker can only make by doing the round again."""

    def __init__(self, round: int):
        super().__init__(round)
        self.round = round


@dataclass
class Upkeep:
    """One worker's contribution to the round that it waits for, if it has made one."""

    rounds: Rounds
    worker: int
    round: int | None = None
    make: Make | None = None  #: the same bytes again, as long as nothing was trained since; None: by the whole round

    def contributed(self, round: int, make: Make | None) -> None:
        """From now on it is looked after."""
        self.round, self.make = round, make

    def moved_on(self) -> None:
        """The worker has begun another round."""
        self.round = self.make = None

    def is_lost(self) -> Program[bool]:
        """Whether the contribution is neither there nor merged into its parent node."""
        if self.round is None:
            return False
        return (yield from self.is_forgotten(self.round))

    def is_forgotten(self, round: int) -> Program[bool]:
        """Whether what this worker has contributed to a round is neither there nor merged into its parent node."""
        tree, keys = self.rounds.tree, self.rounds.keys
        names = [keys.node(round, tree.leaf_level, self.worker)]
        if tree.leaf_level:
            names.append(keys.node(round, tree.leaf_level - 1, tree.parent(tree.leaf_level, self.worker)))
        return len((yield Missing(tuple(names)))) == len(names)
