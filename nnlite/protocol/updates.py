"""Updates: what a worker pushes in Downpour SGD, and how pending ones are folded into a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from nnlite import weights
from nnlite.errors import WeightsError
from nnlite.protocol import contribution
from nnlite.protocol.contribution import Tally
from nnlite.protocol.effects import Model


@dataclass(frozen=True)
class Label:
    """What an update says of itself besides its vector."""

    worker: int
    seq: int  #: 1, 2, 3, ... of this worker, whatever the attempt
    base: int  #: version of the checkpoint it was computed from
    step: int  #: steps the worker has taken, this update included
    last: bool  #: whether the worker is through
    num_samples: int
    loss_sum: float


@dataclass(frozen=True)
class Update:
    """A worker's summed weight change between two pushes."""

    label: Label
    weights: weights.Weights

    @classmethod
    def of(cls, model: Model, label: Label) -> Update:
        """What `decode` makes of the bytes that `encode` makes of these."""
        return cls(label, weights.Weights(model.vector, model.shapes, {}))


@dataclass(frozen=True)
class Ledger:
    """What a checkpoint contains of every worker: the last seq applied, the steps, and who is through."""

    applied: tuple[int, ...]
    steps: tuple[int, ...]
    finished: tuple[int, ...] = ()

    @classmethod
    def empty(cls, num_workers: int) -> Ledger:
        """Nothing applied yet."""
        return cls((0,) * num_workers, (0,) * num_workers)

    def with_update(self, label: Label) -> Ledger:
        """One more update applied; they come in the order of their seq."""
        if label.seq != self.applied[label.worker] + 1:
            raise ValueError(f"update {label.seq} of worker {label.worker} after {self.applied[label.worker]}")
        applied, steps = list(self.applied), list(self.steps)
        applied[label.worker], steps[label.worker] = label.seq, label.step
        finished = sorted({*self.finished, label.worker}) if label.last else self.finished
        return replace(self, applied=tuple(applied), steps=tuple(steps), finished=tuple(finished))

    @classmethod
    def of(cls, values: dict[str, Any]) -> Ledger:
        """From JSON values. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(*(tuple(int(v) for v in values[name]) for name in ("applied", "steps", "finished")))


def encode(model: Model, label: Label) -> bytes:
    """An update as bytes: a weights file whose metadata hold the label."""
    return weights.encode(model.vector, model.shapes, {"update": json.dumps(asdict(label))})


def decode(data: Any, where: str) -> Update:
    """Read what `encode` wrote. Raises WeightsError for anything else."""
    found = weights.decode(data, where)
    try:
        return Update(Label(**json.loads(found.metadata["update"])), found)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{where} is a weights file but no update: {error!r}") from None


def checkpoint(model: Model, ledger: Ledger, tally: Tally) -> bytes:
    """A checkpoint that knows what it contains."""
    return contribution.encode(model, tally, ledger=json.dumps(asdict(ledger)))


def ledger_of(found: weights.Weights, where: str, num_workers: int) -> Ledger:
    """The ledger of a decoded checkpoint; an empty one for the first. Raises WeightsError when it is damaged."""
    if "ledger" not in found.metadata:
        return Ledger.empty(num_workers)
    try:
        return Ledger.of(json.loads(found.metadata["ledger"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{where} has no sound ledger: {error!r}") from None


def fold(data: Any, updates: Sequence[Update], where: str, num_workers: int) -> bytes:
    """The next checkpoint: the one in `data` plus every update, in the order given.

    Raises StructureError when an update is of another network, ValueError when one is missing between.
    """
    found, _ = contribution.decode(data, where)
    ledger, tally, vector = ledger_of(found, where, num_workers), Tally(), np.array(found.vector)
    for update in updates:
        weights.check_shapes(update.weights.shapes, found.shapes, where, "Was the update made by another run?")
        vector += update.weights.vector
        ledger = ledger.with_update(update.label)
        tally += Tally(update.label.num_samples, update.label.loss_sum)
    return checkpoint(Model(vector, dict(found.shapes)), ledger, tally)
