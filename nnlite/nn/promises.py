"""Promises of a layer, tried out: each sample counts alone, and memory is handled as the class attributes say.

Image layers see a minibatch block by block, and every layer predicts some hundred samples at a time. A layer that mixes
samples, such as a batch normalization, would normalize each block by itself.
"""

from __future__ import annotations

import numpy as np

from nnlite.errors import StructureError
from nnlite.nn.engine.chain import Chain
from nnlite.nn.layer import Layer, Tensor, says
from nnlite.nn.parameters import Shape

NUM_SAMPLES, FIRST = 5, 3  # of the batch that is split, and of its first part
CLOSE = 1e-9  # relative difference in float64 that another order of sums makes


def check_promises(layer: Layer, input_shape: Shape, rng: np.random.Generator) -> None:
    """Raise StructureError, in one line, when a layer does not keep what its class promises.

    input_shape: (C, H, W) or (D,).
    """
    is_image = len(input_shape) == 3
    p = {name: rng.standard_normal(one.shape) for name, one in layer.parameters(input_shape).items()}
    inside = (*input_shape[1:], NUM_SAMPLES, input_shape[0]) if is_image else (*input_shape, NUM_SAMPLES)
    x, axis = layer.draw_input(inside, rng), -2 if is_image else -1

    def forward(block: Tensor) -> Tensor:
        chain = Chain([layer], np.float64, [{}], [bool(p)], not says(layer, "whole_numbers"))
        given = block.copy()
        y = chain.forward([p], given, training, np.random.default_rng(0))
        _check_memory(layer, block, given, y)
        return y

    for training in (False, True):
        whole = forward(x)
        if training and (
            says(layer, "random") or says(layer, "whole_batch")
        ):  # what is drawn while training depends on the block
            continue
        joined = np.concatenate([forward(part) for part in np.split(x, [FIRST], axis)], -2 if whole.ndim == 4 else -1)
        error = float(np.linalg.norm(joined - whole)) / (float(np.linalg.norm(whole)) or 1.0)
        if not error < CLOSE:
            raise StructureError(_mixes(layer, error, training))


def _check_memory(layer: Layer, before: Tensor, x: Tensor, y: Tensor) -> None:
    name = type(layer).__name__
    if not np.array_equal(x, before):
        raise StructureError(f"{name}.forward writes over its input: write into ws.output(shape) instead")
    if np.may_share_memory(x, y) and not layer.may_return_input:
        raise StructureError(f"{name}.forward returns its input, or a view of it: declare may_return_input = True")


def _mixes(layer: Layer, error: float, training: bool) -> str:
    problem = f"{type(layer).__name__} mixes samples: its output changes by {error:.1e} when a batch is split"
    if not training:
        return f"{problem} while predicting; what is predicted for a sample must not depend on the others"
    return (
        f"{problem}, as batches are for layers on images: let each sample count alone, or declare whole_batch = True "
        "and put the layer behind Flatten()"
    )
