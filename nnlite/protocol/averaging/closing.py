"""Closing: the checkpoint that a round ends with, as a function of the one it began with and of the root of its merge.

So every worker that closes a round makes the same bytes, however often. Three things can be done besides adopting the
mean:

slow momentum    u = beta u + d; theta = theta + u, with d the change of the mean (Wang et al. 2019, "SlowMo: Improving
                 Communication-Efficient Distributed SGD with Slow Momentum"; Chen and Huo 2016)
average_last     the last checkpoint is the mean of the last K (Kaddour 2022, "Stop Wasting My Time!", LAWA)
ema              the last checkpoint is a moving average of all, of the early ones shorter

What they remember lies in the checkpoint, behind weights and optimizer state, under the same names with a prefix. The
last checkpoint of a run has none of it.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray

from nnlite import weights
from nnlite.errors import WeightsError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import Tally
from nnlite.protocol.effects import Model
from nnlite.protocol.records.spec import RunSpec
from nnlite.weights import Weights

SLOW, TOTAL, EMA = "slow:", "total:", "ema:"
CARRIED = (SLOW, TOTAL, EMA)

Vector = NDArray[np.float32]


def is_more(spec: RunSpec) -> bool:
    """Whether rounds of the run end with something else than the mean."""
    return spec.slow_momentum > 0 or spec.average_last is not None or spec.ema is not None


def shared(found: Weights, where: str) -> Weights:
    """A checkpoint as workers know it: without what it carries from one closing to the next. Raises WeightsError when
    that does not lie at its end."""
    kept = {name: shape for name, shape in found.shapes.items() if not name.startswith(CARRIED)}
    if len(kept) == len(found.shapes):
        return found
    if list(found.shapes)[: len(kept)] != list(kept):
        raise WeightsError(f"{where} is not a sound checkpoint: weights and optimizer state have to come first")
    return Weights(found.vector[: _size(kept)], kept, found.metadata)


def close(before: Weights, root: Weights, tally: Tally, key: str, version: int, spec: RunSpec) -> bytes:
    """Checkpoint `version` as the bytes for `key`: same arguments, same bytes.

    before: the checkpoint that the round began with. root: the mean of what the workers made of it. Raises
    StructureError when they have different tensors.
    """
    shapes = {name: shape for name, shape in root.shapes.items() if ":" not in name}
    weights.check_shapes(shared(before, key).shapes, root.shapes, key, "Were they made by different runs?")
    size, there = _size(shapes), _carried(before)
    began, made = before.vector[:size], root.vector[:size]
    carried: dict[str, Vector] = {}
    if spec.slow_momentum:
        slow = made - began
        if SLOW in there:
            slow += np.float32(spec.slow_momentum) * there[SLOW]
        carried[SLOW], made = slow, began + slow
    if spec.ema is not None:
        decay = np.float32(min(spec.ema, version / (9.0 + version)))
        carried[EMA] = decay * there.get(EMA, began) + (np.float32(1) - decay) * made
    if spec.average_last is not None and version > spec.num_rounds - spec.average_last:
        carried[TOTAL] = there[TOTAL] + made if TOTAL in there else made
    if version >= spec.num_rounds:
        made, carried = _last(made, carried, spec), {}
    vector = np.concatenate([made, root.vector[size:], *carried.values()])
    more = {prefix + name: shape for prefix in carried for name, shape in shapes.items()}
    return contribution.encode(Model(vector, {**root.shapes, **more}), tally, key)


def _last(made: Vector, carried: dict[str, Vector], spec: RunSpec) -> Vector:
    """The weights that a run comes to."""
    if spec.average_last is not None:
        mean: Vector = carried[TOTAL] / np.float32(min(spec.average_last, spec.num_rounds))
        return mean
    return carried.get(EMA, made)


def _carried(found: Weights) -> dict[str, Vector]:
    """Prefix -> the vector (P,) that a checkpoint carries under it."""
    vectors: dict[str, list[Vector]] = {}
    for name, tensor in found.tensors().items():
        prefix = next((one for one in CARRIED if name.startswith(one)), None)
        if prefix is not None:
            vectors.setdefault(prefix, []).append(tensor.reshape(-1))
    return {prefix: np.concatenate(parts) for prefix, parts in vectors.items()}


def _size(shapes: dict[str, tuple[int, ...]]) -> int:
    return sum(prod(shape) for shape in shapes.values())
