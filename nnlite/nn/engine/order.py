"""The order of work: which steps a row of layers takes, rewritten to an equal but cheaper one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from nnlite.nn.convolution.rowwise import Rowwise
from nnlite.nn.layer import Layer
from nnlite.nn.layers.pool import MaxPool2D, MaxPoolOfSortedColumns
from nnlite.nn.parameters import Shape


@dataclass(frozen=True)
class Step:
    """Something to run, and the index of the layer it belongs to, whose parameters it uses."""

    layer: Layer
    owner: int


def plan(layers: Sequence[Layer], input_shapes: Sequence[Shape]) -> list[Step]:
    """The steps of `layers`, whose inputs have `input_shapes`."""
    steps = [
        Step(part, owner)
        for owner, (layer, shape) in enumerate(zip(layers, input_shapes, strict=True))
        for part in layer.steps(shape)
    ]
    _pool_early(steps)
    _sort_columns(steps)
    return steps


def _pool_early(steps: list[Step]) -> None:
    """Move a maximum over windows before whatever keeps the order of numbers (a ReLU, the bias of a channel):
    max(f(a), f(b)) = f(max(a, b)), to the last bit, and f has less to do behind a pooling."""
    for start, step in enumerate(steps):
        place = start
        while step.layer.takes_maximum and place > 0 and steps[place - 1].layer.increasing:
            steps[place - 1], steps[place] = step, steps[place - 1]
            place -= 1


def _sort_columns(steps: list[Step]) -> None:
    """Let a rowwise convolution write its columns in the order in which the pooling behind it reads them.

    A pooling of stride 2 reads every other column. Sorted into even and odd ones, they are long runs, over which
    comparing is three times as fast; and the convolution may as well compute them in that order.
    """
    for place, (step, following) in enumerate(pairwise(steps)):
        convolution, pool = step.layer, following.layer
        if not isinstance(convolution, Rowwise) or type(pool) is not MaxPool2D:
            continue
        if convolution.stride == 1 < pool.stride and convolution.columns.count % pool.stride == 0:
            steps[place] = Step(replace(convolution, lanes=pool.stride), step.owner)
            sorted_pool = MaxPoolOfSortedColumns(pool.kernel, pool.stride, pool.padding)
            steps[place + 1] = Step(sorted_pool, following.owner)
