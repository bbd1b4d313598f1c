"""Updates: what a worker pushes in Downpour SGD, and how pending ones are folded into a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnlite import weights
from nnlite.errors import StructureError, WeightsError
from nnlite.protocol.averaging import contribution
from nnlite.protocol.averaging.contribution import NOTHING, Tally
from nnlite.protocol.downpour.wire import pack, unpack
from nnlite.protocol.effects import Model
from nnlite.protocol.records.keys import LIFE, Keys, Version, WorkerNumber
from nnlite.records import Count, Record, identity

if TYPE_CHECKING:  # a head holds a ledger, so it imports us
    from nnlite.protocol.records.head import Head
    from nnlite.protocol.records.spec import RunSpec


@dataclass(frozen=True)
class Label(Record, what="an update", error=WeightsError):
    """What an update says of itself besides its vector."""

    worker: WorkerNumber
    seq: Count  #: 1, 2, 3, ... of this worker, whatever the attempt
    base: Version  #: version of the checkpoint it was computed from
    step: Count  #: steps the worker has taken, this update included
    last: bool  #: whether the worker is through
    num_samples: Count
    loss_sum: float
    begin: Count  #: steps it had taken before this update

    def follows(self, seq: int, step: int) -> bool:
        """Whether it is the next after that one. An attempt that died may have left updates whose predecessor the store
        has forgotten; what is made in its place may end at another step, and then they are no use."""
        return (self.seq, self.begin) == (seq + 1, step)


@dataclass(frozen=True)
class Update:
    """A worker's summed weight change between two pushes."""

    label: Label
    vector: NDArray[np.float32]  #: (P,)


@dataclass(frozen=True)
class Ledger(Record, what="a checkpoint with a ledger", error=WeightsError, most_bytes=8_000_000):
    """What a checkpoint contains of every worker: the last seq applied, the steps, what that update was computed
    from; and who is through."""

    applied: tuple[Count, ...]
    steps: tuple[Count, ...]
    finished: tuple[WorkerNumber, ...] = ()
    bases: tuple[Version, ...] = ()

    @classmethod
    def empty(cls, num_workers: int) -> Ledger:
        """Nothing applied yet."""
        nothing = (0,) * num_workers
        return cls(nothing, nothing, (), nothing)

    def with_update(self, label: Label) -> Ledger:
        """One more update applied; they come in the order of their seq."""
        seq, step = self.applied[label.worker], self.steps[label.worker]
        if not label.follows(seq, step):
            made = f"update {label.seq} of worker {label.worker}, from step {label.begin} on"
            raise ValueError(f"{made}, after {seq}, which ended at step {step}")
        finished = tuple(sorted({*self.finished, label.worker})) if label.last else self.finished
        changes = {"applied": label.seq, "steps": label.step, "bases": label.base}
        changed = {name: _with(getattr(self, name), label.worker, value) for name, value in changes.items()}
        return replace(self, finished=finished, **changed)

    def oldest_base(self) -> int | None:
        """From which checkpoint on the updates can be that are still to come; None when all are through."""
        going = [base for worker, base in enumerate(self.bases) if worker not in self.finished]
        return min(going, default=None)

    def fits(self, num_workers: int) -> bool:
        """Whether it can be of a run of so many workers."""
        finished = sorted({worker for worker in self.finished if worker < num_workers})
        counts = {len(self.applied), len(self.steps), len(self.bases)}
        return counts == {num_workers} and finished == list(self.finished)


def _with(values: tuple[int, ...], index: int, value: int) -> tuple[int, ...]:
    return (*values[:index], value, *values[index + 1 :])


def encode(model: Model, label: Label, key: str, wire: str = "float32") -> bytes:
    """An update as the bytes for `key`: a weights file whose metadata hold the label. It was reduced for this kind of
    wire."""
    packed, about = pack(model, wire)
    about |= {identity.KEY: key, "update": label.to_json().decode()}
    return weights.encode(packed.vector, packed.shapes, about)


def decode(data: Any, key: str, size: int) -> Update:
    """Read what `encode` wrote, for checkpoints of `size` entries. Raises WeightsError for anything else, StoreError
    for what belongs elsewhere."""
    found = weights.decode(data, key)
    identity.check(found.metadata.get(identity.KEY), key)
    label = Label.from_json(found.metadata.get("update", NOTHING), key)
    return Update(label, unpack(found, key, size))


def ledger_of(found: weights.Weights, where: str, num_workers: int) -> Ledger:
    """The ledger of a decoded checkpoint; an empty one for the first. Raises WeightsError when it is damaged."""
    if "ledger" not in found.metadata:
        return Ledger.empty(num_workers)
    ledger = Ledger.from_json(found.metadata["ledger"], where)
    if not ledger.fits(num_workers):
        raise WeightsError(f"{where} has no sound ledger: expected one of {num_workers} workers")
    return ledger


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
    about = {"ledger": ledger.to_json().decode()}
    data = contribution.encode(model, tally, key, **about)
    return Folded(data, weights.Weights(model.vector, model.shapes, about), ledger, tally)


def reborn(spec: RunSpec, back: Head, data: Any) -> tuple[Head, bytes]:
    """The same weights and ledger as the first version of a new life."""
    keys = Keys(spec.run)
    where = keys.checkpoint(back.round)
    found, _ = contribution.decode(data, where)
    first = back.life * LIFE
    numbers = {"applied": (first,) * spec.num_workers, "bases": (first,) * spec.num_workers}
    ledger = replace(ledger_of(found, where, spec.num_workers), **numbers)
    made = folded(Model(found.vector, dict(found.shapes)), ledger, Tally(), keys.checkpoint(first))
    return replace(back.with_ledger(ledger), round=first), made.data
