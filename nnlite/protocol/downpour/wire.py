"""The wire: how much of an update travels, and in which form. What does not travel is carried into the next update.

float32      all of it
float16      rounded to half precision: half the bytes
topk:1%      the largest hundredth of the entries: some 2 % of the bytes (Aji and Heafield 2017, "Sparse Communication
             for Distributed Gradient Descent", EMNLP)

An update is first reduced to what the wire can carry (`reduced`), as a float32 vector; packing that loses nothing.
So what is sent is what is added, and the rest stays with the worker that made it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from nnlite import weights
from nnlite.errors import UsageError, WeightsError
from nnlite.protocol.effects import Model
from nnlite.records import quoted

Vector = NDArray[np.float32]
MAX_FLOAT16 = 65504.0


@dataclass(frozen=True)
class Wire:
    """One of the forms; `share` of the entries travel, in (0, 1]."""

    kind: str
    share: float = 1.0

    @classmethod
    def of(cls, text: str) -> Wire:
        """Read `float32`, `float16` or `topk:1%`. Raises UsageError for anything else."""
        if text in ("float32", "float16"):
            return cls(text)
        found = re.fullmatch(r"topk:(\d+(?:\.\d+)?)%", text)
        if found is None or not 0 < float(found[1]) <= 100:
            raise UsageError(f"wire {text!r}: wanted float32, float16, or the largest part of an update, like topk:1%")
        return cls("topk", float(found[1]) / 100)

    def reduced(self, change: Vector) -> NDArray[np.float32]:
        """What travels of a change (P,): a vector of its own with the entries as the other side will see them."""
        if self.kind == "float16":
            halves: NDArray[np.float16] = np.clip(change, -MAX_FLOAT16, MAX_FLOAT16).astype(np.float16)
            return np.array(halves, np.float32)
        if self.kind == "topk":
            kept = largest(change, self.share)
            sent = np.zeros_like(change)
            sent[kept] = change[kept]
            return sent
        return np.array(change, np.float32)


def largest(change: Vector, share: float) -> NDArray[np.intp]:
    """Where the largest entries are, in order: `share` of all, at least one."""
    count = max(1, ceil(share * len(change)))
    if count >= len(change):
        return np.arange(len(change))
    return np.sort(np.argpartition(np.abs(change), -count)[-count:])


def pack(model: Model, kind: str) -> tuple[Model, dict[str, str]]:
    """An update that was reduced for `kind`, in its form for the way; with what else has to be known of it.

    Packed numbers lie in the bytes of float32 tensors: that is the one type of our weights files.
    """
    size, vector = len(model.vector), model.vector
    about = {"wire": kind, "size": str(size)}
    if kind == "float16":
        halves = np.zeros(size + size % 2, np.float16)
        halves[:size] = vector
        packed = halves.view(np.float32)
        return Model(packed, {"float16": (len(packed),)}), about
    if kind == "topk":
        kept = np.flatnonzero(vector).astype(np.int32)
        count = len(kept)
        parts = np.concatenate([kept.view(np.float32), vector[kept]])
        return Model(parts, {"indices": (count,), "values": (count,)}), about
    return model, {}


def unpack(found: weights.Weights, where: str, size: int) -> Vector:
    """The update as a vector (P,), which has `size` entries. Raises WeightsError for what `pack` did not make."""
    kind, packed = found.metadata.get("wire", "float32"), np.ascontiguousarray(found.vector)
    if kind == "float32":
        return found.vector
    if found.metadata.get("size") != str(size):  # so much memory is taken, whatever has arrived
        claimed = quoted(found.metadata.get("size"))
        raise WeightsError(f"{where} is not a sound update: expected one of {size} entries, found {claimed}")
    if kind == "float16" and len(packed) == (size + 1) // 2:
        return packed.view(np.float16)[:size].astype(np.float32)
    if kind == "topk" and len(packed) % 2 == 0:
        kept, values = packed[: len(packed) // 2].view(np.int32), packed[len(packed) // 2 :]
        if not len(kept) or (kept[0] >= 0 and kept[-1] < size and bool((np.diff(kept) > 0).all())):
            vector = np.zeros(size, np.float32)
            vector[kept] = values
            return vector
    raise WeightsError(f"{where} is not a sound update: {len(packed)} entries, wire {quoted(kind)}")
