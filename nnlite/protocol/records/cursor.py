"""A cursor: where a worker stood in the middle of its work, as bytes, for the invocation that takes over from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnlite import weights
from nnlite.errors import WeightsError
from nnlite.protocol.averaging.contribution import NOTHING
from nnlite.protocol.effects import Model, Standing, TrainingSums
from nnlite.protocol.records.keys import Version
from nnlite.records import Count, Record, identity


@dataclass(frozen=True)
class About(Record, what="a cursor", error=WeightsError):
    """What a cursor says besides its vector."""

    base: Version  #: the round, or the checkpoint, or of a search the job, that the worker was at
    step: Count
    trained: TrainingSums
    scored: TrainingSums


def encode(standing: Standing, base: int, key: str) -> bytes:
    """The bytes for `key`: a weights file whose metadata say where the worker stood, in round, or on checkpoint,
    `base`."""
    cursor = About(base, standing.step, standing.trained, standing.scored)
    about = {identity.KEY: key, "cursor": cursor.to_json().decode()}
    return weights.encode(standing.model.vector, standing.model.shapes, about)


def decode(data: Any, key: str) -> tuple[Standing, int]:
    """The standing, and its base. Raises WeightsError for anything that `encode` did not write, StoreError for what
    belongs elsewhere."""
    found = weights.decode(data, key)
    identity.check(found.metadata.get(identity.KEY), key)
    about = About.from_json(found.metadata.get("cursor", NOTHING), key)
    return Standing(Model(found.vector, found.shapes), about.step, about.trained, about.scored), about.base
