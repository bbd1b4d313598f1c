"""A contribution: what one worker, or a merge of several, brings to a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnlite import weights
from nnlite.errors import WeightsError
from nnlite.protocol.effects import Model
from nnlite.protocol.records.keys import Version
from nnlite.records import Amount, Count, Kept, Record, Share, identity

if TYPE_CHECKING:
    from nnlite.protocol.records.spec import RunSpec

NOTHING = "null"  # in place of what the metadata of a weights file do not have
MERGE_CHUNK = 1 << 16  # entries: a piece of the sum and of one addend fit into the cache


@dataclass(frozen=True)
class Tally(Record, what="a contribution to a round", error=WeightsError):
    """Sums over the samples of a contribution; they say nothing of time, so the same work has the same bytes."""

    num_samples: Count = 0
    loss_sum: float = 0.0
    num_scored: Count = 0  #: test samples scored with the checkpoint the round began with
    num_correct: Count = 0
    score_loss_sum: float = 0.0

    def __post_init__(self) -> None:
        if self.num_correct > self.num_scored:
            raise WeightsError(f"{self.num_correct:,} samples are right, of {self.num_scored:,} that were scored")

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    @property
    def loss(self) -> float | None:
        """Mean training loss of the round."""
        return self.loss_sum / self.num_samples if self.num_samples else None

    @property
    def accuracy(self) -> float | None:
        """Test accuracy of the round's first checkpoint."""
        return self.num_correct / self.num_scored if self.num_scored else None

    def accuracy_of(self, spec: RunSpec) -> float | None:
        """The same of a run; amounts have none."""
        return self.accuracy if spec.data.amounts is None else None


def encode(model: Model, tally: Tally, key: str, **more: str) -> bytes:
    """A contribution, merge or checkpoint as the bytes for `key`: a weights file whose metadata hold the tally, and
    `more`."""
    about = {**more, identity.KEY: key, "tally": tally.to_json().decode()}
    return weights.encode(model.vector, model.shapes, about)


def decode(data: Any, key: str) -> tuple[weights.Weights, Tally]:
    """The weights and the tally that were written under `key`. Raises WeightsError for bytes that are no contribution,
    StoreError for one that belongs elsewhere."""
    found = weights.decode(data, key)
    identity.check(found.metadata.get(identity.KEY), key)
    return found, Tally.from_json(found.metadata.get("tally", NOTHING), key)


def under(found: weights.Weights, key: str) -> bytes:
    """The same, as the bytes for another key: a root becomes the next checkpoint."""
    return weights.encode_again(found, {**found.metadata, identity.KEY: key})


def merge(parts: Mapping[str, Any], key: str) -> bytes:
    """The sample-weighted mean of encoded contributions (by their keys), in the order given, as the bytes for `key`:
    same parts, same bytes.

    Parts that trained on nothing count with their tally alone. Raises WeightsError for a damaged part, StoreError for
    one that belongs elsewhere, and StructureError when parts have different tensors.
    """
    decoded = [decode(data, where) for where, data in parts.items()]
    tally = sum((t for _, t in decoded[1:]), decoded[0][1])
    trained = [(w, t.num_samples) for w, t in decoded if t.num_samples] or [(decoded[0][0], 1)]
    first = trained[0][0]
    for other, _ in trained[1:]:
        weights.check_shapes(other.shapes, first.shapes, key, "Were parts made by different runs?")
    mean = weighted_mean([w.vector for w, _ in trained], [n for _, n in trained])
    return encode(Model(mean, dict(first.shapes)), tally, key)


@dataclass(frozen=True)
class Summary(Kept, what="the summary of a round"):
    """What people want to know of a round; `seconds` are those of the worker that closed it."""

    round: Version
    seconds: Amount | None
    num_samples: Count
    loss: float | None
    accuracy: Share | None
    score_loss: float | None
    num_updates: Count | None = None  #: that were folded (downpour), and by how many versions they were late
    mean_staleness: Amount | None = None
    max_staleness: Count | None = None


def summary(round: int, tally: Tally, accuracy: float | None, seconds: float | None, **more: Any) -> Summary:
    """What people want to know of a round."""
    score_loss = tally.score_loss_sum / tally.num_scored if tally.num_scored else None
    return Summary(round, seconds, tally.num_samples, tally.loss, accuracy, score_loss, **more)


def weighted_mean(vectors: Sequence[NDArray[np.float32]], counts: Sequence[int]) -> NDArray[np.float32]:
    """sum(counts[i] * vectors[i]) / sum(counts), float32 (P,), added up in the order given."""
    total = sum(counts)
    shares = [np.float32(count / total) for count in counts]
    out = np.empty_like(vectors[0])
    for start in range(0, len(out), MERGE_CHUNK):
        part = slice(start, start + MERGE_CHUNK)
        piece = out[part]
        np.multiply(vectors[0][part], shares[0], out=piece)
        for vector, share in zip(vectors[1:], shares[1:], strict=True):
            piece += vector[part] * share
    return out
