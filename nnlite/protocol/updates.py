"""Updates: what a worker pushes in Downpour SGD, and how pending ones are folded into a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlite import weights
from nnlite.errors import StructureError, WeightsError
from nnlite.protocol import contribution, identity
from nnlite.protocol.contribution import Tally
from nnlite.protocol.effects import Model
from nnlite.protocol.wire import pack, unpack


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
    vector: NDArray[np.float32]  #: (P,)


@dataclass(frozen=True)
class Ledger:
    """What a checkpoint contains of every worker: the last seq applied, the steps, what that update was computed
    from; and who is through."""

    applied: tuple[int, ...]
    steps: tuple[int, ...]
    finished: tuple[int, ...] = ()
    bases: tuple[int, ...] = ()

    @classmethod
    def empty(cls, num_workers: int) -> Ledger:
        """Nothing applied yet."""
        nothing = (0,) * num_workers
        return cls(nothing, nothing, (), nothing)

    def with_update(self, label: Label) -> Ledger:
        """One more update applied; they come in the order of their seq."""
        if label.seq != self.applied[label.worker] + 1:
            raise ValueError(f"update {label.seq} of worker {label.worker} after {self.applied[label.worker]}")
        finished = tuple(sorted({*self.finished, label.worker})) if label.last else self.finished
        changes = {"applied": label.seq, "steps": label.step, "bases": label.base}
        changed = {name: _with(getattr(self, name), label.worker, value) for name, value in changes.items()}
        return replace(self, finished=finished, **changed)

    def oldest_base(self) -> int | None:
        """From which checkpoint on the updates can be that are still to come; None when all are through."""
        going = [base for worker, base in enumerate(self.bases) if worker not in self.finished]
        return min(going, default=None)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Ledger:
        """From JSON values. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(**{name: tuple(int(v) for v in values[name]) for name in ("applied", "steps", "finished", "bases")})


def _with(values: tuple[int, ...], index: int, value: int) -> tuple[int, ...]:
    return (*values[:index], value, *values[index + 1 :])


def encode(model: Model, label: Label, key: str, wire: str = "float32") -> bytes:
    """An update as the bytes for `key`: a weights file whose metadata hold the label. It was reduced for this kind of
    wire."""
    packed, about = pack(model, wire)
    about |= {identity.KEY: key, "update": json.dumps(vars(label))}
    return weights.encode(packed.vector, packed.shapes, about)


def decode(data: Any, key: str) -> Update:
    """Read what `encode` wrote. Raises WeightsError for anything else, StoreError for what belongs elsewhere."""
    found = weights.decode(data, key)
    identity.check(found.metadata.get(identity.KEY), key)
    try:
        return Update(Label(**json.loads(found.metadata["update"])), unpack(found, key))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{key} is a weights file but no update: {error!r}") from None


def ledger_of(found: weights.Weights, where: str, num_workers: int) -> Ledger:
    """The ledger of a decoded checkpoint; an empty one for the first. Raises WeightsError when it is damaged."""
    if "ledger" not in found.metadata:
        return Ledger.empty(num_workers)
    try:
        return Ledger.of(json.loads(found.metadata["ledger"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{where} has no sound ledger: {error!r}") from None


@dataclass(frozen=True)
class Folded:
    """A checkpoint: its bytes, and what a reader decodes from them."""

    data: bytes
    weights: weights.Weights
    ledger: Ledger
    tally: Tally


def fold(base: weights.Weights, updates: Sequence[Update], key: str, num_workers: int) -> Folded:
    """The next checkpoint, which is to stand under `key`: `base` plus every update, in the order given.

    Raises StructureError when an update is of another network, ValueError when one is missing between.
    """
    ledger, tally, vector = ledger_of(base, key, num_workers), Tally(), np.array(base.vector)
    for update in updates:
        if update.vector.shape != vector.shape:
            raise StructureError(
                f"update {update.label.seq} of worker {update.label.worker} for {key} has {len(update.vector)} "
                f"entries, the checkpoint {len(vector)}. Was it made by another run?"
            )
        vector += update.vector
        ledger = ledger.with_update(update.label)
        tally += Tally(update.label.num_samples, update.label.loss_sum)
    return folded(Model(vector, dict(base.shapes)), ledger, tally, key)


def read(data: Any, where: str, num_workers: int) -> Folded:
    """A checkpoint that somebody else has made. Raises WeightsError when it is damaged."""
    found, tally = contribution.decode(data, where)
    return Folded(data, found, ledger_of(found, where, num_workers), tally)


def folded(model: Model, ledger: Ledger, tally: Tally, key: str) -> Folded:
    """A checkpoint that knows what it contains, and that it is to stand under `key`."""
    about = {"ledger": json.dumps(vars(ledger))}
    data = contribution.encode(model, tally, key, **about)
    return Folded(data, weights.Weights(model.vector, model.shapes, about), ledger, tally)
