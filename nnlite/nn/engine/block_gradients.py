"""Sums of gradients over blocks of samples, and over the threads that run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import DTypeLike

from nnlite.nn.layer import Tensor, Tensors
from nnlite.nn.parameters import Layout, aligned_zeros


class BlockGradients:
    """For each thread, the sum of its blocks' gradients with respect to `parameters`, a mapping a step.

    A layer writes its gradients, it does not add them; so a second vector takes those of the next block.
    """

    def __init__(self, parameters: Sequence[Tensors], threads: int, dtype: DTypeLike):
        self._layout = Layout(
            {f"{step}/{name}": p.shape for step, tensors in enumerate(parameters) for name, p in tensors.items()}
        )
        self._names = [list(tensors) for tensors in parameters]
        self._sums = [aligned_zeros(self._layout.size, dtype) for _ in range(threads)]
        self._next = [aligned_zeros(self._layout.size, dtype) for _ in range(threads)]
        self._sum_views = [self._views(vector) for vector in self._sums]
        self._next_views = [self._views(vector) for vector in self._next]

    def _views(self, vector: Tensor) -> list[dict[str, Tensor]]:
        views = self._layout.views(vector)
        return [{name: views[f"{step}/{name}"] for name in names} for step, names in enumerate(self._names)]

    @contextmanager
    def block(self, thread: int, is_first: bool) -> Iterator[Sequence[Tensors]]:
        """Where the gradients of one block are to be written; they are added to the thread's sum afterwards."""
        if is_first:
            yield self._sum_views[thread]
        else:
            yield self._next_views[thread]
            np.add(self._sums[thread], self._next[thread], out=self._sums[thread])

    def total(self, threads: int) -> Sequence[Tensors]:
        """The sum over the first `threads` threads, always in the same order."""
        for thread in range(1, threads):
            np.add(self._sums[0], self._sums[thread], out=self._sums[0])
        return self._sum_views[0]
