"""The order of work: which steps a row of layers takes, rewritten to an equal but cheaper one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnlite.nn.layer import Layer
from nnlite.nn.parameters import Shape


@dataclass(frozen=True)
class Step:
    """Something to run, and the index of the layer it belongs to, whose parameters it uses."""

    layer: Layer
    owner: int


def plan(layers: Sequence[Layer], input_shapes: Sequence[Shape]) -> list[Step]:
    """The steps of `layers`, whose inputs have `input_shapes`.

    A maximum over a window goes before whatever keeps the order of numbers (a ReLU, the bias of a channel):
    max(f(a), f(b)) = f(max(a, b)), to the last bit, and f has less to do behind a pooling.
    """
    steps = [
        Step(part, owner)
        for owner, (layer, shape) in enumerate(zip(layers, input_shapes, strict=True))
        for part in layer.steps(shape)
    ]
    for start, step in enumerate(steps):
        place = start
        while step.layer.takes_maximum and place > 0 and steps[place - 1].layer.increasing:
            steps[place - 1], steps[place] = step, steps[place - 1]
            place -= 1
    return steps
