"""A cursor: where a worker stood in the middle of its work, as bytes, for the invocation that takes over from it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from nnlite import weights
from nnlite.errors import WeightsError
from nnlite.protocol import identity
from nnlite.protocol.effects import Model, Progress, Standing


def encode(standing: Standing, base: int, key: str) -> bytes:
    """The bytes for `key`: a weights file whose metadata say where the worker stood, in round, or on checkpoint,
    `base`."""
    cursor = {
        "base": base,
        "step": standing.step,
        "trained": asdict(standing.trained),
        "scored": asdict(standing.scored),
    }
    about = {identity.KEY: key, "cursor": json.dumps(cursor)}
    return weights.encode(standing.model.vector, standing.model.shapes, about)


def decode(data: Any, key: str) -> tuple[Standing, int]:
    """The standing, and its base. Raises WeightsError for anything that `encode` did not write, StoreError for what
    belongs elsewhere."""
    found = weights.decode(data, key)
    identity.check(found.metadata.get(identity.KEY), key)
    try:
        about = json.loads(found.metadata["cursor"])
        trained, scored = Progress(**about["trained"]), Progress(**about["scored"])
        return Standing(Model(found.vector, found.shapes), int(about["step"]), trained, scored), int(about["base"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{key} is a weights file but no cursor: {error!r}") from None
