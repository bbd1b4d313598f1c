"""The merge tree: which contributions are merged, as a pure function of its widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from nnlite.errors import UsageError

MOST_LEVELS = 64
WIDEST = 5  # children that are merged in one go unless somebody wants otherwise


@dataclass(frozen=True)
class Tree:
    """`widths[level]` nodes at each level, root first; the last level are the workers: ``(1, 5, 20, 100)``.

    The children of a node are neighbours, and the children of one level's nodes, in order, are the next level.
    """

    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.widths) > MOST_LEVELS:
            raise UsageError(f"merge tree of {len(self.widths):,} levels: at most {MOST_LEVELS} can be meant")
        shown = ",".join(str(w) for w in self.widths)
        if not self.widths or self.widths[0] != 1:
            raise UsageError(f"merge tree {shown or '(empty)'}: it must begin with 1, the root")
        if any(b < a for a, b in zip(self.widths, self.widths[1:], strict=False)):
            raise UsageError(f"merge tree {shown}: no level can be narrower than the one above it")

    @classmethod
    def for_workers(cls, num_workers: int, widths: Sequence[int] | None = None) -> Tree:
        """The tree with the given widths, or a sensible one. Raises UsageError if it does not fit."""
        if widths is None:
            if num_workers < 1:
                raise UsageError(f"workers: {num_workers}, wanted at least 1")
            levels = [num_workers]
            while levels[0] > 1:
                levels.insert(0, ceil(levels[0] / WIDEST))
            return cls(tuple(levels))
        tree = cls(tuple(widths))
        if tree.widths[-1] != num_workers:
            raise UsageError(
                f"merge tree {','.join(map(str, widths))} ends in {tree.widths[-1]}, but there are {num_workers} "
                f"workers: let it end in {num_workers}"
            )
        return tree

    @property
    def leaf_level(self) -> int:
        """The level of the workers' own contributions."""
        return len(self.widths) - 1

    def children(self, level: int, node: int) -> range:
        """The nodes of `level + 1` that are merged into this one."""
        above, below = self.widths[level], self.widths[level + 1]
        return range(node * below // above, (node + 1) * below // above)

    def parent(self, level: int, node: int) -> int:
        """The node of `level - 1` that this one is merged into."""
        above, below = self.widths[level - 1], self.widths[level]
        return ((node + 1) * above - 1) // below

    def nodes(self) -> list[tuple[int, int]]:
        """Every (level, node), root first."""
        return [(level, node) for level, width in enumerate(self.widths) for node in range(width)]
