"""Upkeep: what a worker does for its own contribution, which a store may forget before it is merged.

While the worker lives and beats, nobody replaces it; so nobody else can make its contribution again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.averaging.rounds import Rounds
from nnlite.protocol.effects import Create, Missing, Model, Note, Program
from nnlite.protocol.records.lease import Lease
from nnlite.protocol.records.spec import RunSpec
from nnlite.protocol.roles.waiter import MORE_MEMORY, Waiter

MOST_FORGOTTEN = 5  # times that a worker's contribution to one round is made again

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


class Contributing(Waiter):
    """Contributes to rounds, and looks after what it has contributed while it waits for the others."""

    def __init__(self, spec: RunSpec, worker: int):
        super().__init__(spec)
        self.worker = worker
        self.lease: Lease | None = None
        self.upkeep = Upkeep(self.rounds, worker)

    def contribute(self, round: int, model: Model, tally: Tally) -> Program[bool]:
        """Contribute to a round, and merge whatever that completes. -> whether it closed the round"""
        key = self.rounds.leaf(round, self.worker)
        return (yield from self.put(round, lambda: contribution.encode(model, tally, key), is_again=False))

    def put(self, round: int, make: Make, is_again: bool = True) -> Program[bool]:
        """Create our contribution, of bytes that can be made again until we train on; and climb."""
        assert self.lease is not None
        data = make()
        if (yield Create(self.rounds.leaf(round, self.worker), data)) and self.lease.round == round:
            yield from self._forgotten(round)
        if self.lease.round != round:
            self.lease = replace(self.lease, round=round, forgotten=0)
        self.upkeep.contributed(round, make)
        return (yield from self.rounds.climb(round, self.rounds.tree.leaf_level, self.worker, data, is_again))

    def _forgotten(self, round: int) -> Program[None]:
        """The store had our contribution, and has lost it: count that, and end a run for which it is too small."""
        assert self.lease is not None
        self.lease = replace(self.lease, forgotten=self.lease.forgotten + 1)
        yield Note("forgotten", {"round": round, "times": self.lease.forgotten})
        if self.lease.forgotten >= MOST_FORGOTTEN:
            lost = f"the store has forgotten what worker {self.worker} contributed to round {round}"
            yield from self.fail(f"{lost} {self.lease.forgotten} times: {MORE_MEMORY}")

    def repair(self) -> Program[None]:
        """First see whether our own contribution is still there: while we live, nobody else makes it again."""
        if (yield from self.upkeep.is_lost()):
            round, make = self.upkeep.round, self.upkeep.make
            assert round is not None
            if make is None:
                raise Again(round)
            yield from self.put(round, make)
        yield from super().repair()
